"""Second methods beside the one that decides, where its assumptions are thin."""

from collections.abc import Sequence
from dataclasses import replace

from scipy import stats

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
from assay.stats.results.comparison import Comparison, SecondMethod, SecondMethodPair
from assay.stats.samples.samples import Samples

FEW_ROWS = 30
"""Below this many rows, means may be far from normal."""
HEAVY_SHARE = 0.1
"""From this share of the sum of squares in a single row, the mean hangs on that row."""
MOST_ROWS_FLIPPED = 5_000
"""Above this many rows, sign flips cost more than they tell."""
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
    """The second methods that the scores ask for.

    Args:
        family: The comparisons that decide.
        arms: What was measured, on the same rows.
        samples: The complete scores.
        plan: The plan.
        pairs: The family's pairs, in the order of `family`.
        is_binary: Whether rows score 0 or 1.
    """
    if isinstance(samples, CorpusSamples):
        again = _bootstrap(samples, plan)
        return () if again is None else (_check(again, family, plan, reason="one number of all rows together"),)
    found: list[SecondMethod] = []
    independent = arms.num_clusters is None
    if is_binary and independent and family[0].method in ("max_t", "t_holm", "paired_t") and arms.moments is not None:
        exact = paired_tests.mcnemar_holm(arms.moments, pairs=pairs, alpha=plan.alpha).comparisons
        found.append(_check(exact, family, plan, reason="scores are 0 or 1"))
    if plan.scale == "ordinal" and independent:
        ranks = _wilcoxon(arms, samples.scores_RA, pairs)
        found.append(_check(ranks, family, plan, reason="grades have no fixed distance"))
    reason = None if is_binary and independent else _thin(arms, samples, pairs)
    if reason is not None and samples.num_rows <= MOST_ROWS_FLIPPED:
        found.append(_check(_sign_flips(samples, plan), family, plan, reason=reason))
    return tuple(found)


def heaviest_share(samples: Samples, pair: Pair) -> float:
    """The largest share of one row in the sum of squared deviations of a pair's differences; 0 without any."""
    difference_R = samples.scores_R(pair[0]) - samples.scores_R(pair[1])
    difference_R = difference_R - difference_R.mean()
    square_R = difference_R**2
    total = float(square_R.sum())
    return float(square_R.max()) / total if total > 0 else 0.0


def _thin(arms: ArmMeans, samples: Samples, pairs: Sequence[Pair]) -> str | None:
    """Why a t distribution may not hold, or None."""
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
        (mine.p_adjusted <= plan.alpha) == (theirs.p_adjusted <= plan.alpha)
        for mine, theirs in zip(family, second, strict=True)
        if mine.p_adjusted is not None and theirs.p_adjusted is not None
    )
    pairs = tuple(SecondMethodPair(found.arm, found.reference, found.p_value, found.p_adjusted) for found in second)
    return SecondMethod(second[0].method, reason, pairs, agrees)


def _wilcoxon(arms: ArmMeans, scores_RA: Floats, pairs: Sequence[Pair]) -> list[Comparison]:
    """Wilcoxon's signed ranks with Pratt's zeros, Holm over the family."""
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
    """Comparisons that are only p-values."""
    return [
        replace(
            degenerate.untestable(arms.arms[arm], arms.arms[reference], method=method, reason=""),
            p_value=p_value,
            p_adjusted=adjusted,
            not_testable=None,
        )
        for (arm, reference), p_value, adjusted in zip(pairs, p_values, p_adjusted, strict=True)
    ]
