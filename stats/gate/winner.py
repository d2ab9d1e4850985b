"""The winner: one of the promoted arms, by the primary metric and the policy's tie-breakers."""

from collections.abc import Sequence

from assay.manifests.analysis import Analysis
from assay.manifests.policy import Policy
from assay.stats.gate.evidence import Evidence

_NUM_NAMED = 4
"""The most arms that are named where several are tied."""


def gain(analysis: Analysis, arm: str) -> float:
    """How much better than the control an arm is by its estimate; 0 without an estimate."""
    comparison = analysis.against_control(arm)
    sign = 1 if analysis.direction == "higher" else -1
    return sign * (comparison.estimate or 0.0) if comparison is not None else 0.0


def winner(promoted: Sequence[str], analysis: Analysis, policy: Policy, evidence: Evidence) -> tuple[str, str]:
    """The winner among the promoted arms, and why it is.

    It is the arm with the best estimate of the primary metric. If that does not distinguish it from other arms, the
    first tie-breaker in which they differ decides, and finally the best estimate.

    Args:
        promoted: At least one arm, in order.
        analysis: The analysis by which they were promoted.
        policy: The policy, for its tie-breakers.
        evidence: The arms' costs and metrics.
    """
    if len(promoted) == 1:
        return promoted[0], "the only promoted arm"
    leader = max(promoted, key=lambda arm: gain(analysis, arm))  # the first one, if several are equal
    tied = [arm for arm in promoted if arm == leader or not _differ(analysis, leader, arm)]
    if len(tied) == 1:
        return leader, f"best {analysis.metric} of {len(promoted)} promoted arms"
    for name in policy.tie_breakers:
        values = {arm: _to_minimise(name, arm, analysis.control, evidence) for arm in tied}
        known = [value for value in values.values() if value is not None]
        left = [arm for arm in tied if known and values[arm] == min(known)]
        if len(left) == 1:
            best = "lowest" if name == "cost" else "best"
            return left[0], f"{best} {name} of {_listed(tied)}, which {analysis.metric} does not distinguish"
        tied = left or tied
    best = max(tied, key=lambda arm: gain(analysis, arm))
    return best, f"best estimate of {_listed(tied)}, which {analysis.metric} does not distinguish"


def _listed(arms: Sequence[str]) -> str:
    named = arms if len(arms) <= _NUM_NAMED else [*arms[: _NUM_NAMED - 1], f"{len(arms) - _NUM_NAMED + 1} others"]
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _differ(analysis: Analysis, leader: str, arm: str) -> bool:
    """Whether two arms differ on the primary metric.

    Their own comparison decides; without one, whether the arm's estimate is outside the leader's interval.
    """
    for each in analysis.comparisons:
        if {each.arm, each.reference} == {leader, arm} and each.ci_low is not None and each.ci_high is not None:
            return not each.ci_low <= 0 <= each.ci_high
    best, other = analysis.against_control(leader), analysis.against_control(arm)
    if best is None or other is None or other.estimate is None or best.ci_low is None or best.ci_high is None:
        return False
    return not best.ci_low <= other.estimate <= best.ci_high


def _to_minimise(name: str, arm: str, control: str, evidence: Evidence) -> float | None:
    if name == "cost":
        cost_ratio = evidence.cost_ratio(arm, control)
        return None if cost_ratio is None else cost_ratio[0]
    value = evidence.metrics.get(arm, {}).get(name)
    return None if value is None else value if evidence.directions[name] == "lower" else -value
