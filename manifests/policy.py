"""Policy: what an analysis, and whatever else is known of a run, must show for a decision."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest, Name

Requirement = Literal["leakage", "drift", "budget", "verification"]


class NextStage(Manifest):
    """Where a promoted arm goes, and what it must show there."""

    name: Name
    """The stage, such as `shadow` or `canary`."""
    criteria: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """What it must show there to go further, in words: one criterion each."""


POINT = 0.01
"""A point of improvement, in units of the primary metric."""


class Policy(Manifest):
    """The rule of the gate, fixed with the plan.

    Of the five questions of a review, the dataset and the benchmark always count. What else counts is what is named
    here: whatever is required and not known is a hold, never a promotion.
    """

    kind: Literal["Policy"]
    """Always `Policy`."""
    version: Literal[1]
    """The version of this manifest's form."""
    promote_on: Literal["improvement", "non_inferiority"] = "improvement"
    """`improvement`: the primary metric is better than the control's by more than the plan's minimum effect.
    `non_inferiority`: it is not worse by more than the plan's margin for that arm."""
    require: tuple[Requirement, ...] = ()
    """What must be known and fine beside the benchmark. `leakage`, `drift`: the dataset was looked through for them.
    `budget`: the experiment has a budget and kept it. `verification`: `assay verify` scored the run again and it
    matched."""
    max_cost_ratio: float | None = Field(default=None, gt=0)
    """The most that an arm may cost, as a multiple of the control's cost. Null: no bound."""
    max_price_per_point: float | None = Field(default=None, gt=0)
    """The most that an arm's evaluation may cost, by the experiment's prices, per point of improvement: a point is a
    hundredth of the primary metric's unit, so 1 % of accuracy. Null: no bound."""
    over_cost: Literal["hold", "reject"] = "hold"
    """What becomes of an arm that is fine but for its cost. A cost is measured once and has no interval: hence
    `hold`, unless it is enough to say no."""
    promote_equal_at_cost_ratio: float | None = Field(default=None, gt=0)
    """Rewards cost: an arm that is not worse by more than the plan's margin for it, and costs at most this multiple
    of the control, is promoted without an improvement. Null: only an improvement promotes."""
    tie_breakers: tuple[str, ...] = ()
    """What chooses one winner among promoted arms that the primary metric does not tell apart, the first that differs:
    names of metrics, or `cost`."""
    next_stage: NextStage | None = None
    """Where a promoted arm goes. Null: the review says that nobody has named it."""
    bootstrap: bool = False
    """Whether a run whose only arm is the control may promote it, as the first of its kind. Without, it is held."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for field, names in (("require", self.require), ("tie_breakers", self.tie_breakers)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{field} names each thing once; twice: {', '.join(twice)}")
        if self.promote_equal_at_cost_ratio is not None and self.promote_on == "non_inferiority":
            raise ValueError(
                "promote_equal_at_cost_ratio has nothing to add to promote_on: non_inferiority, which promotes equal "
                "arms at any cost; bound that by max_cost_ratio"
            )
        if self.max_price_per_point is not None and self.promote_on == "non_inferiority":
            raise ValueError("max_price_per_point divides by an improvement; promote_on: non_inferiority needs none")
        return self
