"""The check of a metric over all rows: every arm against the control, each with its own interval."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail_result import GuardrailResult
from assay.manifests.plan import Plan
from assay.stats.comparisons import degenerate
from assay.stats.designs import paired
from assay.stats.errors import SamplesError
from assay.stats.guardrails.guardrail_check import verdict_of
from assay.stats.moments.score_range import other_than_01
from assay.stats.samples.missing import completed
from assay.stats.samples.samples import Samples, refuse_out_of_range


@dataclass(frozen=True, eq=False)
class MetricCheck:
    """A metric that must not get worse by more than its margin.

    Attributes:
        metric: The metric's name.
        direction: Which direction of it is better.
        scale: Kind of its scores, as in a plan.
        margin: How much worse than the control an arm may be, in units of the metric.
        samples: Its scores, on the same rows as those of the primary metric.
        severity: `critical`: a breach rejects. `advisory`: it is only reported.
    """

    metric: str
    direction: Literal["higher", "lower"]
    scale: str
    margin: float
    samples: Samples
    severity: Literal["critical", "advisory"] = "critical"

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """See `GuardrailCheck.check`; also raises for scores out of range."""
        samples = on_rows_of(self, primary)
        return tuple(
            self._result(comparison)
            for comparison in compared(self, samples, plan, alphas=(plan.alpha,), arms=primary.arms)[0]
        )

    def _result(self, comparison: Comparison) -> GuardrailResult:
        bound = bound_of(self)
        return GuardrailResult(
            name=self.metric,
            kind="metric",
            severity=self.severity,
            metric=self.metric,
            direction=self.direction,
            scale="difference",
            bound=bound,
            comparison=comparison,
            verdict=verdict_of(comparison, bound=bound, direction=self.direction),
        )


def bound_of(guardrail: MetricCheck) -> float:
    """The margin as a signed bound on the difference from the control."""
    return -guardrail.margin if guardrail.direction == "higher" else guardrail.margin


def on_rows_of(guardrail: MetricCheck, primary: Samples) -> Samples:
    """The guardrail's scores with the clusters of the primary metric.

    Raises:
        SamplesError: Its rows differ from those of the primary metric, or a score is out of range.
    """
    _check_same_rows(guardrail, primary)
    refuse_out_of_range(guardrail.samples.kept_RA, guardrail.samples.arms, guardrail.samples.row_ids)
    return replace(guardrail.samples, clusters_R=primary.clusters_R)


def compared(
    guardrail: MetricCheck, samples: Samples, plan: Plan, *, alphas: tuple[float, ...], arms: tuple[str, ...]
) -> tuple[tuple[Comparison, ...], ...]:
    """The comparisons of all other arms with the control on some rows, each with its own interval, for each alpha.

    Args:
        guardrail: The guardrail, for its metric, direction and scale.
        samples: Its scores on these rows.
        plan: The plan, for control and the rule for missing scores.
        alphas: One minus the levels of the intervals.
        arms: The arms, in the order of the result.
    """
    others = [arm for arm in arms if arm != plan.control]
    order = [samples.index(arm) for arm in arms]
    reason = samples.undefined
    if reason is None:
        plain = Samples(
            arms=arms,
            kept_RA=samples.kept_RA[:, order],
            row_ids=samples.row_ids,
            clusters_R=samples.clusters_R,
            num_repeats=samples.num_repeats,
            corpus=samples.corpus,
        )
        samples, reason = complete_scores(guardrail, plain, plan)
    if reason is not None:
        untestable = tuple(degenerate.untestable(arm, plan.control, method="paired_t", reason=reason) for arm in others)
        return (untestable,) * len(alphas)
    is_binary = guardrail.scale == "binary" and samples.num_repeats == 1
    if is_binary:
        check_binary(samples, metric=guardrail.metric)
    control = samples.index(plan.control)
    measured = paired.measured_arms(samples, control=control)

    def alone(arm: str, alpha: float) -> Comparison:
        pair = (samples.index(arm), control)
        comparison = paired.single_comparison(measured, pair, alpha=alpha, is_binary=is_binary)
        if is_binary:
            # Agreement counts only by the number of rows: no discordant row among 5 is weak evidence.
            comparison = paired.with_score_interval(comparison, measured, pair, alpha=alpha)
        return comparison

    return tuple(tuple(alone(arm, alpha) for arm in others) for alpha in alphas)


def complete_scores(guardrail: MetricCheck, samples: Samples, plan: Plan) -> tuple[Samples, str | None]:
    """The guardrail's scores by the plan's rule for missing ones, and why nothing can be said about them, if so."""
    try:
        samples = completed(
            samples, rule=plan.missing, direction=guardrail.direction, scale=guardrail.scale, control=plan.control
        ).samples
    except SamplesError as error:  # such as: an arm has no score in this segment
        return samples, str(error)
    return samples, "fewer than two rows have scores" if samples.num_rows < 2 else None


def check_binary(samples: Samples, *, metric: str) -> None:
    """Checks that scores on a binary scale are 0 or 1.

    Raises:
        SamplesError: A score is neither.
    """
    if samples.are_bits:
        return
    other_RA = other_than_01(samples.scores_RA)
    if other_RA.any():
        row, index = np.argwhere(other_RA)[0]
        raise SamplesError(
            f"{int(other_RA.sum())} scores of '{metric}' are neither 0 nor 1",
            place=f"arm '{samples.arms[index]}', row {samples.row_ids[row]}",
            field="scale",
            value=float(samples.scores_RA[row, index]),
            bound="0 or 1 on the scale 'binary'",
            remedy="use the scale 'continuous' for scores in between",
        )


def _check_same_rows(guardrail: MetricCheck, primary: Samples) -> None:
    ids, primary_ids = guardrail.samples.row_ids, primary.row_ids
    if np.array_equal(ids, primary_ids):
        return
    only: Iterable[object] = np.setxor1d(ids, primary_ids)[:5].tolist() if ids.dtype == primary_ids.dtype else ()
    raise SamplesError(
        f"the guardrail '{guardrail.metric}' was not scored on the rows of the primary metric "
        f"({len(ids)} and {len(primary_ids)} rows)",
        field="guardrails",
        value=", ".join(map(str, only)) or None,
        remedy="score all metrics on the same rows",
    )
