"""Comparisons of paired arms: max-T, paired t with Holm, McNemar mid-p with Holm.

Axes: A arms, P pairs (index of the arm, index of its reference). Differences are arm minus reference.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from assay.manifests.comparison import Comparison
from assay.stats.comparisons import degenerate
from assay.stats.comparisons.family import Family, holm
from assay.stats.distributions import proportions
from assay.stats.distributions.max_t import Pair, max_t_of, pair_variances
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.moments.moments import Moments

FEW_DISCORDANT = 25
"""With fewer discordant rows in any pair, McNemar's mid-p decides instead of a normal approximation."""


def max_t(arms: ArmMeans, *, pairs: Sequence[Pair], alpha: float, lone_method: str = "paired_t") -> Family:
    """Single-step max-T with the empirical covariance, and simultaneous intervals.

    Hothorn, Bretz & Westfall (2008, Biom. J. 50:346), section 4: `t_l = estimate_l / se_l`, and the adjusted p-value
    is that of |t_l| in the distribution of the largest |t| of the family, a multivariate t. It controls the family-wise
    error rate in the strong sense, with or without a preceding omnibus test.

    Args:
        arms: Means of the arms and their covariance.
        pairs: The family.
        alpha: Family-wise error rate, two-sided.
        lone_method: Name of the method in the result if the family is a single pair.
    """
    estimate_P = np.array([arms.mean_A[arm] - arms.mean_A[reference] for arm, reference in pairs])
    std_error_P = np.sqrt(pair_variances(arms.mean_covariance_AA, pairs))
    largest = max_t_of(arms.mean_covariance_AA, pairs, df=arms.df)
    critical = largest.critical(alpha) if largest.num_pairs else float(stats.t.isf(alpha / 2, arms.df))
    method = lone_method if len(pairs) == 1 else "max_t"
    comparisons = []
    for (arm, reference), estimate, std_error in zip(pairs, estimate_P.tolist(), std_error_P.tolist(), strict=True):
        if std_error == 0:
            names = arms.arms[arm], arms.arms[reference]
            rows_vary = arms.rows_vary_AA is not None and bool(arms.rows_vary_AA[arm, reference])
            comparisons.append(
                degenerate.without_variance(
                    *names, estimate, rounding=arms.rounding, df=arms.df, method=method, rows_vary=rows_vary
                )
            )
            continue
        statistic = estimate / std_error
        comparisons.append(
            Comparison(
                arm=arms.arms[arm],
                reference=arms.arms[reference],
                estimate=estimate,
                std_error=std_error,
                statistic=statistic,
                df=arms.df,
                p_value=float(2 * stats.t.sf(abs(statistic), arms.df)),
                p_adjusted=largest.p_adjusted(statistic),
                ci_low=estimate - critical * std_error,
                ci_high=estimate + critical * std_error,
                method=method,
            )
        )
    return Family(tuple(comparisons), critical)


def t_holm(arms: ArmMeans, *, pairs: Sequence[Pair], alpha: float) -> Family:
    """A paired t-test per pair, with p-values by Holm and intervals by Bonferroni (Holm has no simultaneous intervals).

    Arguments as in `max_t`.
    """
    unadjusted = [max_t(arms, pairs=[pair], alpha=alpha / len(pairs)).comparisons[0] for pair in pairs]
    return Family(holm(unadjusted, "t_holm"), float(stats.t.isf(alpha / 2 / len(pairs), arms.df)))


def mcnemar_holm(moments: Moments, *, pairs: Sequence[Pair], alpha: float) -> Family:
    """McNemar's mid-p per pair, Holm over the family, and Tango's score intervals at the Bonferroni level.

    Fagerland, Lydersen & Laake (2013, BMC Med. Res. Methodol. 13:91); Tango (1998, Stat. Med. 17:891). The statistic
    is McNemar's z without continuity correction, for information only.

    Args:
        moments: Moments of scores that are all 0 or 1.
        pairs: The family.
        alpha: Family-wise error rate, two-sided.

    Raises:
        ValueError: Some scores are neither 0 nor 1.
    """
    discordant_AA = moments.discordant_AA
    if discordant_AA is None:
        raise ValueError("McNemar's test needs scores of 0 or 1")
    num_rows = moments.num_rows
    std_error_P = np.sqrt(pair_variances(moments.difference_covariance_AA / num_rows, pairs))
    unadjusted = []
    for (arm, reference), std_error in zip(pairs, std_error_P.tolist(), strict=True):
        b, c = int(discordant_AA[arm, reference]), int(discordant_AA[reference, arm])
        names = moments.arms[arm], moments.arms[reference]
        if b + c == 0:
            unadjusted.append(degenerate.identical(*names, df=None, method="mcnemar"))
            continue
        low, high = proportions.tango_interval(b, c, num_rows=num_rows, alpha=alpha / len(pairs))
        p_value = proportions.mcnemar_midp(b, c)
        unadjusted.append(
            Comparison(
                arm=names[0],
                reference=names[1],
                estimate=(b - c) / num_rows,
                std_error=std_error,
                statistic=(b - c) / (b + c) ** 0.5,
                df=None,
                p_value=p_value,
                p_adjusted=p_value,
                ci_low=low,
                ci_high=high,
                method="mcnemar",
            )
        )
    comparisons = tuple(unadjusted) if len(pairs) == 1 else holm(unadjusted, "mcnemar_holm")
    return Family(comparisons, float(stats.norm.isf(alpha / 2 / len(pairs))))


def needs_counting(moments: Moments, pairs: Sequence[Pair]) -> bool:
    """Whether a normal approximation is too rough for 0/1 scores.

    That is so if a pair has few discordant rows, or if all its rows are discordant in one direction.
    """
    discordant_AA = moments.discordant_AA
    assert discordant_AA is not None
    counts = [(int(discordant_AA[i, j]), int(discordant_AA[j, i])) for i, j in pairs]
    return any(b + c < FEW_DISCORDANT or max(b, c) == moments.num_rows for b, c in counts)
