"""The unpaired design (each arm scores its own rows): arm means, omnibus test and comparisons, as the plan says.

Axes: R rows, A arms, G clusters.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from assay.manifests.comparison import Comparison, OmnibusTest
from assay.manifests.plan import Plan
from assay.stats.comparisons import paired_tests, unpaired_tests
from assay.stats.comparisons.family import holm
from assay.stats.designs import paired
from assay.stats.distributions import proportions
from assay.stats.distributions.max_t import Pair
from assay.stats.errors import SamplesError
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.moments.clusters import refuse_few_clusters
from assay.stats.moments.moments import Floats
from assay.stats.omnibus import independent_groups
from assay.stats.samples.samples import Samples

Groups = tuple[Floats, ...]


def groups_of(samples: Samples) -> Groups:
    """Each arm's scores in ascending order, so that results do not depend on the order of rows."""
    return tuple(np.sort(column[~np.isnan(column)]) for column in samples.scores_RA.T)


def measured_arms(samples: Samples, *, control: int) -> ArmMeans:
    """Means of the arms and their covariance; CR1 over the clusters of all arms together if rows have clusters.

    With clusters `df` is clusters - 1; without, it is that of the smallest arm, and comparisons use their own (Welch).

    Raises:
        SamplesError: There are too few clusters, or an arm has fewer than two scores.
    """
    groups = groups_of(samples)
    for arm, group in zip(samples.arms, groups, strict=True):
        if len(group) < 2:
            raise SamplesError(
                f"arm '{arm}' has too few scores",
                field="arm",
                value=len(group),
                bound="at least two scores in every arm",
                remedy="score more rows, or leave the arm out",
            )
    num_rows_A = np.array([len(group) for group in groups])
    mean_A = np.array([group[0] + (group - group[0]).mean() for group in groups])
    rounding = 8 * float(np.finfo(np.float64).eps) * max(float(np.abs(group).max()) for group in groups)
    variance_A = np.array([(group - group[0]).var(ddof=1) for group in groups]) / num_rows_A
    covariance_AA = np.diag(variance_A)
    df = float(num_rows_A.min() - 1)
    num_clusters = rows_vary_AA = None
    if samples.clusters_R is not None:
        num_clusters = int(samples.clusters_R.max()) + 1
        refuse_few_clusters(num_clusters)
        df = num_clusters - 1
        totals_AG = _cluster_totals(samples, mean_A, num_clusters=num_clusters)
        variance_A = (totals_AG**2).sum(axis=1) * (num_clusters / df)
        # Differences first: if arms have nearly the same totals, their covariances would cancel to rounding error.
        away_AG = totals_AG - totals_AG[control]
        away_AG[np.abs(away_AG).max(axis=1) <= rounding] = 0.0
        rows_vary_AA = np.array([[_differ(one, other, rounding) for one in groups] for other in groups])
        covariance_AA = (away_AG[:, None] * away_AG).sum(axis=2) * (num_clusters / df)
    return ArmMeans(
        arms=samples.arms,
        control=control,
        num_rows_A=num_rows_A,
        mean_A=mean_A - mean_A[control],
        mean_covariance_AA=covariance_AA,
        df=df,
        arm_mean_A=mean_A,
        arm_std_error_A=np.sqrt(variance_A),
        rounding=rounding,
        num_clusters=num_clusters,
        rows_vary_AA=rows_vary_AA,
    )


def omnibus_test(samples: Samples, arms: ArmMeans, plan: Plan, *, is_binary: bool) -> OmnibusTest:
    """The plan's omnibus test; `auto` is chi-square for 0/1, Kruskal-Wallis for ordinal scores, else Welch's ANOVA.

    With clusters it is the Wald test on cluster totals, on any scale.

    Raises:
        SamplesError: The plan names a test that does not fit the scores.
    """
    if samples.clusters_R is not None:
        return paired.cluster_omnibus_test(arms, plan)
    auto = "chi_square" if is_binary else "kruskal" if plan.scale == "ordinal" else "welch"
    test = auto if plan.omnibus == "auto" else plan.omnibus
    groups = groups_of(samples)
    match test:
        case "welch":
            return independent_groups.welch(groups)
        case "oneway":
            return independent_groups.oneway(groups)
        case "kruskal":
            return independent_groups.kruskal(groups)
        case "chi_square":
            if not is_binary:
                raise SamplesError(
                    "the chi-square test needs scores of 0 or 1",
                    field="omnibus",
                    value=test,
                    bound="auto, welch, oneway, kruskal",
                )
            return independent_groups.chi_square(groups)
        case _:
            raise SamplesError(
                "this test needs paired arms: all on the same rows",
                field="omnibus",
                value=test,
                bound="auto, welch, oneway, kruskal, chi_square",
            )


