"""Records of guardrail results: one for each arm and guardrail of the plan."""

from dataclasses import dataclass
from typing import Literal

from assay.stats.results.comparison import Comparison

GuardrailVerdict = Literal["non_inferior", "breach", "undecided", "not_testable"]
"""`non_inferior`: the whole interval is within the bound. `breach`: it is entirely beyond the bound. `undecided`: the
interval contains the bound. `not_testable`: there is no interval."""


@dataclass(frozen=True)
class GuardrailPart:
    """The result of a guardrail in one segment or group.

    Attributes:
        name: Name of the segment or group.
        num_rows: Number of its rows.
        estimate: For a segment, the difference from the control; for a group, the arm's own mean.
        ci_low: Lower end of the segment's own interval; None for a group.
        ci_high: Upper end of this interval; None for a group.
        verdict: Verdict on the segment; None for a group.
    """

    name: str
    num_rows: int
    estimate: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    verdict: GuardrailVerdict | None = None


@dataclass(frozen=True)
class GuardrailResult:
    """The result of one arm on one guardrail of the plan.

    Attributes:
        name: Name of the guardrail.
        kind: Kind of the guardrail, as in the plan.
        severity: `critical`, or `advisory`: reported only, blocks nothing.
        metric: The metric or quantity.
        direction: Which direction of the estimate is better.
        scale: `difference`: the estimate, its interval and the bound are differences, arm minus control. `ratio`: they
            are ratios of the arm to the control or, for `selection_ratio`, between groups of the arm itself.
        bound: The value that the estimate must not go beyond.
        comparison: The estimate with its interval, which is not simultaneous over arms (intersection-union). For a
            guardrail by segment: that of the worst segment, which decides.
        verdict: The verdict of the interval.
        where: The segment, or the groups, that decide; None if all rows do.
        parts: The results by segment or by group; empty if all rows are judged together.
        not_judged: Segments or groups that are too small to be judged.
    """

    name: str
    kind: str
    severity: Literal["critical", "advisory"]
    metric: str
    direction: Literal["higher", "lower"]
    scale: Literal["difference", "ratio"]
    bound: float
    comparison: Comparison
    verdict: GuardrailVerdict
    where: str | None = None
    parts: tuple[GuardrailPart, ...] = ()
    not_judged: tuple[str, ...] = ()
