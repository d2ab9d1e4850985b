"""Guardrail: something that an arm must not make worse, whatever it improves."""

import math
from typing import Annotated, Literal

from pydantic import Field

from assay.manifests.base import Manifest

_NUM_BEYOND = 10
"""Batches that must be expected beyond a quantile: with fewer, its bootstrap resamples only a few extreme values."""
_SHARE_BELOW = {"batch_p50": 0.5, "batch_p95": 0.95, "batch_p99": 0.99}


class _Guardrail(Manifest):
    severity: Literal["critical", "advisory"] = "critical"
    """`critical` (default): a breach rejects the arm, and an undecided result holds it; a breach of
    `suspicious_improvement` holds the arm and never rejects it. `advisory`: the result is reported and blocks nothing."""


class MetricGuardrail(_Guardrail):
    """A metric over all rows that must not get worse by more than a margin."""

    kind: Literal["metric"]
    """Always `metric`."""
    metric: str
    """Any metric of the suite except the primary one; for that, use the plan's `minimum_effect`."""
    margin: float = Field(ge=0)
    """How much worse than the control the arm may be, in units of the metric."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return self.metric


class SegmentsGuardrail(_Guardrail):
    """A metric that must not get worse in any segment by more than a margin, whatever it does on average."""

    kind: Literal["segments"]
    """Always `segments`. The segments are those of `columns.segment`, which the plan must name."""
    metric: str
    """A metric of the suite; the primary metric is allowed."""
    margin: float = Field(ge=0)
    """How much worse than the control the arm may be in any segment, in units of the metric."""
    minimum_rows: int = Field(default=30, ge=2)
    """Segments with fewer rows are not judged; the report lists them. Default: 30."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return f"{self.metric} by segment"


class GroupGapGuardrail(_Guardrail):
    """Fairness: the largest difference of a metric between groups of rows must not grow by more than a margin."""

    kind: Literal["group_gap"]
    """Always `group_gap`."""
    metric: str
    """A metric of the suite; the primary metric is allowed."""
    column: str
    """The dataset column that defines the groups; its role must be `segment`."""
    margin: float = Field(ge=0)
    """How much the arm's gap may exceed the control's gap, in units of the metric."""
    minimum_rows: int = Field(default=30, ge=2)
    """Groups with fewer rows are not judged; the report lists them. Default: 30."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return f"gap of {self.metric} by {self.column}"


class SelectionRatioGuardrail(_Guardrail):
    """Fairness: the selection rate of the group selected least often, over that of the group selected most often.

    The four-fifths rule (29 CFR 1607.4 D): the fraction of rows that are predicted positive in any group must be at
    least four fifths of that in any other group. Each arm is judged on its own, independently of the control.
    """

    kind: Literal["selection_ratio"]
    """Always `selection_ratio`."""
    positive: str | int
    """The class that counts as selected: a value of the label column."""
    column: str
    """The dataset column that defines the groups; its role must be `segment`."""
    min_ratio: float = Field(default=0.8, gt=0, le=1)
    """Smallest ratio allowed of the lowest selection rate to the highest. Default: 0.8."""
    minimum_rows: int = Field(default=30, ge=2)
    """Groups with fewer rows are not judged; the report lists them. Default: 30."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return f"selection of {self.positive} by {self.column}"


class LatencyGuardrail(_Guardrail):
    """The arm's latency relative to the control, timed in turn, batch by batch, on the same slot."""

    kind: Literal["latency"]
    """Always `latency`."""
    quantity: Literal["batch_p50", "batch_p95", "batch_p99", "row_mean"]
    """A quantile of the seconds per batch, or `row_mean`, the mean seconds per row (the inverse of rows per second)."""
    max_ratio: float = Field(gt=0)
    """Largest ratio allowed of the arm's time to the control's; 1.2 allows 20 % more."""
    num_batches: int = Field(default=200, ge=20, le=100_000)
    """Batches of the arm and of the control that each slot times after it has loaded the arm. Default: 200. `batch_p99`
    needs at least 1,000."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return self.quantity

    @property
    def share_below(self) -> float | None:
        """The quantile's level: the fraction of batches that do not exceed it; None for the mean."""
        return _SHARE_BELOW.get(self.quantity)

    @property
    def num_batches_needed(self) -> int:
        """The number of batches that a reliable interval needs."""
        return 20 if self.share_below is None else math.ceil(_NUM_BEYOND / (1 - self.share_below) - 1e-9)


class SizeGuardrail(_Guardrail):
    """The size of the variant relative to the control. It is known exactly, so there is no interval."""

    kind: Literal["size"]
    """Always `size`."""
    quantity: Literal["weights_bytes", "num_parameters", "peak_memory_bytes"]
    """Bytes of the weights file, number of parameters of the torch module, or peak GPU memory in bytes."""
    max_ratio: float = Field(gt=0)
    """Largest ratio allowed of the arm's size to the control's."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return self.quantity


class SuspiciousImprovementGuardrail(_Guardrail):
    """Holds an arm whose improvement is too good to be true, so that somebody looks for a leak. It never rejects."""

    kind: Literal["suspicious_improvement"]
    """Always `suspicious_improvement`."""
    max_improvement: float = Field(gt=0)
    """Largest improvement of the primary metric that is accepted without review, in units of the metric."""

    @property
    def name(self) -> str:
        """The guardrail's name in results and messages."""
        return "suspicious improvement"


Guardrail = Annotated[
    MetricGuardrail
    | SegmentsGuardrail
    | GroupGapGuardrail
    | SelectionRatioGuardrail
    | LatencyGuardrail
    | SizeGuardrail
    | SuspiciousImprovementGuardrail,
    Field(discriminator="kind"),
]
"""Any guardrail, distinguished by `kind`."""