def family(
    samples: Samples, arms: ArmMeans, plan: Plan, pairs: Sequence[Pair], *, is_binary: bool
) -> tuple[Comparison, ...]:
    """The plan's comparisons.

    `auto` is, for 0/1 scores, the score test with Holm and Newcombe's intervals; for means, Games-Howell (all pairs of
    three or more arms) or Welch's t with Holm, neither of which assumes equal variances; with clusters, max-T with the
    CR1 covariance.

    Raises:
        SamplesError: The plan names a method that does not fit the scores or the family.
    """
    if samples.clusters_R is not None:
        if plan.posthoc != "auto":
            raise SamplesError(
                "this method assumes independent rows, but the plan names a cluster column",
                field="posthoc",
                value=plan.posthoc,
                bound="auto (max-T with cluster-robust errors)",
            )
        return _by_cluster(arms, pairs, alpha=plan.alpha)
    groups = groups_of(samples)
    if plan.posthoc == "auto" and is_binary:
        return _proportions(groups, arms, pairs, alpha=plan.alpha)
    method = plan.posthoc
    if method == "auto":
        method = "games_howell" if plan.family == "tukey" and len(groups) > 2 else "t_holm"
    if method not in _POSTHOC:
        raise SamplesError(
            "this method needs paired arms: all on the same rows",
            field="posthoc",
            value=method,
            bound=", ".join(("auto", *_POSTHOC)),
        )
    return _POSTHOC[method](groups, arms.arms, control=plan.control, alpha=plan.alpha, family=plan.family)


_POSTHOC = {
    "t_holm": unpaired_tests.welch_t_holm,
    "tukey_hsd": unpaired_tests.tukey_hsd,
    "games_howell": unpaired_tests.games_howell,
    "dunnett": unpaired_tests.dunnett,
}


def single_comparison(samples: Samples, arms: ArmMeans, pair: Pair, *, alpha: float, is_binary: bool) -> Comparison:
    """One comparison outside a family: score test and Newcombe's interval for 0/1 scores, else Welch's t."""
    if samples.clusters_R is not None:
        return _by_cluster(arms, [pair], alpha=alpha)[0]
    groups = groups_of(samples)
    if is_binary:
        return _proportions(groups, arms, [pair], alpha=alpha)[0]
    names = arms.arms[pair[0]], arms.arms[pair[1]]
    return unpaired_tests.welch_t_holm((groups[pair[0]], groups[pair[1]]), names, control=names[1], alpha=alpha)[0]


def _by_cluster(arms: ArmMeans, pairs: Sequence[Pair], *, alpha: float) -> tuple[Comparison, ...]:
    """Max-T with the cluster-robust covariance of the arms' means."""
    return paired_tests.max_t(arms, pairs=pairs, alpha=alpha, lone_method="t_cr1").comparisons


def _proportions(groups: Groups, arms: ArmMeans, pairs: Sequence[Pair], *, alpha: float) -> tuple[Comparison, ...]:
    """The score test of two proportions (Pearson's chi-square without correction) with Holm, and Newcombe's intervals.

    Intervals are at the Bonferroni level, so they are simultaneous.
    """
    comparisons = []
    for arm, reference in pairs:
        ones, ones_reference = int(groups[arm].sum()), int(groups[reference].sum())
        num_rows, num_rows_reference = len(groups[arm]), len(groups[reference])
        common = (ones + ones_reference) / (num_rows + num_rows_reference)
        estimate = ones / num_rows - ones_reference / num_rows_reference
        spread = (common * (1 - common) * (1 / num_rows + 1 / num_rows_reference)) ** 0.5
        z = estimate / spread if spread > 0 else None
        low, high = proportions.newcombe_interval(
            ones,
            num_rows,
            successes_reference=ones_reference,
            num_rows_reference=num_rows_reference,
            alpha=alpha / len(pairs),
        )
        p_value = 1.0 if z is None else float(2 * stats.norm.sf(abs(z)))
        variance = arms.mean_covariance_AA[arm, arm] + arms.mean_covariance_AA[reference, reference]
        comparisons.append(
            Comparison(
                arm=arms.arms[arm],
                reference=arms.arms[reference],
                estimate=estimate,
                std_error=float(variance**0.5),
                statistic=z,
                df=None,
                p_value=p_value,
                p_adjusted=p_value,
                ci_low=low,
                ci_high=high,
                method="score_newcombe",
            )
        )
    return holm(comparisons, "score_newcombe" if len(pairs) == 1 else "score_newcombe_holm")


def _differ(one: Floats, other: Floats, rounding: float) -> bool:
    """Whether two arms' ascending scores differ by more than a constant shift."""
    if len(one) != len(other):
        return bool(np.ptp(one) > 0 or np.ptp(other) > 0)
    return bool(np.ptp(one - other) > rounding)


def _cluster_totals(samples: Samples, mean_A: Floats, *, num_clusters: int) -> Floats:
    """Each cluster's share of each arm's deviation from its mean; CR1 is G / (G - 1) times their cross-products."""
    assert samples.clusters_R is not None
    totals_AG = np.empty((len(samples.arms), num_clusters))
    for index, mean in enumerate(mean_A):
        scores_R = samples.scores_R(index)
        inside_R = ~np.isnan(scores_R)
        away_R = (scores_R[inside_R] - mean) / inside_R.sum()
        totals_AG[index] = np.bincount(samples.clusters_R[inside_R], weights=away_R, minlength=num_clusters)
    return totals_AG
