"""The best of several estimates, corrected for having been picked because it is the best."""

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]

_BETA = 0.005
"""The level of the projection interval that the hybrid estimate stays in: a tenth of 5 %, as its authors suggest."""


def corrected_best(estimates: Floats, covariance: Floats) -> float:
    """The hybrid median-unbiased estimate of the largest of some normal estimates.

    Andrews, Kitagawa & McCloskey (2024, Inference on Winners, Quarterly Journal of Economics 139:305), section 4:
    given that estimate b is the largest, and what is independent of it, it is normal truncated to [low, high]; the
    value of its mean that puts the observed estimate at the median is median-unbiased. Truncating further to the
    simultaneous interval at level 0.5 % around the mean keeps it near the estimate where the two best are tied.

    Args:
        estimates: Estimates, larger is better, length P.
        covariance: Their covariance, P x P.

    Returns:
        The corrected estimate; the estimate itself where it has no variance, or nothing competes with it.
    """
    best = int(np.argmax(estimates))
    value, variance = float(estimates[best]), float(covariance[best, best])
    if variance <= 0:
        return value
    scale = float(np.sqrt(variance))
    low, high = _truncation(estimates, covariance, best)
    # Bonferroni's bound for the simultaneous interval: wider than the exact one, and without simulation.
    reach = float(stats.norm.isf(_BETA / (2 * len(estimates)))) * scale

    def above_median(mean: float) -> float:
        least, most = max(low, mean - reach), min(high, mean + reach)
        if not least < value < most:
            return -1.0 if value <= least else 1.0
        return float(stats.truncnorm.cdf(value, (least - mean) / scale, (most - mean) / scale, mean, scale)) - 0.5

    return float(optimize.brentq(above_median, value - reach, value + reach, xtol=1e-12 * max(scale, abs(value))))


def _truncation(estimates: Floats, covariance: Floats, best: int) -> tuple[float, float]:
    """Between which values estimate `best` is the largest, everything independent of it held fixed."""
    low, high = -np.inf, np.inf
    variance = covariance[best, best]
    for other in range(len(estimates)):
        slope = covariance[other, best] / variance
        rest = estimates[other] - slope * estimates[best]
        if other == best or np.isclose(slope, 1.0, rtol=0, atol=1e-12):
            continue
        bound = float(rest / (1 - slope))
        low, high = (max(low, bound), high) if slope < 1 else (low, min(high, bound))
    return low, high
