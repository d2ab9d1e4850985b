"""Calibration: how often the gate would decide wrongly on these very scores, by permuting them and planting effects.

Labels of arms are permuted within rows (within clusters where the plan names them), all metrics together: then no arm
differs from another, whatever the scores look like. Into that an effect of known size is planted in the primary metric
of one variant, and the recorded plan and policy decide.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assay.manifests.calibration import Rates
from assay.manifests.plan import Plan
from assay.manifests.policy import Policy
from assay.stats import analysis
from assay.stats.errors import SamplesError
from assay.stats.gate import decide
from assay.stats.gate.evidence import ArmEvidence
from assay.stats.guardrails.group_checks import GroupGapCheck, SelectionRatioCheck
from assay.stats.guardrails.guardrail_check import GuardrailCheck
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.guardrails.segments_check import SegmentsCheck
from assay.stats.samples.samples import Samples

_MULTIPLES = (-2.0, 1.0, 2.0)
"""What is planted, in smallest detectable effects beyond what the policy wants; negative: harm, from no difference."""


def calibrated(
    samples: Samples,
    guardrails: Sequence[GuardrailCheck],
    plan: Plan,
    policy: Policy,
    *,
    num_permutations: int,
    seed: int,
    evidence: ArmEvidence,
) -> tuple[Rates, ...]:
    """The gate's error rates on these scores.

    The smallest detectable effect is that of each replicate's own analysis: what it would have found with power 0.8. It
    is planted beyond the bound that the policy wants the interval to leave: the plan's minimum effect, or for
    non-inferiority the arm's margin below the control. The benchmark alone decides: costs and the rest are not drawn.

    Args:
        samples: Scores of the primary metric, of the control and a variant at least.
        guardrails: The guardrails. Those that are not made of rows' scores are left out: time and size are no arm's
            label, and an effect that is planted is no leak.
        plan: The recorded plan.
        policy: The recorded policy.
        num_permutations: Replicates of each row of the answer.
        seed: Of the permutations.
        evidence: Noise floors and the A/A arm, as for `gate.decide`; nothing is planted in that arm.

    Returns:
        The rates of no difference first, then of each multiple.

    Raises:
        SamplesError: There is nothing to permute: one arm, or a metric of the whole dataset.
    """
    guards = [each for each in guardrails if isinstance(each, _OfScores)]
    variants = [arm for arm in samples.arms if arm not in (plan.control, evidence.aa_arm)]
    _check(samples, guards, variants)
    plan = plan.model_copy(update={"guardrails": tuple(rule for rule in plan.guardrails if rule.kind in _KINDS)})
    planted = samples.index(variants[0])
    bound = _bound(policy, plan, samples.arms[planted])
    worlds: tuple[float | None, ...] = (None, *([0.0] if bound else []), *_MULTIPLES)
    counts, effects = np.zeros((len(worlds), len(_COUNTED))), np.zeros(len(worlds))
    unguarded = plan.model_copy(update={"guardrails": ()})
    for replicate in range(num_permutations):
        rng = np.random.default_rng([seed, replicate])
        order_RA = _orders(samples, rng)
        shuffled = _shuffled(samples, order_RA)
        held = [_with_scores(each, _shuffled(_scores(each).samples, order_RA)) for each in guards]
        null = analysis.analyze(shuffled, plan, guardrails=held)
        smallest = null.power.mde or 0.0
        for world, multiple in enumerate(worlds):
            gain, found = 0.0, null
            if multiple is not None:
                wanted = multiple * smallest + (bound if multiple >= 0 else 0.0)
                moved, gain = _planted(shuffled, plan, planted, wanted, rng)
                found = analysis.analyze(moved, plan, guardrails=held)
            decisions = decide.decide(found, policy, plan, evidence)
            alone = decide.decide(replace(found, guardrails=()), policy, unguarded, evidence)
            arm = None if multiple is None else samples.arms[planted]
            counts[world] += _counted(decisions, alone, arm, gain=gain, bound=bound)
            effects[world] += gain
    return tuple(
        Rates(
            multiple=multiple,
            effect=effect / num_permutations,
            **dict(zip(_COUNTED, (count / num_permutations).tolist(), strict=True)),
        )
        for multiple, effect, count in zip(worlds, effects.tolist(), counts, strict=True)
    )


_OfScores = MetricCheck | SegmentsCheck | GroupGapCheck | SelectionRatioCheck
_KINDS = ("metric", "segments", "group_gap", "selection_ratio")


def _scores(guardrail: _OfScores) -> MetricCheck:
    """The guardrail's scores, with what they are."""
    match guardrail:
        case MetricCheck():
            return guardrail
        case SelectionRatioCheck():
            return guardrail.selection
        case _:
            return guardrail.metric


