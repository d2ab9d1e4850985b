"""Second methods that check the deciding one where its assumptions are doubtful."""

from collections.abc import Sequence

from scipy import stats

from assay.manifests.comparison import Comparison, SecondMethod, SecondMethodPair
from assay.manifests.plan import Plan
from assay.stats.comparisons import bootstrap, degenerate, paired_tests
from assay.stats.comparisons.randomisation import sign_flip_max_t
from assay.stats.corpus.corpus_samples import CorpusSamples
from assay.stats.distributions import multiplicity
from assay.stats.distributions.max_t import Pair
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.moments.bootstrap_weights import row_keys
from assay.stats.moments.clusters import FEW_CLUSTERS
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import Samples

FEW_ROWS = 30
"""With fewer rows, means may be far from normal."""
HEAVY_SHARE = 0.1
"""If a single row has more than this share of the sum of squares, the mean depends on that row."""
MOST_ROWS_FLIPPED = 5_000
"""With more rows, sign flips are not worth their cost."""
_NUM_FLIPS = 4_999


def second_methods_of(
    family: Sequence[Comparison],
    arms: ArmMeans,
    samples: Samples,
    plan: Plan,
    *,
    pairs: Sequence[Pair],
    is_binary: bool,
) -> tuple[SecondMethod, ...]:
    """The second methods that the scores call for.

    Args:
        family: The comparisons that decide.
        arms: Means of the arms, on the same rows.
        samples: The complete scores.
        plan: The plan.
        pairs: The family's pairs, in the order of `family`.
        is_binary: Whether scores are 0 or 1.
    """
    if isinstance(samples, CorpusSamples):
        bootstrapped = _bootstrap(samples, plan)
        if bootstrapped is None:
            return ()
        return (_check(bootstrapped, family, plan, reason="the metric is one number for all rows together"),)
    methods: list[SecondMethod] = []
    independent = arms.num_clusters is None
    if is_binary and independent and family[0].method in ("max_t", "t_holm", "paired_t") and arms.moments is not None:
        exact = paired_tests.mcnemar_holm(arms.moments, pairs=pairs, alpha=plan.alpha).comparisons
        methods.append(_check(exact, family, plan, reason="scores are 0 or 1"))
    if plan.scale == "ordinal" and independent:
        ranks = _wilcoxon(arms, samples.scores_RA, pairs)
        methods.append(_check(ranks, family, plan, reason="distances between ordinal scores are arbitrary"))
    reason = None if is_binary and independent else _doubt(arms, samples, pairs)
    if reason is not None and samples.num_rows <= MOST_ROWS_FLIPPED:
        methods.append(_check(_sign_flips(samples, plan), family, plan, reason=reason))
    return tuple(methods)


def heaviest_share(samples: Samples, pair: Pair) -> float:
    """The largest share of one row in the sum of squared deviations of a pair's differences; 0 if they do not vary."""
    difference_R = samples.scores_R(pair[0]) - samples.scores_R(pair[1])
    difference_R = difference_R - difference_R.mean()
    square_R = difference_R**2
    total = float(square_R.sum())
    return float(square_R.max()) / total if total > 0 else 0.0


def _doubt(arms: ArmMeans, samples: Samples, pairs: Sequence[Pair]) -> str | None:
    """Why the t distribution may not hold, or None."""
    if arms.num_clusters is not None:
        few = arms.num_clusters < FEW_CLUSTERS
        return f"{arms.num_clusters} clusters, fewer than {FEW_CLUSTERS}" if few else None
    if samples.num_rows < FEW_ROWS:
        return f"{samples.num_rows} rows, fewer than {FEW_ROWS}"
    share = max(heaviest_share(samples, pair) for pair in pairs if pair[1] == arms.control)
    return f"one row makes {share:.0%} of the variance of a difference" if share > HEAVY_SHARE else None


def _sign_flips(samples: Samples, plan: Plan) -> Sequence[Comparison]:
    blocks_R = samples.row_ids if samples.clusters_R is None else samples.clusters_R
    return sign_flip_max_t(
        samples.scores_RA,
        arms=samples.arms,
        control=plan.control,
        family=plan.family,
        alpha=plan.alpha,
        keys_R=row_keys(blocks_R),
        num_replicates=_NUM_FLIPS,
    )


def _bootstrap(samples: CorpusSamples, plan: Plan) -> Sequence[Comparison] | None:
    assert samples.statistic is not None
    keys_R = row_keys(samples.row_ids if samples.clusters_R is None else samples.clusters_R)
    replicates = samples.statistic.replicates(samples.clusters_R, keys_R)
    if replicates is None:
        return None
    return bootstrap.comparisons(
        replicates, arms=samples.arms, control=plan.control, family=plan.family, alpha=plan.alpha
    )


def _check(second: Sequence[Comparison], family: Sequence[Comparison], plan: Plan, *, reason: str) -> SecondMethod:
    agrees = all(
        (deciding.p_adjusted <= plan.alpha) == (checking.p_adjusted <= plan.alpha)
        for deciding, checking in zip(family, second, strict=True)
        if deciding.p_adjusted is not None and checking.p_adjusted is not None
    )
    pairs = tuple(
        SecondMethodPair(
            arm=comparison.arm,
            reference=comparison.reference,
            p_value=comparison.p_value,
            p_adjusted=comparison.p_adjusted,
        )
        for comparison in second
    )
    return SecondMethod(method=second[0].method, reason=reason, pairs=pairs, agrees=agrees)


def _wilcoxon(arms: ArmMeans, scores_RA: Floats, pairs: Sequence[Pair]) -> list[Comparison]:
    """Wilcoxon's signed-rank test with Pratt's treatment of zeros, Holm over the family."""
    p_values = []
    for arm, reference in pairs:
        difference_R = scores_RA[:, arm] - scores_RA[:, reference]
        same = not difference_R.any()
        p_values.append(
            1.0 if same else float(stats.wilcoxon(difference_R, zero_method="pratt", method="approx").pvalue)
        )
    return _as_comparisons(arms, pairs, p_values, multiplicity.adjust(p_values, method="holm"), "wilcoxon_holm")


def _as_comparisons(
    arms: ArmMeans,
    pairs: Sequence[Pair],
    p_values: Sequence[float],
    p_adjusted: Sequence[float | None],
    method: str,
) -> list[Comparison]:
    """Comparisons that consist of p-values only."""
    return [
        degenerate.untestable(arms.arms[arm], arms.arms[reference], method=method, reason="").model_copy(
            update={"p_value": p_value, "p_adjusted": adjusted, "not_testable": None}
        )
        for (arm, reference), p_value, adjusted in zip(pairs, p_values, p_adjusted, strict=True)
    ]
