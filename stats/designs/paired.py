"""The paired design (all arms score the same rows): arm means, omnibus test and comparisons, as the plan says.

Axes: R rows, A arms.
"""

import numpy as np

from assay.manifests.comparison import Comparison, OmnibusTest
from assay.manifests.plan import Plan
from assay.stats.comparisons import paired_tests
from assay.stats.comparisons.family import Family
from assay.stats.distributions import proportions
from assay.stats.distributions.max_t import Pair, pair_variances
from assay.stats.errors import SamplesError
from assay.stats.moments import arm_means
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.moments.clusters import cluster_moments_of, refuse_few_clusters
from assay.stats.moments.moments import Scores, moments_of
from assay.stats.omnibus import omnibus_result, repeated_measures, wald
from assay.stats.samples.samples import Samples


def measured_arms(samples: Samples, *, control: int) -> ArmMeans:
    """Means and their covariance from complete scores; cluster-robust (CR1) if rows have clusters.

    Args:
        samples: At least two rows, no missing scores.
        control: Index of the control.

    Raises:
        SamplesError: There are too few clusters.
    """
    if samples.clusters_R is None:
        moments = moments_of(samples.kept_RA, arms=samples.arms, control=control)
        return arm_means.of_rows(moments, corpus=samples.corpus)
    clusters = cluster_moments_of(samples.scores_RA, samples.clusters_R, arms=samples.arms, control=control)
    refuse_few_clusters(clusters.num_clusters)
    pairs = list(np.ndindex(len(samples.arms), len(samples.arms)))
    rows_vary_P = pair_variances(clusters.rows.difference_covariance_AA, pairs) > 0
    return ArmMeans(
        arms=samples.arms,
        control=control,
        num_rows_A=np.full(len(samples.arms), clusters.rows.num_rows),
        mean_A=clusters.rows.difference_mean_A,
        mean_covariance_AA=clusters.difference_mean_covariance_AA,
        df=clusters.num_clusters - 1,
        arm_mean_A=clusters.rows.mean_A,
        arm_std_error_A=np.sqrt(np.maximum(np.diag(clusters.mean_covariance_AA), 0.0)),
        rounding=clusters.rows.rounding,
        moments=clusters.rows,
        num_clusters=clusters.num_clusters,
        rows_vary_AA=rows_vary_P.reshape(len(samples.arms), -1),
        corpus=samples.corpus,
    )


_OMNIBUS_BY_SCALE = {"binary": "cochran_q", "ordinal": "friedman"}


def omnibus_test(arms: ArmMeans, scores_RA: Scores, plan: Plan, *, is_binary: bool) -> OmnibusTest:
    """The plan's omnibus test; `auto` is Cochran's Q for 0/1 scores, Friedman for ordinal scores, else RM-ANOVA.

    With clusters it is the Wald test on cluster totals, on any scale.

    Raises:
        SamplesError: The plan names a test that does not fit the scores.
    """
    moments = arms.moments
    assert moments is not None
    if arms.num_clusters is not None:
        return cluster_omnibus_test(arms, plan)
    scale = "binary" if is_binary else "continuous" if plan.scale == "binary" else plan.scale
    test: str = _OMNIBUS_BY_SCALE.get(scale, "rm_anova") if plan.omnibus == "auto" else plan.omnibus
    if test == "friedman" and len(arms.arms) == 2:
        if plan.omnibus == "friedman":
            return omnibus_result.untestable(test, "Friedman's test needs three arms; two arms are compared directly")
        test = "rm_anova"
    match test:
        case "rm_anova":
            return repeated_measures.rm_anova(moments)
        case "hotelling":
            return repeated_measures.hotelling(moments)
        case "friedman":
            return repeated_measures.friedman(scores_RA)
        case "cochran_q":
            if moments.ones_AA is None:
                raise SamplesError(
                    "Cochran's Q needs scores of 0 or 1",
                    field="omnibus",
                    value=plan.omnibus,
                    bound="auto, rm_anova, hotelling, friedman",
                )
            return repeated_measures.cochran_q(scores_RA)
        case _:
            raise SamplesError(
                "this test is for unpaired arms; on paired rows it wastes power",
                field="omnibus",
                value=test,
                bound="auto, rm_anova, hotelling, friedman, cochran_q",
            )