def _with_scores(guardrail: _OfScores, samples: Samples) -> _OfScores:
    scores = replace(_scores(guardrail), samples=samples)
    match guardrail:
        case MetricCheck():
            return scores
        case SelectionRatioCheck():
            return replace(guardrail, selection=scores)
        case _:
            return replace(guardrail, metric=scores)


def _check(samples: Samples, guardrails: Sequence[_OfScores], variants: Sequence[str]) -> None:
    if not variants:
        raise SamplesError("one arm cannot be permuted", remedy="calibrate a run with variants")
    for name, each in (("the primary metric", samples), *((g.metric, g.samples) for g in map(_scores, guardrails))):
        if each.corpus is not None or each.undefined is not None:
            raise SamplesError(
                "is made of the whole dataset: the labels of its rows cannot be permuted",
                field=name,
                remedy="calibrate a suite of metrics that have a score for every row",
            )


def _bound(policy: Policy, plan: Plan, arm: str) -> float:
    """The improvement that the policy wants to be exceeded; below 0 where it asks for non-inferiority."""
    if policy.promote_on == "improvement":
        return plan.minimum_effect
    return -plan.margins.get(arm, 0.0)


def _orders(samples: Samples, rng: np.random.Generator) -> np.ndarray:
    """A permutation of the arms for each row, the same for all rows of a cluster."""
    clusters_R = samples.clusters_R
    num_blocks = samples.num_rows if clusters_R is None else int(clusters_R.max()) + 1
    order_BA = rng.permuted(np.tile(np.arange(len(samples.arms)), (num_blocks, 1)), axis=1)
    return order_BA if clusters_R is None else order_BA[clusters_R]


def _shuffled(samples: Samples, order_RA: np.ndarray) -> Samples:
    """The same scores under other arms' names: all metrics of an arm stay together."""
    return replace(samples, kept_RA=np.take_along_axis(samples.kept_RA, order_RA, axis=1))


def _planted(samples: Samples, plan: Plan, arm: int, gain: float, rng: np.random.Generator) -> tuple[Samples, float]:
    """One arm better by so much, or by as much as its rows allow: numbers are moved, of 0 and 1 some are turned."""
    raised = gain if plan.direction == "higher" else -gain
    if plan.scale != "binary" or samples.num_repeats > 1:
        scores_RA = np.array(samples.kept_RA, dtype=np.float64)
        scores_RA[:, arm] += raised
        return replace(samples, kept_RA=scores_RA), gain
    scores_RA = samples.kept_RA.copy()
    turnable = np.flatnonzero(scores_RA[:, arm] == (0 if raised > 0 else 1))
    num_turned = min(round(abs(raised) * samples.num_rows), len(turnable))
    turned = rng.choice(turnable, num_turned, replace=False)
    scores_RA[turned, arm] = 1 if raised > 0 else 0
    return replace(samples, kept_RA=scores_RA), float(np.copysign(num_turned / samples.num_rows, gain))


_COUNTED = ("promote", "hold", "reject", "held_by_guardrails", "false_promote", "false_reject")


def _counted(
    decisions: Sequence[decide.Decision],
    alone: Sequence[decide.Decision],
    planted: str | None,
    *,
    gain: float,
    bound: float,
) -> tuple[bool, ...]:
    """What of `_COUNTED` is true of one replicate; `alone` is what would be decided without guardrails."""
    promoted = _arms(decisions, "promote")
    rejected = _arms(decisions, "reject")
    asked = {each.arm for each in decisions} if planted is None else {planted}
    # Not by rounding alone: what lies on the bound is not beyond it.
    better = {each.arm for each in decisions if (gain if each.arm == planted else 0.0) > bound + 1e-12}
    worse = {planted} if gain < 0 else set[str]()
    held_back = (_arms(alone, "promote") - promoted) & asked
    return (
        bool(promoted & asked),
        not (promoted | rejected) & asked,
        bool(rejected & asked),
        bool(held_back),
        bool(promoted - better),
        bool(rejected - worse),
    )


def _arms(decisions: Sequence[decide.Decision], verdict: decide.Verdict) -> set[str]:
    return {each.arm for each in decisions if each.decision == verdict}
