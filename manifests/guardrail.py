"""Guardrail: what an arm must not make worse, whatever it improves."""

import math
from typing import Annotated, Literal

from pydantic import Field

from assay.manifests.base import Manifest

_NUM_BEYOND = 10
"""Batches expected beyond a quantile, below which its bootstrap resamples but a few extreme values."""
_SHARE_BELOW = {"batch_p50": 0.5, "batch_p95": 0.95, "batch_p99": 0.99}


class _Guardrail(Manifest):
    severity: Literal["critical", "advisory"] = "critical"
    """`critical`: a breach rejects, and what is not shown to hold is held. `advisory`: it is told, and blocks nothing."""


class MetricGuardrail(_Guardrail):
    """A metric over all rows that must not get worse."""

    kind: Literal["metric"]
    """Always `metric`."""
    metric: str
    """A metric of the suite other than the primary one, which is held by the minimum effect."""
    margin: float = Field(ge=0)
    """How much worse than the control is still acceptable, in units of the metric."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
        return self.metric


class SegmentsGuardrail(_Guardrail):
    """A metric that must not get worse in any segment, whatever it does on average."""

    kind: Literal["segments"]
    """Always `segments`: those of the plan's segment column."""
    metric: str
    """A metric of the suite; the primary one too."""
    margin: float = Field(ge=0)
    """How much worse than the control is still acceptable in a segment, in units of the metric."""
    minimum_rows: int = Field(default=30, ge=2)
    """Segments with fewer rows are named as not judged."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
        return f"{self.metric} by segment"


class GroupGapGuardrail(_Guardrail):
    """Fairness: the largest difference of a metric between groups of rows must not grow."""

    kind: Literal["group_gap"]
    """Always `group_gap`."""
    metric: str
    """A metric of the suite; the primary one too."""
    column: str
    """The column of the dataset that names the groups: one of role `segment`."""
    margin: float = Field(ge=0)
    """By how much the arm's gap may be larger than the control's, in units of the metric."""
    minimum_rows: int = Field(default=30, ge=2)
    """Groups with fewer rows are named as not judged."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
        return f"gap of {self.metric} by {self.column}"


class SelectionRatioGuardrail(_Guardrail):
    """Fairness: the group that is selected least often, against the one that is selected most often.

    The four-fifths rule (29 CFR 1607.4 D): the share of rows that are given the positive class in one group must be
    at least four fifths of that in any other. It is held by every arm alone, whatever the control does.
    """

    kind: Literal["selection_ratio"]
    """Always `selection_ratio`."""
    positive: str | int
    """The class that is a selection: a value of the label column."""
    column: str
    """The column of the dataset that names the groups: one of role `segment`."""
    min_ratio: float = Field(default=0.8, gt=0, le=1)
    """The least that the smallest share over the largest may be."""
    minimum_rows: int = Field(default=30, ge=2)
    """Groups with fewer rows are named as not judged."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
        return f"selection of {self.positive} by {self.column}"


class LatencyGuardrail(_Guardrail):
    """How long the arm takes, as a ratio to the control on the same slot: there both are timed batch by batch in turn."""

    kind: Literal["latency"]
    """Always `latency`."""
    quantity: Literal["batch_p50", "batch_p95", "batch_p99", "row_mean"]
    """A quantile of the seconds of a batch, or the mean seconds of a row: the inverse of rows per second."""
    max_ratio: float = Field(gt=0)
    """The most that the arm's time over the control's may be."""
    num_batches: int = Field(default=200, ge=20, le=100_000)
    """Batches of each of the two that every slot times once it has loaded the arm. A p99 needs 1,000."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
        return self.quantity

    @property
    def share_below(self) -> float | None:
        """The share of batches that the quantile is not exceeded by; None for the mean."""
        return _SHARE_BELOW.get(self.quantity)

    @property
    def num_batches_needed(self) -> int:
        """Batches below which it has no interval that can be relied on."""
        return 20 if self.share_below is None else math.ceil(_NUM_BEYOND / (1 - self.share_below) - 1e-9)


class SizeGuardrail(_Guardrail):
    """How large the variant is, as a ratio to the control. Known exactly: there is no interval."""

    kind: Literal["size"]
    """Always `size`."""
    quantity: Literal["weights_bytes", "num_parameters", "peak_memory_bytes"]
    """Bytes of the weights file, parameters of a torch module, or the most memory of a GPU that it has taken."""
    max_ratio: float = Field(gt=0)
    """The most that the arm's size over the control's may be."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
        return self.quantity


class SuspiciousImprovementGuardrail(_Guardrail):
    """An improvement of the primary metric that is too good to be true: it asks for a look, and is never a reject."""

    kind: Literal["suspicious_improvement"]
    """Always `suspicious_improvement`."""
    max_improvement: float = Field(gt=0)
    """The largest improvement of the primary metric that is believed without a look, in its units."""

    @property
    def name(self) -> str:
        """What it is called where results are told."""
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
"""Any of them, told apart by `kind`."""
