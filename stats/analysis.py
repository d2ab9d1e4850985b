"""Carries out a plan on samples, step by step: missing scores, arms, omnibus, family, margins, guardrails, power."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay.manifests.plan import Plan
from assay.stats import warnings
from assay.stats.comparisons import degenerate
from assay.stats.comparisons.compact_letters import letters_of
from assay.stats.comparisons.family import pairs_of
from assay.stats.designs import margins, paired, second_methods, unpaired
from assay.stats.designs.estimates import arm_estimates
from assay.stats.designs.segments import BySegment, segments_of
from assay.stats.distributions.max_t import Pair
from assay.stats.errors import SamplesError
from assay.stats.guardrails.guardrail_check import GuardrailCheck
from assay.stats.guardrails.metric_check import check_binary
from assay.stats.guardrails.suspicious_improvement import suspicious_improvements
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.omnibus import omnibus_result
from assay.stats.power.observed import best_of, power_of
from assay.stats.results.analysis_record import Analysis, BestArm, NotTestable
from assay.stats.results.comparison import ArmEstimate, Comparison, Margin, OmnibusTest, SecondMethod
from assay.stats.results.guardrail_result import GuardrailResult
from assay.stats.results.missingness import Missingness
from assay.stats.samples.missing import Complete, completed, completed_unpaired
from assay.stats.samples.samples import Samples, refuse_out_of_range, segment_names

Pairs = tuple[Pair, ...]


def analyze(
    samples: Samples,
    plan: Plan,
    *,
    metric: str = "score",
    guardrails: Sequence[GuardrailCheck] = (),
    exploratory: bool = False,
) -> Analysis:
    """Carries out the plan.

    Args:
        samples: Scores of the primary metric.
        plan: What to do.
        metric: The primary metric's name, for messages.
        guardrails: What was measured for the plan's guardrails, on the same rows.
        exploratory: Whether the plan is another than the recorded one.

    Returns:
        Everything that the plan asks for. What could not be done stands in `not_testable` with its reason.

    Raises:
        SamplesError: The scores are not such that the plan can be carried out.
    """
    given = _chosen(samples, plan)
    is_binary = plan.scale == "binary" and given.num_repeats == 1
    if is_binary:
        check_binary(given, metric=metric)
    complete = _completed(given, plan)
    control = given.index(plan.control)
    pairs = pairs_of(len(given.arms), control=control, family=plan.family)
    design = _carried_out(complete.samples, plan, pairs, control=control, is_binary=is_binary)
    by_segment = _by_segment(given, complete.samples, plan, pairs, control=control, is_binary=is_binary)
    analysis = Analysis(
        design=plan.design,
        metric=metric,
        direction=plan.direction,
        scale=plan.scale,
        control=plan.control,
        alpha=plan.alpha,
        family=plan.family,
        num_rows=_num_rows(complete.samples, plan),
        num_clusters=None if complete.samples.clusters_R is None else int(complete.samples.clusters_R.max()) + 1,
        num_repeats=given.num_repeats,
        arms=_with_missing(design.arms, complete.missingness),
        omnibus=design.omnibus,
        comparisons=design.comparisons,
        letters=_letters(design, plan),
        interaction=by_segment.interaction,
        segments=by_segment.segments,
        guardrails=(
            *_guardrails(guardrails, plan, given),
            *suspicious_improvements(design.comparisons, plan, metric=metric),
        ),
        margins=_margins(design, plan, is_binary=is_binary),
        best=_best(design, plan),
        missing=complete.missingness,
        checks=design.checks,
        power=power_of(
            design.comparisons,
            critical=design.critical,
            num_binary_rows=complete.samples.num_rows if is_binary and _has_independent_rows(complete, plan) else None,
        ),
        warnings=(),
        not_testable=(),
        plan_digest=plan.digest(),
        exploratory=exploratory,
    )
    return replace(
        analysis,
        warnings=warnings.of(analysis, complete.samples, pairs=pairs),
        not_testable=_not_testable(analysis),
    )


@dataclass(frozen=True, eq=False)
class _Design:
    """What a design made of the complete scores. `critical` is None where comparisons have critical values apart."""

    means: ArmMeans | None
    arms: tuple[ArmEstimate, ...]
    omnibus: OmnibusTest | None
    comparisons: tuple[Comparison, ...]
    critical: float | None
    checks: tuple[SecondMethod, ...]


def _chosen(samples: Samples, plan: Plan) -> Samples:
    """The samples with segments and clusters exactly where the plan names them."""
    samples.index(plan.control)
    refuse_out_of_range(samples.kept_RA, samples.arms, samples.row_ids)
    for field, values_R in (("segment", samples.segments_R), ("cluster", samples.clusters_R)):
        named = getattr(plan.columns, field)
        if named is not None and values_R is None:
            raise SamplesError(
                f"the plan names the {field} column '{named}', but the scores come without",
                field=f"columns.{field}",
                remedy=f"give each row its {field}, or plan without",
            )
    segments_R = None
    if plan.columns.segment is not None and samples.segments_R is not None:
        segments_R = segment_names(samples.segments_R)
    return replace(
        samples,
        segments_R=segments_R,
        clusters_R=samples.clusters_R if plan.columns.cluster is not None else None,
    )


def _completed(given: Samples, plan: Plan) -> Complete:
    if given.undefined is not None:
        return Complete(given, None)
    if plan.design == "unpaired":
        return completed_unpaired(given, rule=plan.missing, direction=plan.direction, scale=plan.scale)
    return completed(given, rule=plan.missing, direction=plan.direction, scale=plan.scale, control=plan.control)


def _has_independent_rows(complete: Complete, plan: Plan) -> bool:
    return plan.design == "paired" and complete.samples.clusters_R is None


def _best(design: _Design, plan: Plan) -> BestArm | None:
    if design.means is None:
        return None
    return best_of(design.means, design.comparisons, direction=plan.direction, alpha=plan.alpha)


def _num_rows(samples: Samples, plan: Plan) -> int:
    return samples.num_rows if plan.design == "paired" else int((~np.isnan(samples.scores_RA)).sum())


def _carried_out(samples: Samples, plan: Plan, pairs: Pairs, *, control: int, is_binary: bool) -> _Design:
    if plan.design == "unpaired":
        return _unpaired(samples, plan, pairs, control=control, is_binary=is_binary)
    if samples.undefined is not None:
        return _untestable(samples, plan, pairs, samples.undefined)
    if samples.num_rows < 2:
        return _untestable(samples, plan, pairs, "one row: nothing tells how scores vary")
    arms = paired.measured_arms(samples, control=control)
    estimates = arm_estimates(arms, alpha=plan.alpha, is_binary=is_binary)
    if not pairs:
        return _Design(arms, estimates, None, (), None, ())
    family = paired.family(arms, plan, pairs, is_binary=is_binary)
    return _Design(
        means=arms,
        arms=estimates,
        omnibus=paired.omnibus_test(arms, samples.kept_RA, plan, is_binary=is_binary),
        comparisons=family.comparisons,
        critical=family.critical,
        checks=second_methods.second_methods_of(
            family.comparisons, arms, samples, plan, pairs=pairs, is_binary=is_binary
        ),
    )


def _unpaired(samples: Samples, plan: Plan, pairs: Pairs, *, control: int, is_binary: bool) -> _Design:
    arms = unpaired.measured_arms(samples, control=control)
    estimates = arm_estimates(arms, alpha=plan.alpha, is_binary=is_binary)
    if not pairs:
        return _Design(arms, estimates, None, (), None, ())
    return _Design(
        means=arms,
        arms=estimates,
        omnibus=unpaired.omnibus_test(samples, arms, plan, is_binary=is_binary),
        comparisons=unpaired.family(samples, arms, plan, pairs, is_binary=is_binary),
        critical=None,
        checks=(),
    )


def _untestable(samples: Samples, plan: Plan, pairs: Pairs, reason: str) -> _Design:
    """What there is to say where nothing can be tested: the scores of a single row, if there are any."""
    mean_A = [None if samples.undefined is not None else float(score) for score in samples.scores_RA[0]]
    estimates = tuple(
        ArmEstimate(arm, mean, None, None, None, samples.num_rows, 0, "none")
        for arm, mean in zip(samples.arms, mean_A, strict=True)
    )
    comparisons = tuple(
        degenerate.untestable(
            samples.arms[arm],
            samples.arms[reference],
            method=plan.posthoc,
            reason=reason,
            estimate=_minus(mean_A, arm, reference),
        )
        for arm, reference in pairs
    )
    omnibus = omnibus_result.untestable(plan.omnibus, reason) if pairs else None
    return _Design(None, estimates, omnibus, comparisons, None, ())


def _minus(mean_A: Sequence[float | None], arm: int, reference: int) -> float | None:
    first, second = mean_A[arm], mean_A[reference]
    return None if first is None or second is None else first - second


def _by_segment(
    given: Samples, samples: Samples, plan: Plan, pairs: Pairs, *, control: int, is_binary: bool
) -> BySegment:
    if given.segments_R is None or not pairs:
        return BySegment(None, ())
    names = tuple(np.unique(given.segments_R).tolist())

    def measure(inside: Samples) -> ArmMeans:
        module = paired if plan.design == "paired" else unpaired
        return module.measured_arms(inside, control=control)

    def compare(arms: ArmMeans, inside: Samples, pair: Pair) -> Comparison:
        if plan.design == "paired":
            return paired.alone(arms, pair, alpha=plan.alpha, is_binary=is_binary)
        return unpaired.alone(inside, arms, pair, alpha=plan.alpha, is_binary=is_binary)

    return segments_of(samples, names=names, pairs=pairs, measure=measure, compare=compare)


def _with_missing(arms: tuple[ArmEstimate, ...], missingness: Missingness | None) -> tuple[ArmEstimate, ...]:
    if missingness is None:
        return arms
    return tuple(replace(arm, num_missing=its.num_missing) for arm, its in zip(arms, missingness.arms, strict=True))


def _letters(design: _Design, plan: Plan) -> tuple[tuple[str, str], ...]:
    if plan.family != "tukey" or not design.comparisons:
        return ()
    sign = -1.0 if plan.direction == "higher" else 1.0
    best_first = sorted(design.arms, key=lambda arm: (sign * (arm.mean or 0.0), arm.arm))
    return letters_of(design.comparisons, arms=[arm.arm for arm in best_first], alpha=plan.alpha)


def _guardrails(given: Sequence[GuardrailCheck], plan: Plan, primary: Samples) -> tuple[GuardrailResult, ...]:
    if given and plan.design != "paired":
        raise SamplesError(
            "guardrails need every arm on the same rows", field="design", value=plan.design, bound="paired"
        )
    return tuple(result for guardrail in given for result in guardrail.check(plan, primary=primary))


def _margins(design: _Design, plan: Plan, *, is_binary: bool) -> tuple[Margin, ...]:
    arms = design.means
    if arms is None:
        return ()
    return tuple(
        margins.margin_of(comparison, arms, plan, is_binary=is_binary, num_comparisons=len(design.comparisons))
        for comparison in design.comparisons
        if comparison.reference == plan.control and comparison.arm in plan.margins
    )


def _not_testable(analysis: Analysis) -> tuple[NotTestable, ...]:
    found = []
    for what, test in (("omnibus", analysis.omnibus), ("interaction", analysis.interaction)):
        if test is not None and test.not_testable is not None:
            found.append(NotTestable(what, test.test, test.not_testable))
    for comparison in analysis.comparisons:
        if comparison.not_testable is not None:
            name = f"{comparison.arm} - {comparison.reference}"
            found.append(NotTestable("comparison", name, comparison.not_testable))
    for segment in analysis.segments:
        if segment.not_testable is not None:
            found.append(NotTestable("segment", segment.segment, segment.not_testable))
        for comparison in segment.comparisons:
            if comparison.not_testable is not None:
                name = f"{segment.segment}: {comparison.arm} - {comparison.reference}"
                found.append(NotTestable("segment", name, comparison.not_testable))
    for result in analysis.guardrails:
        if result.comparison.not_testable is not None:
            name = f"{result.name}: {result.comparison.arm} - {result.comparison.reference or 'none'}"
            found.append(NotTestable("guardrail", name, result.comparison.not_testable))
    return tuple(found)
