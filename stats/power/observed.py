"""After an analysis: minimum detectable effects, rows still needed, and the best variant corrected for selection."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from assay.manifests.analysis import BestArm, PairPower, Power
from assay.manifests.comparison import Comparison
from assay.stats.comparisons import selection
from assay.stats.moments.arm_means import ArmMeans

POWER = 0.8
"""The power at which minimum detectable effects are computed."""


def power_of(comparisons: Sequence[Comparison], *, critical: float | None, num_binary_rows: int | None = None) -> Power:
    """The minimum detectable effect (mde) of each comparison and of the whole family.

    `mde = (critical + z_power) * std_error`: a true difference of that size exceeds the family's critical value with
    probability `POWER` (normal approximation of the noncentral t). For 0/1 scores a larger difference also has a larger
    variance: there `mde = (critical + z_power) * sqrt((d + mde - mde^2) / n)`, with d the share of rows that already
    differ, which is Connor's formula (1987, Biometrics 43:207) with one standard error for both hypotheses.

    Args:
        comparisons: The family.
        critical: Its critical value; None derives each comparison's own from its interval.
        num_binary_rows: The number of rows, if these are independent and score 0 or 1; None for other scores.
    """
    z_power = float(stats.norm.ppf(POWER))
    pairs = []
    for comparison in comparisons:
        own = own_critical(comparison) if critical is None else critical
        mde = None if own is None or not comparison.std_error else (own + z_power) * comparison.std_error
        if mde is not None and num_binary_rows is not None:
            assert comparison.estimate is not None
            assert comparison.std_error is not None
            assert own is not None
            squared = (own + z_power) ** 2 / num_binary_rows
            discordant = num_binary_rows * comparison.std_error**2 + comparison.estimate**2
            mde = (squared + math.sqrt(squared**2 + 4 * (1 + squared) * squared * discordant)) / (2 * (1 + squared))
        pairs.append(PairPower(arm=comparison.arm, reference=comparison.reference, mde=mde))
    mdes = [pair.mde for pair in pairs if pair.mde is not None]
    return Power(mde=max(mdes) if mdes else None, power=POWER, critical=critical, pairs=tuple(pairs))


def own_critical(comparison: Comparison) -> float | None:
    """Half the width of the interval in standard errors: the critical value behind it; None without an interval."""
    if not comparison.std_error or comparison.ci_low is None or comparison.ci_high is None:
        return None
    return (comparison.ci_high - comparison.ci_low) / 2 / comparison.std_error


def rows_to_settle(comparison: Comparison, *, bound: float, num_rows: int) -> int | None:
    """The number of additional rows that would move the whole interval to one side of a bound, if the estimate is true.

    Standard errors shrink with the square root of the rows, so the total is `n * ((critical + z_power) * se / gap)^2`,
    where gap is the distance between the estimate and the bound, at 80 % power.

    Args:
        comparison: The comparison.
        bound: The value that the interval should exclude, in units of the difference.
        num_rows: Number of rows that were analysed.

    Returns:
        Additional rows, at least 1; None if the total would exceed 1e12 or there is no interval.
    """
    critical = own_critical(comparison)
    if critical is None or comparison.estimate is None or not comparison.std_error:
        return None
    gap = abs(comparison.estimate - bound)
    ratio = (critical + float(stats.norm.ppf(POWER))) * comparison.std_error / gap if gap > 0 else np.inf
    total = num_rows * ratio * ratio
    return max(int(np.ceil(total - num_rows)), 1) if total < 1e12 else None


def best_of(arms: ArmMeans, comparisons: Sequence[Comparison], *, direction: str, alpha: float) -> BestArm | None:
    """The best variant against the control, with its raw and its selection-corrected estimate; None below two variants.

    Args:
        arms: Means of the arms.
        comparisons: The family, including every variant against the control.
        direction: Which direction is better.
        alpha: One minus the level of the corrected interval.
    """
    control = arms.arms[arms.control]
    variants = [each for each in comparisons if each.reference == control and each.estimate is not None]
    if len(variants) < 2:
        return None
    sign = 1.0 if direction == "higher" else -1.0
    indices = [arms.arms.index(each.arm) for each in variants]
    gains = sign * arms.mean_A[indices]
    covariance = arms.relative_covariance_AA[np.ix_(indices, indices)]
    best = int(np.argmax(gains))
    raw = BestArm(
        arm=variants[best].arm,
        reference=control,
        estimate=float(sign * gains[best]),
        estimate_corrected=None,
        ci_low_corrected=None,
        ci_high_corrected=None,
        method="none: tied with another variant",
    )
    lead = gains[best] - np.delete(gains, best).max()
    # Between ties nothing was selected by luck: the order of the arms decides which is called the best.
    if lead <= 1e-9 * float(np.sqrt(covariance.diagonal().max())):
        return raw
    corrected = selection.best_of(gains, covariance, alpha=alpha)
    ends = sorted((sign * corrected.ci_low, sign * corrected.ci_high)) if variants[best].std_error else (None, None)
    return raw.model_copy(
        update={
            "estimate_corrected": sign * corrected.corrected,
            "ci_low_corrected": ends[0],
            "ci_high_corrected": ends[1],
            "method": "hybrid_median_unbiased",
        }
    )
