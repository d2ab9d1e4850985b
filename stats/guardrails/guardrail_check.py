"""The interface of guardrail checks: measurements of each arm are compared with a bound and give a verdict.

A guardrail is tested by its interval: an arm is non-inferior if the whole interval is within the bound. All guardrails
must pass, which is an intersection-union test and needs no correction (Berger 1982, Technometrics 24:295). With a
two-sided interval at level 1 - alpha, each is tested at alpha / 2 one-sided.
"""

from typing import Protocol

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail_result import GuardrailResult, GuardrailVerdict
from assay.manifests.plan import Plan
from assay.stats.designs import paired
from assay.stats.samples.samples import Samples


class GuardrailCheck(Protocol):
    """A guardrail with the measurements for it."""

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """The results of all arms except the control against the guardrail's bound.

        Args:
            plan: The plan, for control, alpha and the rule for missing scores.
            primary: Scores of the primary metric, which define the rows and arms.

        Raises:
            SamplesError: The measurements do not match the rows and arms of the primary metric.
        """
        ...


def verdict_of(comparison: Comparison, *, bound: float, direction: str) -> GuardrailVerdict:
    """The verdict of an interval on a bound; an exactly known number may equal the bound."""
    gain = paired.gains(comparison, direction)
    if gain is None:
        return "not_testable"
    least = bound if direction == "higher" else -bound
    if gain[0] > least or gain[0] == gain[1] >= least:
        return "non_inferior"
    return "breach" if gain[1] < least else "undecided"
