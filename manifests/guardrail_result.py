"""Guardrail result: one for each arm and guardrail of a plan."""

from typing import Literal

from assay.manifests.base import Computed
from assay.manifests.comparison import Comparison

GuardrailVerdict = Literal["non_inferior", "breach", "undecided", "not_testable"]
"""`non_inferior`: the whole interval is within the bound. `breach`: it is entirely beyond the bound. `undecided`: the
interval contains the bound. `not_testable`: there is no interval."""


class GuardrailPart(Computed):
    """The result of a guardrail in one segment or group."""

    name: str
    """Name of the segment or group."""
    num_rows: int
    """Number of its rows."""
    estimate: float | None
    """For a segment, the difference from the control; for a group, the arm's own mean."""
    ci_low: float | None = None
    """Lower end of the segment's own interval; None for a group."""
    ci_high: float | None = None
    """Upper end of this interval; None for a group."""
    verdict: GuardrailVerdict | None = None
    """Verdict on the segment; None for a group."""


class GuardrailResult(Computed):
    """The result of one arm on one guardrail of the plan."""

    name: str
    """Name of the guardrail."""
    kind: str
    """Kind of the guardrail, as in the plan."""
    severity: Literal["critical", "advisory"]
    """`critical`, or `advisory`: reported only, blocks nothing."""
    metric: str
    """The metric or quantity."""
    direction: Literal["higher", "lower"]
    """Which direction of the estimate is better."""
    scale: Literal["difference", "ratio"]
    """`difference`: the estimate, its interval and the bound are differences, arm minus control. `ratio`: they are
    ratios of the arm to the control or, for `selection_ratio`, between groups of the arm itself."""
    bound: float
    """The value that the estimate must not go beyond."""
    comparison: Comparison
    """The estimate with its interval, which is not simultaneous over arms (intersection-union). For a guardrail by
    segment: that of the worst segment, which decides."""
    verdict: GuardrailVerdict
    """The verdict of the interval."""
    where: str | None = None
    """The segment, or the groups, that decide; None if all rows do."""
    parts: tuple[GuardrailPart, ...] = ()
    """The results by segment or by group; empty if all rows are judged together."""
    not_judged: tuple[str, ...] = ()
    """Segments or groups that are too small to be judged."""
