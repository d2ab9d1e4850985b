"""The winner: one of the promoted arms, by the primary metric and the policy's tie-breakers."""

from collections.abc import Sequence

from assay.manifests.policy import Policy
from assay.stats.gate.evidence import Evidence
from assay.stats.results.analysis_record import Analysis


def gain(analysis: Analysis, arm: str) -> float:
    """How much better than the control, by the estimate; 0 where there is none."""
    found = analysis.against_control(arm)
    sign = 1 if analysis.direction == "higher" else -1
    return sign * (found.estimate or 0.0) if found is not None else 0.0


def winner(promoted: Sequence[str], analysis: Analysis, policy: Policy, evidence: Evidence) -> tuple[str, str]:
    """One of the promoted arms, and what makes it the winner.

    It is the one with the best estimate of the primary metric, unless that does not tell it from others: then the first
    tie-breaker in which they differ, and in the end the best estimate again.

    Args:
        promoted: At least one arm, in order.
        analysis: The analysis that they were promoted by.
        policy: Names the tie-breakers.
        evidence: Costs and metrics.
    """
    if len(promoted) == 1:
        return promoted[0], "the only promoted arm"
    leader = max(promoted, key=lambda arm: gain(analysis, arm))  # the first of equals
    tied = [arm for arm in promoted if arm == leader or not _told_apart(analysis, leader, arm)]
    if len(tied) == 1:
        return leader, f"best {analysis.metric} of {len(promoted)} promoted arms"
    for name in policy.tie_breakers:
        values = {arm: _to_minimise(name, arm, analysis.control, evidence) for arm in tied}
        known = [value for value in values.values() if value is not None]
        left = [arm for arm in tied if known and values[arm] == min(known)]
        if len(left) == 1:
            return left[0], f"best {name} of {len(tied)} promoted arms that {analysis.metric} does not tell apart"
        tied = left or tied
    best = max(tied, key=lambda arm: gain(analysis, arm))
    return best, f"the best estimate of {len(tied)} promoted arms that nothing tells apart"


def _told_apart(analysis: Analysis, leader: str, arm: str) -> bool:
    """By their own comparison; where the plan has none, by whether the arm's estimate is outside the leader's interval."""
    for found in analysis.comparisons:
        if {found.arm, found.reference} == {leader, arm} and found.ci_low is not None and found.ci_high is not None:
            return not found.ci_low <= 0 <= found.ci_high
    ours, other = analysis.against_control(leader), analysis.against_control(arm)
    if ours is None or other is None or other.estimate is None or ours.ci_low is None or ours.ci_high is None:
        return False
    return not ours.ci_low <= other.estimate <= ours.ci_high


def _to_minimise(name: str, arm: str, control: str, evidence: Evidence) -> float | None:
    if name == "cost":
        found = evidence.cost_ratio(arm, control)
        return None if found is None else found[0]
    value = evidence.metrics.get(arm, {}).get(name)
    return None if value is None else value if evidence.directions[name] == "lower" else -value
