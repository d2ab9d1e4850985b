"""Comparisons of arms on the same rows: max-T, paired t with Holm, McNemar mid-p with Holm.

Axes: A arms; a pair is (index of the arm, index of its reference); differences are arm minus reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from assay.manifests.errors import InvalidInput, did_you_mean
from assay.stats.distributions import multiplicity, proportions
from assay.stats.distributions.max_t import Pair, max_t_of, pair_variances
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.moments.clusters import CONSTANT_TOTALS
from assay.stats.moments.moments import Moments
from assay.stats.results.comparison import Comparison

FEW_DISCORDANT = 25
"""Below this many discordant rows in any pair, McNemar's mid-p decides instead of a normal approximation."""


@dataclass(frozen=True)
class Family:
    """Comparisons that share one error rate.

    Attributes:
        comparisons: One for each pair.
        critical: What |t| must exceed for an adjusted p-value below alpha.
    """

    comparisons: tuple[Comparison, ...]
    critical: float


def pairs_of(num_arms: int, *, control: int, family: str) -> tuple[Pair, ...]:
    """The pairs of a family: `dunnett` every variant against the control, `tukey` all pairs, the control first."""
    order = [control, *(index for index in range(num_arms) if index != control)]
    num_references = 1 if family == "dunnett" else num_arms - 1
    return tuple((order[j], order[i]) for i in range(num_references) for j in range(i + 1, num_arms))


def pairs_named(arms: Sequence[str], *, control: str, family: str) -> tuple[Pair, ...]:
    """The pairs of a family, by the control's name.

    Raises:
        InvalidInput: The control is no arm, or there is nothing to compare.
    """
    if control not in arms:
        raise InvalidInput(
            "the control is no arm", field="control", value=control, remedy=did_you_mean(control, list(arms))
        )
    if len(arms) < 2:
        raise InvalidInput("one arm has nothing to be compared with", field="arms", value=len(arms), bound="2 or more")
    return pairs_of(len(arms), control=list(arms).index(control), family=family)


