"""Fairness guardrails: how far groups of rows are apart, by a paired bootstrap over rows or clusters of rows.

The delta method fails for a largest difference or smallest ratio if two groups are equally extreme, so every replicate
determines the extreme groups again. The interval is the estimate -+ the 1 - alpha quantile of the replicates' distances
from it, so that their bias (a replicate's gap is too large if groups are similar) widens it. Ratios are compared by
their logarithms.

Axes: R rows, A arms, G groups, B replicates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail_result import GuardrailPart, GuardrailResult
from assay.manifests.plan import Plan
from assay.stats.comparisons import bootstrap, degenerate
from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.guardrails import log_ratio
from assay.stats.guardrails.guardrail_check import verdict_of
from assay.stats.guardrails.metric_check import MetricCheck, complete_scores, on_rows_of
from assay.stats.guardrails.segments_check import too_small
from assay.stats.moments.bootstrap_weights import Keys, poisson_weights, row_keys
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import Samples, segment_names

_NUM_REPLICATES = 4_000
_METHOD = "paired_bootstrap"


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of rows that are compared with each other.

    Attributes:
        column: The column that defines them.
        names_R: The group of each row, shape (rows,); None: no group.
        minimum_rows: Groups with fewer rows are not judged.
    """

    column: str
    names_R: NDArray[Any]
    minimum_rows: int


@dataclass(frozen=True, eq=False)
class GroupGapCheck:
    """The arm's largest difference of a metric between groups must not exceed the control's by more than the margin.

    Attributes:
        metric: The metric, its margin and its scores.
        groups: The groups.
    """

    metric: MetricCheck
    groups: Groups

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """See `GuardrailCheck.check`."""
        measured = _measured(self.metric, self.groups, plan, primary=primary)
        gaps = measured.replicates(lambda means_GxA: means_GxA.max(axis=0) - means_GxA.min(axis=0))
        control = primary.index(plan.control)
        return tuple(
            measured.result(
                arm,
                measured.compared(gaps, arm, control, plan),
                name=f"gap of {self.metric.metric} by {self.groups.column}",
                kind="group_gap",
                direction="lower",
                scale="difference",
                bound=self.metric.margin,
            )
            for arm in range(len(primary.arms))
            if arm != control
        )


@dataclass(frozen=True, eq=False)
class SelectionRatioCheck:
    """The ratio of the lowest to the highest selection rate of groups must be at least a bound, in each arm on its own.

    Attributes:
        selection: Scores that are 1 where the arm predicts the positive class, else 0, with the class as the metric's
            name; `margin` is the smallest ratio allowed.
        groups: The groups.
    """

    selection: MetricCheck
    groups: Groups

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """See `GuardrailCheck.check`. The comparisons have no reference."""
        measured = _measured(self.selection, self.groups, plan, primary=primary)
        logs = measured.replicates(_log_smallest_over_largest)

        def alone(arm: int) -> Comparison:
            # The reference is 0 in every replicate, so the difference is the logarithm itself.
            comparison = measured.compared(logs, arm, None, plan)
            if comparison.degenerate is not None:  # such as: all rows of all groups are selected
                reason = "the groups are identical in every replicate: there is no variation to test with"
                return degenerate.untestable(comparison.arm, "", method=_METHOD, reason=reason, estimate=1.0)
            return log_ratio.exponentiated(comparison)

        return tuple(
            measured.result(
                arm,
                alone(arm),
                name=f"selection of {self.selection.metric} by {self.groups.column}",
                kind="selection_ratio",
                direction="higher",
                scale="ratio",
                bound=self.selection.margin,
            )
            for arm, name in enumerate(primary.arms)
            if name != plan.control
        )


