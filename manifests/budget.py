"""Budget: how much an experiment may spend, and what resources cost."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest, Named

PricePerHour = Annotated[float, Field(ge=0)]
AcceleratorPrices = Named[PricePerHour]


class Prices(Manifest):
    """Hourly prices of the resources that slots reserve, all in one currency of your choice."""

    cpu_hour: PricePerHour = 0.0
    """Price of one CPU core for one hour. Default: 0."""
    gpu_hour: PricePerHour = 0.0
    """Price of one GPU for one hour, for types that `gpu_hour_by_type` does not list. Default: 0."""
    gpu_hour_by_type: AcceleratorPrices = Field(default_factory=dict, validate_default=True)
    """Price of one GPU for one hour by accelerator type: the arm's `accelerator_type`. Default: none."""


class Budget(Manifest):
    """How much an experiment may spend, over all drivers of its run. At least one limit is required.

    When a limit is reached, the run stops and commits the arms that are complete. Run it again with a larger budget to
    resume.
    """

    slot_hours: float | None = Field(default=None, gt=0)
    """Limit in slot-hours, counted from when a slot is ready until it is released. Null (default): no limit."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """Limit in GPU-hours: hours of slots times `resources.num_gpus`. Null (default): no limit."""
    price: float | None = Field(default=None, gt=0)
    """Limit on the cost, in the currency of `prices`. Null (default): no limit."""
    warn_at: float = Field(default=0.8, gt=0, le=1)
    """Fraction of each limit at which the run warns and continues. Default: 0.8. 1: no warning."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.slot_hours is None and self.gpu_hours is None and self.price is None:
            raise ValueError("a budget needs slot_hours, gpu_hours or price")
        return self
