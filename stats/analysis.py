"""Runs a plan on samples: missing scores, arm means, omnibus test, comparisons, margins, guardrails, power."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay.manifests.analysis import Analysis, BestArm, NotTestable
from assay.manifests.comparison import ArmEstimate, Comparison, Margin, OmnibusTest, SecondMethod
from assay.manifests.guardrail_result import GuardrailResult
from assay.manifests.missingness import Missingness
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
    """Runs a plan on samples.

    Args:
        samples: Scores of the primary metric.
        plan: The analysis plan.
        metric: The primary metric's name, used in messages.
        guardrails: The measurements for the plan's guardrails, on the same rows.
        exploratory: Whether the plan differs from the recorded one.

    Returns:
        Every result that the plan requests. Tests that could not be done are in `not_testable`, each with its reason.

    Raises:
        SamplesError: The plan cannot be applied to these scores.
    """
    planned = _with_planned_columns(samples, plan)
    is_binary = plan.scale == "binary" and planned.num_repeats == 1
    if is_binary:
        check_binary(planned, metric=metric)
    complete = _complete_scores(planned, plan)
    control = planned.index(plan.control)
    pairs = pairs_of(len(planned.arms), control=control, family=plan.family)
    design = _design_result(complete.samples, plan, pairs, control=control, is_binary=is_binary)
    by_segment = _by_segment(planned, complete.samples, plan, pairs, control=control, is_binary=is_binary)
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
        num_repeats=planned.num_repeats,
        arms=_with_missing(design.arms, complete.missingness),
        omnibus=design.omnibus,
        comparisons=design.comparisons,
        letters=_letters(design, plan),
        interaction=by_segment.interaction,
        segments=by_segment.segments,
        guardrails=(
            *_guardrails(guardrails, plan, planned),
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
    return analysis.model_copy(
        update={
            "warnings": warnings.of(analysis, complete.samples, pairs=pairs),
            "not_testable": _not_testable(analysis),
        }
    )


@dataclass(frozen=True, eq=False)
class _DesignResult:
    """The results of one design on complete scores. `critical` is None if each comparison has its own."""

    means: ArmMeans | None
    arms: tuple[ArmEstimate, ...]
    omnibus: OmnibusTest | None
    comparisons: tuple[Comparison, ...]
    critical: float | None
    checks: tuple[SecondMethod, ...]


def _with_planned_columns(samples: Samples, plan: Plan) -> Samples:
    """The samples with only those of segments and clusters that the plan names."""
    samples.index(plan.control)
    refuse_out_of_range(samples.kept_RA, samples.arms, samples.row_ids)
    for field, values_R in (("segment", samples.segments_R), ("cluster", samples.clusters_R)):
        column = getattr(plan.columns, field)
        if column is not None and values_R is None:
            raise SamplesError(
                f"the plan names the {field} column '{column}', but the scores have no {field}s",
                field=f"columns.{field}",
                remedy=f"add a {field} for each row, or remove columns.{field} from the plan",
            )
    segments_R = None
    if plan.columns.segment is not None and samples.segments_R is not None:
        segments_R = segment_names(samples.segments_R)
    return replace(
        samples,
        segments_R=segments_R,
        clusters_R=samples.clusters_R if plan.columns.cluster is not None else None,
    )


def _complete_scores(samples: Samples, plan: Plan) -> Complete:
    if samples.undefined is not None:
        return Complete(samples, None)
    if plan.design == "unpaired":
        return completed_unpaired(samples, rule=plan.missing, direction=plan.direction, scale=plan.scale)
    return completed(samples, rule=plan.missing, direction=plan.direction, scale=plan.scale, control=plan.control)


def _has_independent_rows(complete: Complete, plan: Plan) -> bool:
    return plan.design == "paired" and complete.samples.clusters_R is None


def _best(design: _DesignResult, plan: Plan) -> BestArm | None:
    if design.means is None:
        return None
    return best_of(design.means, design.comparisons, direction=plan.direction, alpha=plan.alpha)


def _num_rows(samples: Samples, plan: Plan) -> int:
    return samples.num_rows if plan.design == "paired" else int((~np.isnan(samples.scores_RA)).sum())


def _design_result(samples: Samples, plan: Plan, pairs: Pairs, *, control: int, is_binary: bool) -> _DesignResult:
    if plan.design == "unpaired":
        return _unpaired(samples, plan, pairs, control=control, is_binary=is_binary)
    if samples.undefined is not None:
        return _untestable(samples, plan, pairs, samples.undefined)
    if samples.num_rows < 2:
        return _untestable(samples, plan, pairs, "one row only: the variation of scores cannot be estimated")
    arms = paired.measured_arms(samples, control=control)
    estimates = arm_estimates(arms, alpha=plan.alpha, is_binary=is_binary)
    if not pairs:
        return _DesignResult(arms, estimates, None, (), None, ())
    family = paired.family(arms, plan, pairs, is_binary=is_binary)
    return _DesignResult(
        means=arms,
        arms=estimates,
        omnibus=paired.omnibus_test(arms, samples.kept_RA, plan, is_binary=is_binary),
        comparisons=family.comparisons,
        critical=family.critical,
        checks=second_methods.second_methods_of(
            family.comparisons, arms, samples, plan, pairs=pairs, is_binary=is_binary
        ),
    )


def _unpaired(samples: Samples, plan: Plan, pairs: Pairs, *, control: int, is_binary: bool) -> _DesignResult:
    arms = unpaired.measured_arms(samples, control=control)
    estimates = arm_estimates(arms, alpha=plan.alpha, is_binary=is_binary)
    if not pairs:
        return _DesignResult(arms, estimates, None, (), None, ())
    return _DesignResult(
        means=arms,
        arms=estimates,
        omnibus=unpaired.omnibus_test(samples, arms, plan, is_binary=is_binary),
        comparisons=unpaired.family(samples, arms, plan, pairs, is_binary=is_binary),
        critical=None,
        checks=(),
    )


def _untestable(samples: Samples, plan: Plan, pairs: Pairs, reason: str) -> _DesignResult:
    """The result where nothing can be tested: the scores of a single row, if there is one."""
    mean_A = [None if samples.undefined is not None else float(score) for score in samples.scores_RA[0]]
    estimates = tuple(
        ArmEstimate(
            arm=arm,
            mean=mean,
            std_error=None,
            ci_low=None,
            ci_high=None,
            num_rows=samples.num_rows,
            num_missing=0,
            method="none",
        )
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
    return _DesignResult(None, estimates, omnibus, comparisons, None, ())


def _minus(mean_A: Sequence[float | None], arm: int, reference: int) -> float | None:
    first, second = mean_A[arm], mean_A[reference]
    return None if first is None or second is None else first - second


def _by_segment(
    planned: Samples, samples: Samples, plan: Plan, pairs: Pairs, *, control: int, is_binary: bool
) -> BySegment:
    """Compares arms within each segment: `planned` has all rows, `samples` those with complete scores."""
    if planned.segments_R is None or not pairs:
        return BySegment(None, ())
    names = tuple(np.unique(planned.segments_R).tolist())

    def measure(inside: Samples) -> ArmMeans:
        module = paired if plan.design == "paired" else unpaired
        return module.measured_arms(inside, control=control)

    def compare(arms: ArmMeans, inside: Samples, pair: Pair) -> Comparison:
        if plan.design == "paired":
            return paired.single_comparison(arms, pair, alpha=plan.alpha, is_binary=is_binary)
        return unpaired.single_comparison(inside, arms, pair, alpha=plan.alpha, is_binary=is_binary)

    return segments_of(samples, names=names, pairs=pairs, measure=measure, compare=compare)


def _with_missing(arms: tuple[ArmEstimate, ...], missingness: Missingness | None) -> tuple[ArmEstimate, ...]:
    if missingness is None:
        return arms
    return tuple(
        arm.model_copy(update={"num_missing": counts.num_missing})
        for arm, counts in zip(arms, missingness.arms, strict=True)
    )


def _letters(design: _DesignResult, plan: Plan) -> dict[str, str]:
    if plan.family != "tukey" or not design.comparisons:
        return {}
    sign = -1.0 if plan.direction == "higher" else 1.0
    best_first = sorted(design.arms, key=lambda arm: (sign * (arm.mean or 0.0), arm.arm))
    return letters_of(design.comparisons, arms=[arm.arm for arm in best_first], alpha=plan.alpha)


def _guardrails(checks: Sequence[GuardrailCheck], plan: Plan, primary: Samples) -> tuple[GuardrailResult, ...]:
    if checks and plan.design != "paired":
        raise SamplesError(
            "guardrails require all arms to score the same rows", field="design", value=plan.design, bound="paired"
        )
    return tuple(result for guardrail in checks for result in guardrail.check(plan, primary=primary))


def _margins(design: _DesignResult, plan: Plan, *, is_binary: bool) -> tuple[Margin, ...]:
    arms = design.means
    if arms is None:
        return ()
    return tuple(
        margins.margin_of(comparison, arms, plan, is_binary=is_binary, num_comparisons=len(design.comparisons))
        for comparison in design.comparisons
        if comparison.reference == plan.control and comparison.arm in plan.margins
    )


def _not_testable(analysis: Analysis) -> tuple[NotTestable, ...]:
    entries = []
    for what, test in (("omnibus", analysis.omnibus), ("interaction", analysis.interaction)):
        if test is not None and test.not_testable is not None:
            entries.append(NotTestable(what=what, name=test.test, reason=test.not_testable))
    for comparison in analysis.comparisons:
        if comparison.not_testable is not None:
            name = f"{comparison.arm} - {comparison.reference}"
            entries.append(NotTestable(what="comparison", name=name, reason=comparison.not_testable))
    for segment in analysis.segments:
        if segment.not_testable is not None:
            entries.append(NotTestable(what="segment", name=segment.segment, reason=segment.not_testable))
        for comparison in segment.comparisons:
            if comparison.not_testable is not None:
                name = f"{segment.segment}: {comparison.arm} - {comparison.reference}"
                entries.append(NotTestable(what="segment", name=name, reason=comparison.not_testable))
    for result in analysis.guardrails:
        if result.comparison.not_testable is not None:
            name = f"{result.name}: {result.comparison.arm} - {result.comparison.reference or 'none'}"
            entries.append(NotTestable(what="guardrail", name=name, reason=result.comparison.not_testable))
    return tuple(entries)
