"""The best of several estimates, corrected for selection bias (the winner's curse)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from assay.manifests.errors import InvalidInput

Floats = NDArray[np.float64]

_BETA_SHARE = 0.1
"""The share of alpha spent on the projection interval that bounds the hybrid interval, as its authors suggest."""
_SLOPE_ROUNDING = 1e-12
"""An estimate whose slope on the best is 1 within this tolerance moves with it and can never overtake it."""


@dataclass(frozen=True)
class BestEstimate:
    """The largest of some estimates, raw and corrected for selection.

    Attributes:
        index: Index of the largest estimate.
        estimate: The raw estimate, which is too large on average because it was selected.
        corrected: The hybrid median-unbiased estimate.
        ci_low: Lower end of the hybrid interval, which covers the selected true value with probability 1 - alpha.
        ci_high: Upper end.
    """

    index: int
    estimate: float
    corrected: float
    ci_low: float
    ci_high: float


def best_of(estimates: Floats, covariance: Floats, *, alpha: float) -> BestEstimate:
    """The hybrid median-unbiased estimate of the largest of some normal estimates, and its interval.

    Andrews, Kitagawa & McCloskey (2024, Inference on Winners, Quarterly Journal of Economics 139:305), section 4:
    given that estimate b is the largest, and given everything independent of it, it is normal truncated to [low, high];
    the mean for which the observed estimate is the median is median-unbiased. Truncating further to the simultaneous
    interval at level 1 - alpha / 10 around the mean keeps the correction bounded if the two best are nearly tied,
    where the data say least about how much of the lead is luck and the correction is largest.

    Args:
        estimates: Estimates, larger is better, length P.
        covariance: Their covariance, P x P.
        alpha: One minus the level of the interval.

    Returns:
        The corrected estimate and its interval; if the largest estimate has no variance, the estimate itself and a
        point interval.

    Raises:
        InvalidInput: There are no estimates, or one is not finite.
    """
    if not len(estimates) or not np.isfinite(estimates).all() or not np.isfinite(covariance).all():
        raise InvalidInput(
            "cannot select the best of these estimates",
            field="estimates",
            value=list(estimates),
            bound="finite numbers",
        )
    best = int(np.argmax(estimates))
    value, variance = float(estimates[best]), float(covariance[best, best])
    if variance <= 0:
        return BestEstimate(best, value, value, value, value)
    std_error = variance**0.5
    low, high = _truncation(estimates, covariance, best)
    beta = _BETA_SHARE * alpha
    # Bonferroni's bound for the simultaneous interval: wider than the exact one, but needs no simulation.
    reach = float(stats.norm.isf(beta / (2 * len(estimates))))

    def mean_at(share: float) -> float:
        """The mean for which the truncated estimate is below the observed one with this probability."""

        def excess(mean: float) -> float:
            least, most = max(low, mean - reach), min(high, mean + reach)
            # Under the lowest mean the estimate is at the upper end, under the highest mean at the lower end.
            if least < 0 < most:
                return _truncated_cdf(-mean, least - mean, most - mean) - share
            return 1.0 - share if mean <= -reach or least < 0 else -share

        return value + std_error * float(optimize.brentq(excess, -reach, reach, xtol=1e-12, rtol=1e-12))

    # The projection interval's error is deducted from the level, so that both together miss with at most alpha.
    tail = (alpha - beta) / (1 - beta) / 2
    corrected = mean_at(0.5)
    # At a tie all three are the same end of the projection interval, up to the search tolerance.
    return BestEstimate(best, value, corrected, min(mean_at(1 - tail), corrected), max(mean_at(tail), corrected))


def _truncated_cdf(z: float, low: float, high: float) -> float:
    """P(Z <= z | low < Z < high) of a standard normal, computed in the nearer tail to avoid cancellation."""
    if low > 0:
        z, low, high = -z, -high, -low
        inside = float(special.ndtr(high) - special.ndtr(low))
        return float(special.ndtr(high) - special.ndtr(z)) / inside if inside > 0 else 0.5
    inside = float(special.ndtr(high) - special.ndtr(low))
    return float(special.ndtr(z) - special.ndtr(low)) / inside if inside > 0 else 0.5


def _truncation(estimates: Floats, covariance: Floats, best: int) -> tuple[float, float]:
    """The range in which estimate `best` is the largest, with everything independent of it held fixed.

    Both ends are distances from its value in its standard errors; the lower is at most 0, the upper at least 0.
    """
    low, high = -np.inf, np.inf
    variance = float(covariance[best, best])
    for other in range(len(estimates)):
        rest = 1.0 - float(covariance[other, best]) / variance
        if other == best or abs(rest) <= _SLOPE_ROUNDING:
            continue
        bound = float(estimates[other] - estimates[best]) / variance**0.5 / rest
        low, high = (max(low, bound), high) if rest > 0 else (low, min(high, bound))
    return low, high
