"""What the rows could have seen, and what the best variant's estimate is worth after it was picked as the best."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from assay.stats.comparisons import selection
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.results.analysis_record import BestArm, PairPower, Power
from assay.stats.results.comparison import Comparison

POWER = 0.8
"""The probability with which a difference of the size of the mde would have been found."""


def power_of(comparisons: Sequence[Comparison], *, critical: float | None, num_binary_rows: int | None = None) -> Power:
    """The smallest true difference that each comparison, and the whole family, would have found.

    `mde = (critical + z_power) * std_error`: a difference of that size exceeds the family's critical value with the
    given probability (normal approximation of the noncentral t). Rows of 0 and 1 that make a difference vary more
    themselves: there `mde = (critical + z_power) * sqrt((d + mde - mde^2) / n)`, with the share d of rows that differ
    already, which is Connor's formula (1987, Biometrics 43:207) with one standard error for both hypotheses.

    Args:
        comparisons: The family.
        critical: Its critical value; None takes each comparison's own from its interval.
        num_binary_rows: The rows, where they are independent and score 0 or 1; None for other scores.
    """
    z_power = float(stats.norm.ppf(POWER))
    pairs = []
    for found in comparisons:
        own = own_critical(found) if critical is None else critical
        mde = None if own is None or not found.std_error else (own + z_power) * found.std_error
        if mde is not None and num_binary_rows is not None:
            assert found.estimate is not None
            assert found.std_error is not None
            assert own is not None
            squared = (own + z_power) ** 2 / num_binary_rows
            discordant = num_binary_rows * found.std_error**2 + found.estimate**2
            mde = (squared + math.sqrt(squared**2 + 4 * (1 + squared) * squared * discordant)) / (2 * (1 + squared))
        pairs.append(PairPower(found.arm, found.reference, mde))
    known = [pair.mde for pair in pairs if pair.mde is not None]
    return Power(max(known) if known else None, POWER, critical, tuple(pairs))


def own_critical(comparison: Comparison) -> float | None:
    """Half the interval in standard errors: the critical value that made it."""
    if not comparison.std_error or comparison.ci_low is None or comparison.ci_high is None:
        return None
    return (comparison.ci_high - comparison.ci_low) / 2 / comparison.std_error


def rows_to_settle(comparison: Comparison, *, bound: float, num_rows: int) -> int | None:
    """How many rows more would bring the whole interval to one side of a bound, if the estimate is the truth.

    Standard errors shrink with the square root of rows, so the total is `n * ((critical + z_power) * se / gap)^2`,
    with a gap between the estimate and the bound, at 80 % power.

    Args:
        comparison: The comparison as found.
        bound: The value that the interval is to leave, in units of the difference.
        num_rows: Rows that were analysed.

    Returns:
        More rows, at least 1; None where no number can be told.
    """
    critical = own_critical(comparison)
    if critical is None or comparison.estimate is None or not comparison.std_error:
        return None
    gap = abs(comparison.estimate - bound)
    ratio = (critical + float(stats.norm.ppf(POWER))) * comparison.std_error / gap if gap > 0 else np.inf
    total = num_rows * ratio * ratio
    return max(int(np.ceil(total - num_rows)), 1) if total < 1e12 else None


def best_of(arms: ArmMeans, comparisons: Sequence[Comparison], *, direction: str, alpha: float) -> BestArm | None:
    """The best variant against the control, its estimate raw and corrected for selection; None below two variants.

    Args:
        arms: What was measured.
        comparisons: The family, with every variant against the control.
        direction: Which direction is better.
        alpha: One minus the level of the corrected interval.
    """
    control = arms.arms[arms.control]
    found = [each for each in comparisons if each.reference == control and each.estimate is not None]
    if len(found) < 2:
        return None
    sign = 1.0 if direction == "higher" else -1.0
    indices = [arms.arms.index(each.arm) for each in found]
    gains = sign * arms.mean_A[indices]
    covariance = arms.relative_covariance_AA[np.ix_(indices, indices)]
    best = int(np.argmax(gains))
    raw = BestArm(
        arm=found[best].arm,
        reference=control,
        estimate=float(sign * gains[best]),
        estimate_corrected=None,
        ci_low_corrected=None,
        ci_high_corrected=None,
        method="none: tied with another variant",
    )
    lead = gains[best] - np.delete(gains, best).max()
    # Between equals nothing was selected by its luck: who is called the best is the order of the arms.
    if lead <= 1e-9 * float(np.sqrt(covariance.diagonal().max())):
        return raw
    corrected = selection.best_of(gains, covariance, alpha=alpha)
    ends = sorted((sign * corrected.ci_low, sign * corrected.ci_high)) if found[best].std_error else (None, None)
    return replace(
        raw,
        estimate_corrected=sign * corrected.corrected,
        ci_low_corrected=ends[0],
        ci_high_corrected=ends[1],
        method="hybrid_median_unbiased",
    )