@dataclass(frozen=True, eq=False)
class _GroupMeans:
    """Means of the groups that are large enough, with their bootstrap replicates."""

    guardrail: MetricCheck
    arms: tuple[str, ...]
    names: tuple[str, ...]
    num_rows: tuple[int, ...]
    means: tuple[Replicates, ...]
    not_judged: tuple[str, ...]
    problem: str

    def replicates(self, of_groups: Callable[[Floats], Floats]) -> Replicates | None:
        """A statistic of the groups' means (axis G first) with its replicates; None if there is a problem."""
        if self.problem:
            return None
        with np.errstate(all="ignore"):
            estimate_A = of_groups(np.stack([each.estimate_A for each in self.means]))
            return Replicates(estimate_A, of_groups(np.stack([each.replicates_BA for each in self.means])))

    def compared(self, replicates: Replicates | None, arm: int, control: int | None, plan: Plan) -> Comparison:
        """The comparison of an arm with the control, or with 0 if `control` is None."""
        name, reference = self.arms[arm], "" if control is None else self.arms[control]
        if replicates is None:
            return degenerate.untestable(name, reference, method=_METHOD, reason=self.problem)

        def pair(values_xA: Floats) -> Floats:
            first_x = np.zeros_like(values_xA[..., arm]) if control is None else values_xA[..., control]
            return np.stack([first_x, values_xA[..., arm]], axis=-1)

        # Only these two columns: a value that is undefined for another arm must not affect this one.
        both = Replicates.of(pair(replicates.estimate_A), pair(replicates.replicates_BA))
        (comparison,) = bootstrap.comparisons(
            both, arms=(reference, name), control=reference, family="dunnett", alpha=plan.alpha, method=_METHOD
        )
        return comparison

    def result(
        self,
        arm: int,
        comparison: Comparison,
        *,
        name: str,
        kind: str,
        direction: Literal["higher", "lower"],
        scale: Literal["difference", "ratio"],
        bound: float,
    ) -> GuardrailResult:
        """The result of one arm's comparison against the bound."""
        means = [float(each.estimate_A[arm]) for each in self.means]
        furthest = [self.names[index] for index in (np.argmin(means), np.argmax(means))] if means else []
        return GuardrailResult(
            name=name,
            kind=kind,
            severity=self.guardrail.severity,
            metric=self.guardrail.metric,
            direction=direction,
            scale=scale,
            bound=bound,
            comparison=comparison,
            verdict=verdict_of(comparison, bound=bound, direction=direction),
            where=" and ".join(furthest) or None,
            parts=tuple(
                GuardrailPart(name=name, num_rows=num_rows, estimate=mean)
                for name, num_rows, mean in zip(self.names, self.num_rows, means, strict=True)
            ),
            not_judged=self.not_judged,
        )


def _log_smallest_over_largest(means_GxA: Floats) -> Floats:
    """The log ratio of the lowest to the highest mean; not finite if no row of some group is selected."""
    return np.log(means_GxA.min(axis=0)) - np.log(means_GxA.max(axis=0))


def _measured(guardrail: MetricCheck, groups: Groups, plan: Plan, *, primary: Samples) -> _GroupMeans:
    samples, reason = on_rows_of(guardrail, primary), None
    names_R = segment_names(groups.names_R)
    if samples.undefined is None:
        given_ids = samples.row_ids
        samples, reason = complete_scores(guardrail, samples, plan)
        names_R = names_R[np.isin(given_ids, samples.row_ids)]
    if reason is not None:
        return _GroupMeans(guardrail, primary.arms, (), (), (), (), reason)
    order = [samples.index(arm) for arm in primary.arms]
    ids = samples.row_ids if samples.clusters_R is None else samples.clusters_R
    keys_R = row_keys(ids)  # a row, or cluster, has the same weight in every group and arm
    names: list[str] = []
    num_rows: list[int] = []
    means: list[Replicates] = []
    not_judged: list[str] = []
    problem = ""
    for name in np.unique(names_R).tolist():
        inside = samples.subset(names_R == name)
        why = too_small(inside, groups.minimum_rows)
        if why:
            not_judged.append(f"{name} ({why})")
            continue
        if inside.undefined is not None:
            problem = f"in group '{name}': {inside.undefined}"
            continue
        names.append(name)
        num_rows.append(inside.num_rows)
        means.append(_means(inside.scores_RA[:, order], keys_R[names_R == name]))
    if not problem and len(names) < 2:
        problem = f"groups that are large enough: {len(names)}; a comparison of groups needs two"
    return _GroupMeans(guardrail, primary.arms, tuple(names), tuple(num_rows), tuple(means), tuple(not_judged), problem)


def _means(scores_RA: Floats, keys_R: Keys) -> Replicates:
    """Means of the arms; NaN in replicates without a row of the group, so that all groups share the replicates."""
    num_rows, num_arms = scores_RA.shape
    sums_BA, weight_B = np.zeros((_NUM_REPLICATES, num_arms)), np.zeros(_NUM_REPLICATES)
    for first, count, rows in bootstrap.blocks(num_rows, _NUM_REPLICATES):
        weights_BR = poisson_weights(keys_R[rows], first=first, num_replicates=count).astype(np.float64)
        sums_BA[first : first + count] += weights_BR @ scores_RA[rows]
        weight_B[first : first + count] += weights_BR.sum(axis=1)
    with np.errstate(all="ignore"):
        return Replicates(scores_RA.mean(axis=0), sums_BA / weight_B[:, None])