def cluster_omnibus_test(arms: ArmMeans, plan: Plan) -> OmnibusTest:
    """The Wald test on cluster totals, in either design.

    Raises:
        SamplesError: The plan names a test that assumes independent rows.
    """
    assert arms.num_clusters is not None
    assert arms.rows_vary_AA is not None
    if plan.omnibus != "auto":
        raise SamplesError(
            "this test assumes independent rows, but the plan names a cluster column",
            field="omnibus",
            value=plan.omnibus,
            bound="auto (a Wald test on cluster totals)",
        )
    others = [index for index in range(len(arms.arms)) if index != arms.control]
    return wald.cluster_wald(
        arms.mean_A[others],
        arms.mean_covariance_AA[np.ix_(others, others)],
        num_clusters=arms.num_clusters,
        rounding=arms.rounding,
        rows_vary=bool(arms.rows_vary_AA.any()),
    )


def family(arms: ArmMeans, plan: Plan, pairs: tuple[Pair, ...], *, is_binary: bool) -> Family:
    """The plan's comparisons.

    `auto` is max-T; for 0/1 scores of a single pair, or if a pair has few discordant rows, McNemar's mid-p with Holm.

    Raises:
        SamplesError: The plan names a method that does not fit the scores.
    """
    moments = arms.moments
    assert moments is not None
    can_use_mcnemar = is_binary and arms.num_clusters is None
    match plan.posthoc:
        case "mcnemar_holm":
            if not can_use_mcnemar:
                raise SamplesError(
                    "McNemar's test needs independent rows with scores of 0 or 1",
                    field="posthoc",
                    value=plan.posthoc,
                    bound="auto, max_t, t_holm",
                )
            return paired_tests.mcnemar_holm(moments, pairs=pairs, alpha=plan.alpha)
        case "t_holm":
            return paired_tests.t_holm(arms, pairs=pairs, alpha=plan.alpha)
        case "auto" if can_use_mcnemar and (len(pairs) == 1 or paired_tests.needs_counting(moments, pairs)):
            return paired_tests.mcnemar_holm(moments, pairs=pairs, alpha=plan.alpha)
        case "auto" | "max_t":
            lone = "paired_t" if arms.num_clusters is None else "paired_t_cr1"
            return paired_tests.max_t(arms, pairs=pairs, alpha=plan.alpha, lone_method=lone)
        case _:
            raise SamplesError(
                "this method is for unpaired arms",
                field="posthoc",
                value=plan.posthoc,
                bound="auto, max_t, mcnemar_holm, t_holm",
            )


def single_comparison(arms: ArmMeans, pair: Pair, *, alpha: float, is_binary: bool) -> Comparison:
    """One comparison outside a family: McNemar with Tango's interval for independent 0/1 rows, else the paired t."""
    if is_binary and arms.num_clusters is None and arms.moments is not None:
        return paired_tests.mcnemar_holm(arms.moments, pairs=[pair], alpha=alpha).comparisons[0]
    lone = "paired_t" if arms.num_clusters is None else "paired_t_cr1"
    return paired_tests.max_t(arms, pairs=[pair], alpha=alpha, lone_method=lone).comparisons[0]


def with_score_interval(comparison: Comparison, arms: ArmMeans, pair: Pair, *, alpha: float) -> Comparison:
    """The comparison of 0/1 arms with Tango's interval, which is not a point even if no row is discordant."""
    if arms.moments is None or arms.num_clusters is not None or arms.moments.discordant_AA is None:
        return comparison
    discordant_AA = arms.moments.discordant_AA
    b, c = int(discordant_AA[pair]), int(discordant_AA[pair[::-1]])
    low, high = proportions.tango_interval(b, c, num_rows=arms.moments.num_rows, alpha=alpha)
    return comparison.model_copy(update={"ci_low": low, "ci_high": high})


def gains(comparison: Comparison, direction: str) -> tuple[float, float] | None:
    """The interval as gains: its less favourable and its more favourable end; None without an interval."""
    if comparison.ci_low is None or comparison.ci_high is None:
        return None
    low, high = comparison.ci_low, comparison.ci_high
    return (low, high) if direction == "higher" else (-high + 0.0, -low + 0.0)