def max_t(arms: ArmMeans, *, pairs: Sequence[Pair], alpha: float, lone_method: str = "paired_t") -> Family:
    """Single-step max-T with the empirical covariance, and simultaneous intervals.

    Hothorn, Bretz & Westfall (2008, Biom. J. 50:346), section 4: `t_l = estimate_l / se_l`, and the adjusted p-value
    is that of |t_l| in the distribution of the largest |t| of the family, a multivariate t. It holds the family-wise
    error rate strongly, with or without an omnibus test before it.

    Args:
        arms: Means of the arms and their covariance.
        pairs: The family.
        alpha: Family-wise error rate, two-sided.
        lone_method: What the method is called where the family is one pair.
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
            vary = arms.rows_vary_AA is not None and bool(arms.rows_vary_AA[arm, reference])
            comparisons.append(
                without_variance(*names, estimate, rounding=arms.rounding, df=arms.df, method=method, rows_vary=vary)
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
    """A paired t-test for each pair, p-values by Holm, intervals by Bonferroni (Holm has no simultaneous ones).

    The arguments are those of `max_t`.
    """
    alone = [max_t(arms, pairs=[pair], alpha=alpha / len(pairs)).comparisons[0] for pair in pairs]
    return Family(holm(alone, "t_holm"), float(stats.t.isf(alpha / 2 / len(pairs), arms.df)))


def mcnemar_holm(moments: Moments, *, pairs: Sequence[Pair], alpha: float) -> Family:
    """McNemar's mid-p for each pair, Holm over the family, Tango's score intervals at the Bonferroni level.

    Fagerland, Lydersen & Laake (2013, BMC Med. Res. Methodol. 13:91); Tango (1998, Stat. Med. 17:891). The statistic
    is McNemar's z without correction, shown for orientation only.

    Args:
        moments: Moments of scores that are all 0 or 1.
        pairs: The family.
        alpha: Family-wise error rate, two-sided.
    """
    discordant_AA = moments.discordant_AA
    if discordant_AA is None:
        raise ValueError("McNemar's test needs scores of 0 or 1")
    num_rows = moments.num_rows
    std_error_P = np.sqrt(pair_variances(moments.difference_covariance_AA / num_rows, pairs))
    alone = []
    for (arm, reference), std_error in zip(pairs, std_error_P.tolist(), strict=True):
        b, c = int(discordant_AA[arm, reference]), int(discordant_AA[reference, arm])
        names = moments.arms[arm], moments.arms[reference]
        if b + c == 0:
            alone.append(identical(*names, df=None, method="mcnemar"))
            continue
        low, high = proportions.tango_interval(b, c, num_rows=num_rows, alpha=alpha / len(pairs))
        p_value = proportions.mcnemar_midp(b, c)
        alone.append(
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
    comparisons = tuple(alone) if len(pairs) == 1 else holm(alone, "mcnemar_holm")
    return Family(comparisons, float(stats.norm.isf(alpha / 2 / len(pairs))))


def needs_counting(moments: Moments, pairs: Sequence[Pair]) -> bool:
    """Whether a normal approximation would not do for 0/1 scores: a pair with few discordant rows, or all one way."""
    discordant_AA = moments.discordant_AA
    assert discordant_AA is not None
    counts = [(int(discordant_AA[i, j]), int(discordant_AA[j, i])) for i, j in pairs]
    return any(b + c < FEW_DISCORDANT or max(b, c) == moments.num_rows for b, c in counts)


def without_variance(
    arm: str,
    reference: str,
    estimate: float,
    *,
    rounding: float,
    df: float | None,
    method: str,
    rows_vary: bool = False,
) -> Comparison:
    """The answer where a difference has no variance: identical if it is 0 on every row, else untestable.

    Args:
        arm: The arm.
        reference: Its reference.
        estimate: The difference.
        rounding: What still counts as 0.
        df: Degrees of freedom, if any.
        method: The method that was to be used.
        rows_vary: Whether the difference varies over rows, and only the totals of clusters do not.
    """
    if not rows_vary and abs(estimate) <= rounding:
        return identical(arm, reference, df=df, method=method)
    constant = f"the arms differ by {estimate:g} everywhere: without variation there is no test"
    reason = CONSTANT_TOTALS if rows_vary else constant
    return replace(
        untestable(arm, reference, method=method, reason=reason, estimate=estimate),
        std_error=0.0,
        df=df,
        degenerate=None if rows_vary else "constant_difference",
    )


def untestable(arm: str, reference: str, *, method: str, reason: str, estimate: float | None = None) -> Comparison:
    """A comparison that has an estimate at most (none where it is no finite number), and why."""
    return Comparison(
        arm=arm,
        reference=reference,
        estimate=estimate if estimate is not None and np.isfinite(estimate) else None,
        std_error=None,
        statistic=None,
        df=None,
        p_value=None,
        p_adjusted=None,
        ci_low=None,
        ci_high=None,
        method=method,
        not_testable=reason,
    )


def identical(arm: str, reference: str, *, df: float | None, method: str) -> Comparison:
    """The answer for arms that agree on every row."""
    return Comparison(
        arm=arm,
        reference=reference,
        estimate=0.0,
        std_error=0.0,
        statistic=None,
        df=df,
        p_value=1.0,
        p_adjusted=1.0,
        ci_low=0.0,
        ci_high=0.0,
        method=method,
        degenerate="identical",
    )


def holm(alone: Sequence[Comparison], method: str) -> tuple[Comparison, ...]:
    """The comparisons with p-values adjusted over those that have one, in any order of the family."""
    adjusted = multiplicity.adjust([comparison.p_value for comparison in alone], method="holm")
    return tuple(
        replace(comparison, p_adjusted=p_adjusted, method=method)
        for comparison, p_adjusted in zip(alone, adjusted, strict=True)
    )
