"""Records of what guardrails found: one result for each arm and guardrail of the plan."""

from dataclasses import dataclass
from typing import Literal

from assay.stats.results.comparison import Comparison

GuardrailVerdict = Literal["non_inferior", "breach", "undecided", "not_testable"]
"""`non_inferior`: the interval is within the bound. `breach`: it is wholly beyond it. `undecided`: the bound is inside
the interval. `not_testable`: there is no interval."""


@dataclass(frozen=True)
class GuardrailPart:
    """One segment or group of a guardrail that looks at several.

    Attributes:
        name: The segment or group.
        num_rows: Its rows.
        estimate: What was found in it: of a segment the difference from the control, of a group the arm's own mean.
        ci_low: Lower end of the segment's own interval; None for a group.
        ci_high: Upper end.
        verdict: Of the segment; None for a group.
    """

    name: str
    num_rows: int
    estimate: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    verdict: GuardrailVerdict | None = None


@dataclass(frozen=True)
class GuardrailResult:
    """One arm on one guardrail of the plan.

    Attributes:
        name: What the guardrail is called: one of the plan's.
        kind: Which kind of guardrail, as in the plan.
        severity: `critical`, or `advisory`: that one is told and blocks nothing.
        metric: The metric or quantity.
        direction: Which direction of the estimate is better.
        scale: `difference`: the estimate is arm minus control. `ratio`: it is a ratio, and so are its interval and the
            bound; of the arm to the control, but of a selection between groups of the arm itself.
        bound: What the estimate must not pass: on the other side of it lies a breach.
        comparison: What was found; its interval is not simultaneous over arms (intersection-union). Of segments the
            one that decides: the worst.
        verdict: What its interval says.
        where: The segment or the groups that decide; None where all rows do.
        parts: Segment by segment, or group by group; empty where all rows are looked at together.
        not_judged: Segments or groups that are too small.
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
