"""The gate's answer about a whole run: promote, hold or reject, and the winner, from the decisions about its arms."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.cluster.commit.gate_review import GateReview, as_rows


def gate_answer(review: GateReview, *, arm: str | None = None) -> dict[str, Any]:
    """The answer about a run and what it is based on, as plain JSON values.

    Args:
        review: The review of the run.
        arm: The only arm to consider; None: all arms.
    """
    decisions = [row for row in as_rows(review.decisions) if arm in (None, row["arm"])]
    analysis = review.analysis
    return {
        "run_id": review.run.run_id,
        "gate": run_decision(decisions),
        "winner": winner(decisions),
        "policy": {"digest": review.policy.digest(), "recorded": review.is_recorded},
        "metric": analysis.metric,
        "alpha": analysis.alpha,
        "estimates": {
            each.arm: {"estimate": each.estimate, "ci_low": each.ci_low, "ci_high": each.ci_high}
            for each in analysis.comparisons
            if each.reference == analysis.control
        },
        "decisions": decisions,
    }


def run_decision(decisions: Sequence[Mapping[str, Any]]) -> str:
    """The decision about a run: promote if any arm is promoted, reject if every arm is rejected, else hold.

    The A/A arm (the control under another name) is not a candidate and does not count.

    Args:
        decisions: Rows of the table `decisions`.
    """
    by_arm = {row["decision"] for row in decisions if not row["is_control"]}
    if "promote" in by_arm:
        return "promote"
    return "reject" if by_arm == {"reject"} else "hold"


def winner(decisions: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """The winner among the promoted arms and what decided it; None if no arm is promoted."""
    return next(({"arm": row["arm"], "won_by": row["won_by"]} for row in decisions if row["won_by"]), None)
