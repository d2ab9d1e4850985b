"""Budget: what an experiment may spend, and what things cost."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from assay.manifests.base import Manifest

PricePerHour = Annotated[float, Field(ge=0)]
AcceleratorPrices = Annotated[
    Mapping[str, PricePerHour],
    AfterValidator(lambda given: MappingProxyType(dict(given))),
    PlainSerializer(dict),
]


class Prices(Manifest):
    """What an hour of a slot's resources costs, in any one currency."""

    cpu_hour: PricePerHour = 0.0
    """One CPU core for an hour."""
    gpu_hour: PricePerHour = 0.0
    """One GPU for an hour, of a type that `gpu_hour_by_type` does not name."""
    gpu_hour_by_type: AcceleratorPrices = Field(default_factory=dict, validate_default=True)
    """One GPU for an hour, by the accelerator type that an arm asks for."""


class Budget(Manifest):
    """What an experiment may spend, over all its drivers. Once it is spent, the run stops and keeps what is whole."""

    slot_hours: float | None = Field(default=None, gt=0)
    """Hours of slots, from when one is ready until it is given back."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """Hours of GPUs that slots hold."""
    price: float | None = Field(default=None, gt=0)
    """What it may cost by `prices`."""
    warn_at: float = Field(default=0.8, gt=0, le=1)
    """The soft bound: the share of each bound past which the run says so, and goes on."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.slot_hours is None and self.gpu_hours is None and self.price is None:
            raise ValueError("a budget gives slot_hours, gpu_hours or price")
        return self
