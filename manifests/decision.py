"""Decision: what the gate decides about each arm and about a run, and the checks that this is based on."""

from typing import Literal

from assay.manifests.base import Computed, Digest, Name
from assay.manifests.comparison import Comparison

Verdict = Literal["promote", "hold", "reject"]
Answer = Literal["pass", "fail", "unknown", "info"]


class GateQuestion(Computed):
    """One check of a gate review, or information shown with the checks."""

    question: Literal["dataset", "benchmark", "cost", "reproducibility", "deployment"]
    """The check. `deployment` is information, not a check."""
    answer: Answer
    """`unknown` if it was not measured, or not enough. `info` for information."""
    counts: bool
    """Whether it affects the decision: it fails, or it must be known because the policy or Assay requires it."""
    evidence: str
    """What the answer is based on, as text."""
    next_step: str = ""
    """What would make it pass; empty if it passes."""


class Decision(Computed):
    """The decision about one variant."""

    arm: str
    """The variant."""
    decision: Verdict
    """`promote`: everything that the policy requires is shown. `reject`: harm is shown. `hold`: neither."""
    reasons: tuple[str, ...]
    """The reasons, one fact each."""
    next_step: str
    """What would change the decision, or what to do next."""
    questions: tuple[GateQuestion, ...] = ()
    """The four checks of the review and the next stage, in order; empty if only the benchmark was evaluated."""
    won_by: str = ""
    """Why it is the winner among the promoted arms; empty if it is not."""
    is_control: bool = False
    """Whether the arm is the A/A arm, which is not a candidate: its hold is not the run's."""


class Winner(Computed):
    """The winner among the promoted arms."""

    arm: str
    """The arm's name."""
    won_by: str
    """What decided it."""


class DecidingPolicy(Computed):
    """A policy, and whether it may promote."""

    digest: Digest
    """Its digest."""
    is_recorded: bool
    """Whether it is the one that was recorded before the first unit. Another one cannot promote."""


class GateAnswer(Computed):
    """The gate's answer about a run, as `assay gate --json` prints it."""

    run_id: Name
    """The run's id."""
    gate: Verdict
    """The decision about the run: promote if any arm is promoted, reject if every arm is rejected, else hold."""
    winner: Winner | None
    """The winner. Null if no arm is promoted."""
    policy: DecidingPolicy
    """The policy that has decided."""
    metric: str
    """The primary metric."""
    alpha: float
    """The family-wise error rate, two-sided."""
    comparisons: tuple[Comparison, ...]
    """The comparisons with the control."""
    decisions: tuple[Decision, ...]
    """The decision about each variant."""
