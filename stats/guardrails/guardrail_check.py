"""What every guardrail's check is: measurements that are compared with a bound, arm by arm, and the verdict.

The test of a guardrail is its interval: non-inferior where the whole interval is within the bound. All guardrails
must pass, which is an intersection-union test and needs no correction (Berger 1982, Technometrics 24:295). With the
two-sided interval at 1 - alpha, each is tested at alpha / 2 one-sided.
"""

from typing import Protocol

from assay.manifests.plan import Plan
from assay.stats.designs import paired
from assay.stats.results.comparison import Comparison
from assay.stats.results.guardrail_result import GuardrailResult, GuardrailVerdict
from assay.stats.samples.samples import Samples


class GuardrailCheck(Protocol):
    """A guardrail with what was measured for it."""

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """Every arm of the primary metric but the control, held against the guardrail's bound.

        Args:
            plan: The plan: control, alpha, rule for missing scores.
            primary: Scores of the primary metric: the rows and arms that must be covered.

        Raises:
            SamplesError: What was measured is not of the primary metric's rows and arms.
        """
        ...


def verdict_of(comparison: Comparison, *, bound: float, direction: str) -> GuardrailVerdict:
    """What an interval says of a bound: on its good side, beyond it, or about it. A known number may lie on it."""
    gain = paired.gains(comparison, direction)
    if gain is None:
        return "not_testable"
    least = bound if direction == "higher" else -bound
    if gain[0] > least or gain[0] == gain[1] >= least:
        return "non_inferior"
    return "breach" if gain[1] < least else "undecided"
