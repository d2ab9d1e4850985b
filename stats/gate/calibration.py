"""Calibration: how often the gate would decide wrongly on a run's own scores, by permuting arms and planting effects.

Arm labels are permuted within rows (within clusters where the plan names them), in all metrics together, so that no arm
differs from another, whatever the distribution of scores. Then an effect of known size is planted in the primary metric
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
"""Planted effects in multiples of the minimum detectable effect, added to the bound of the policy; negative: harm."""


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

    The minimum detectable effect is that of each replicate's own analysis: the effect that it detects with power 0.8.
    It is added to the bound that the policy requires the interval to exceed: the plan's minimum effect or, for
    non-inferiority, the negative of the arm's margin. Only the benchmark decides; costs and other checks are ignored.

    Args:
        samples: Scores of the primary metric, of the control and a variant at least.
        guardrails: The guardrails. Those that are not computed from row scores (latency, size, suspicious improvement)
            are ignored: permuting arm labels does not change times and sizes, and a planted effect is not a leak.
        plan: The recorded plan.
        policy: The recorded policy.
        num_permutations: Replicates for each of the rates returned.
        seed: Seed of the permutations.
        evidence: Noise floors and the A/A arm, as for `gate.decide`; nothing is planted in that arm.

    Returns:
        First the rates without any difference, then those of each multiple.

    Raises:
        SamplesError: There is only one arm, or a metric is computed from the whole dataset.
    """
    guards = [each for each in guardrails if isinstance(each, _OfScores)]
    variants = [arm for arm in samples.arms if arm not in (plan.control, evidence.aa_arm)]
    _check(samples, guards, variants)
    plan = plan.model_copy(update={"guardrails": tuple(rule for rule in plan.guardrails if rule.kind in _KINDS)})
    planted = samples.index(variants[0])
    bound = _bound(policy, plan, samples.arms[planted])
    multiples: tuple[float | None, ...] = (None, *([0.0] if bound else []), *_MULTIPLES)
    counts, effects = np.zeros((len(multiples), len(_COUNTED))), np.zeros(len(multiples))
    unguarded = plan.model_copy(update={"guardrails": ()})
    for replicate in range(num_permutations):
        rng = np.random.default_rng([seed, replicate])
        order_RA = _orders(samples, rng)
        shuffled = _shuffled(samples, order_RA)
        checks = [_with_scores(each, _shuffled(_scores(each).samples, order_RA)) for each in guards]
        null = analysis.analyze(shuffled, plan, guardrails=checks)
        mde = null.power.mde or 0.0
        for index, multiple in enumerate(multiples):
            gain, analysed = 0.0, null
            if multiple is not None:
                effect = multiple * mde + (bound if multiple >= 0 else 0.0)
                changed, gain = _planted(shuffled, plan, planted, effect, rng)
                analysed = analysis.analyze(changed, plan, guardrails=checks)
            decisions = decide.decide(analysed, policy, plan, evidence)
            without = decide.decide(analysed.model_copy(update={"guardrails": ()}), policy, unguarded, evidence)
            arm = None if multiple is None else samples.arms[planted]
            counts[index] += _counted(decisions, without, arm, gain=gain, bound=bound)
            effects[index] += gain
    return tuple(
        Rates(
            multiple=multiple,
            effect=effect / num_permutations,
            **dict(zip(_COUNTED, (count / num_permutations).tolist(), strict=True)),
        )
        for multiple, effect, count in zip(multiples, effects.tolist(), counts, strict=True)
    )


_OfScores = MetricCheck | SegmentsCheck | GroupGapCheck | SelectionRatioCheck
_KINDS = ("metric", "segments", "group_gap", "selection_ratio")


def _scores(guardrail: _OfScores) -> MetricCheck:
    """The metric check that holds the guardrail's scores."""
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
        raise SamplesError(
            "the run has no variant, so there are no arms to permute",
            remedy="calibrate a run with at least one variant",
        )
    for name, each in (("the primary metric", samples), *((g.metric, g.samples) for g in map(_scores, guardrails))):
        if each.corpus is not None or each.undefined is not None:
            raise SamplesError(
                "is computed from the whole dataset, so arms cannot be permuted within rows",
                field=name,
                remedy="calibrate a run whose metrics have a score for every row",
            )


def _bound(policy: Policy, plan: Plan, arm: str) -> float:
    """The improvement that the policy requires an arm to exceed; negative for non-inferiority."""
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
    """The scores with arms permuted; the same permutation for all metrics keeps an arm's metrics together."""
    return replace(samples, kept_RA=np.take_along_axis(samples.kept_RA, order_RA, axis=1))


def _planted(samples: Samples, plan: Plan, arm: int, gain: float, rng: np.random.Generator) -> tuple[Samples, float]:
    """Samples with one arm improved by `gain`, and the improvement achieved.

    Continuous scores are shifted; of binary scores, randomly chosen ones are flipped, as far as there are rows to flip.
    """
    raised = gain if plan.direction == "higher" else -gain
    if plan.scale != "binary" or samples.num_repeats > 1:
        scores_RA = np.array(samples.kept_RA, dtype=np.float64)
        scores_RA[:, arm] += raised
        return replace(samples, kept_RA=scores_RA), gain
    scores_RA = samples.kept_RA.copy()
    candidates = np.flatnonzero(scores_RA[:, arm] == (0 if raised > 0 else 1))
    num_flipped = min(round(abs(raised) * samples.num_rows), len(candidates))
    flipped = rng.choice(candidates, num_flipped, replace=False)
    scores_RA[flipped, arm] = 1 if raised > 0 else 0
    return replace(samples, kept_RA=scores_RA), float(np.copysign(num_flipped / samples.num_rows, gain))


_COUNTED = ("promote", "hold", "reject", "held_by_guardrails", "false_promote", "false_reject")


def _counted(
    decisions: Sequence[decide.Decision],
    without: Sequence[decide.Decision],
    planted: str | None,
    *,
    gain: float,
    bound: float,
) -> tuple[bool, ...]:
    """Which of `_COUNTED` are true in one replicate; `without` are the decisions without guardrails."""
    promoted = _arms(decisions, "promote")
    rejected = _arms(decisions, "reject")
    counted = {each.arm for each in decisions} if planted is None else {planted}
    # The tolerance keeps an effect that is exactly at the bound from exceeding it by rounding.
    better = {each.arm for each in decisions if (gain if each.arm == planted else 0.0) > bound + 1e-12}
    worse = {planted} if gain < 0 else set[str]()
    held_back = (_arms(without, "promote") - promoted) & counted
    return (
        bool(promoted & counted),
        not (promoted | rejected) & counted,
        bool(rejected & counted),
        bool(held_back),
        bool(promoted - better),
        bool(rejected - worse),
    )


def _arms(decisions: Sequence[decide.Decision], verdict: decide.Verdict) -> set[str]:
    return {each.arm for each in decisions if each.decision == verdict}
