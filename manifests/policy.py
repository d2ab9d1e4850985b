"""Policy: what the analysis and the other evidence about a run must show for an arm to be promoted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest, Name

Requirement = Literal["leakage", "drift", "budget", "verification"]


class NextStage(Manifest):
    """The stage after promotion and its exit criteria. Reports show them; Assay does not check them."""

    name: Name
    """Name of the stage, such as `shadow` or `canary`."""
    criteria: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """What the arm must show in that stage to proceed, as text; one entry per criterion."""


POINT = 0.01
"""One point of improvement, in units of the primary metric."""


class Policy(Manifest):
    """The rule by which the gate decides; recorded with the plan before the first unit is scored.

    The gate makes four checks: dataset, benchmark (the comparison and the guardrails), cost, and reproducibility. A check
    that fails always counts: a recorded leak, drift, exceeded budget or difference in a verification holds, whatever this
    policy requires. A check whose answer is unknown leads to hold if it is required: the first two always are, the
    others if this policy says so.
    """

    kind: Literal["Policy"]
    """Always `Policy`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    promote_on: Literal["improvement", "non_inferiority"] = "improvement"
    """What the primary metric's interval must show for promotion. `improvement` (default): better than the control by
    more than the plan's `minimum_effect`. `non_inferiority`: not worse by more than the plan's margin for the arm."""
    require: tuple[Requirement, ...] = ()
    """Checks that must have been made, or no arm is promoted. `leakage`: `assay dataset leakage` found no leak. `drift`:
    `assay dataset diff` found no drift. `budget`: the experiment has a budget and kept it. `verification`: `assay
    verify` scored the arm and the control again and the scores matched. Default: none. A check that was made and
    failed always counts."""
    max_cost_ratio: float | None = Field(default=None, gt=0)
    """Largest cost of scoring the rows with an arm as a multiple of the control's cost, without loading and probing.
    Costs are compared by price, else by GPU time, else by CPU time. Null (default): no limit."""
    max_price_per_point: float | None = Field(default=None, gt=0)
    """Largest price of an arm's evaluation per point of improvement, in the currency of `prices`. A point is 0.01 of
    the primary metric, such as 1 % of accuracy. Null (default): no limit."""
    over_cost: Literal["hold", "reject"] = "hold"
    """Decision about an arm that exceeds a cost limit and passes everything else. Default: `hold`, because a cost is
    measured once and has no interval."""
    promote_equal_at_cost_ratio: float | None = Field(default=None, gt=0)
    """Promotes a cheaper arm without an improvement: it must not be worse by more than the plan's margin for it and
    must cost at most this multiple of the control's cost. Null (default): only an improvement promotes."""
    tie_breakers: tuple[str, ...] = ()
    """Metrics of the suite, or `cost`: the first one that differs chooses the winner among promoted arms that the
    primary metric does not distinguish. Default: none; the best estimate wins."""
    next_stage: NextStage | None = None
    """The stage after promotion, shown in the review. Null (default): the review says that none is named."""
    bootstrap: bool = False
    """Whether a run whose only arm is the control may promote it, as the first version. Default: false; it is held."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for field, names in (("require", self.require), ("tie_breakers", self.tie_breakers)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{field} must not repeat an entry; given more than once: {', '.join(twice)}")
        if self.promote_equal_at_cost_ratio is not None and self.promote_on == "non_inferiority":
            raise ValueError(
                "promote_equal_at_cost_ratio cannot be combined with promote_on: non_inferiority, which promotes equal "
                "arms at any cost; limit their cost with max_cost_ratio"
            )
        if self.max_price_per_point is not None and self.promote_on == "non_inferiority":
            raise ValueError(
                "max_price_per_point divides by an improvement, so it cannot be combined with promote_on: "
                "non_inferiority, which requires none"
            )
        return self
