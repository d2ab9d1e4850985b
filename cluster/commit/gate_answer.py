"""The gate's answer about a whole run: promote, hold or reject, and the winner, from the decisions about its arms."""

from collections.abc import Sequence

from assay.cluster.commit.gate_review import GateReview
from assay.manifests.decision import DecidingPolicy, Decision, GateAnswer, Verdict, Winner


def gate_answer(review: GateReview, *, arm: str | None = None) -> GateAnswer:
    """The answer about a run and what it is based on.

    Args:
        review: The review of the run.
        arm: The only arm to consider; None: all arms.
    """
    decisions = tuple(each for each in review.decisions if arm in (None, each.arm))
    analysis = review.analysis
    return GateAnswer(
        run_id=review.run.run_id,
        gate=run_decision(decisions),
        winner=winner(decisions),
        policy=DecidingPolicy(digest=review.policy.digest(), is_recorded=review.is_recorded),
        metric=analysis.metric,
        alpha=analysis.alpha,
        comparisons=tuple(each for each in analysis.comparisons if each.reference == analysis.control),
        decisions=decisions,
    )


def run_decision(decisions: Sequence[Decision]) -> Verdict:
    """The decision about a run: promote if any arm is promoted, reject if every arm is rejected, else hold.

    The A/A arm (the control under another name) is not a candidate and does not count.
    """
    by_arm = {each.decision for each in decisions if not each.is_control}
    if "promote" in by_arm:
        return "promote"
    return "reject" if by_arm == {"reject"} else "hold"


def winner(decisions: Sequence[Decision]) -> Winner | None:
    """The winner among the promoted arms and what decided it; None if no arm is promoted."""
    return next((Winner(arm=each.arm, won_by=each.won_by) for each in decisions if each.won_by), None)
