"""The best of several estimates, corrected for having been picked because it is the best."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from assay.manifests.errors import InvalidInput

Floats = NDArray[np.float64]

_BETA_SHARE = 0.1
"""The share of alpha that goes to the projection interval which the hybrid stays in, as its authors suggest."""
_SLOPE_ROUNDING = 1e-12
"""An estimate that follows the best to within this share moves with it: it can never overtake."""


@dataclass(frozen=True)
class BestEstimate:
    """The largest of some estimates, raw and corrected for selection.

    Attributes:
        index: Which one it is.
        estimate: The estimate as it is: too large on average, because it was picked.
        corrected: The hybrid median-unbiased estimate.
        ci_low: Lower end of the hybrid interval, which covers the picked one's true value with probability 1 - alpha.
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
    given that estimate b is the largest, and what is independent of it, it is normal truncated to [low, high]; the
    value of its mean that puts the observed estimate at the median is median-unbiased. Truncating further to the
    simultaneous interval at level 1 - alpha / 10 around the mean keeps it near the estimate where the two best are
    tied: a tie is where the data say least about how much of the lead is luck, and the correction is largest.

    Args:
        estimates: Estimates, larger is better, length P.
        covariance: Their covariance, P x P.
        alpha: One minus the level of the interval.

    Returns:
        The estimate itself, and a point for an interval, where it has no variance.

    Raises:
        InvalidInput: There is no estimate, or one is no number.
    """
    if not len(estimates) or not np.isfinite(estimates).all() or not np.isfinite(covariance).all():
        raise InvalidInput("no best among these", field="estimates", value=list(estimates), bound="finite numbers")
    best = int(np.argmax(estimates))
    value, variance = float(estimates[best]), float(covariance[best, best])
    if variance <= 0:
        return BestEstimate(best, value, value, value, value)
    std_error = variance**0.5
    low, high = _truncation(estimates, covariance, best)
    beta = _BETA_SHARE * alpha
    # Bonferroni's bound for the simultaneous interval: wider than the exact one, and without simulation.
    reach = float(stats.norm.isf(beta / (2 * len(estimates))))

    def mean_at(share: float) -> float:
        """The mean under which the truncated estimate falls below the observed one with this probability."""

        def excess(mean: float) -> float:
            least, most = max(low, mean - reach), min(high, mean + reach)
            # The estimate is at the upper end under the lowest mean, and at the lower end under the highest.
            if least < 0 < most:
                return _truncated_cdf(-mean, least - mean, most - mean) - share
            return 1.0 - share if mean <= -reach or least < 0 else -share

        return value + std_error * float(optimize.brentq(excess, -reach, reach, xtol=1e-12, rtol=1e-12))

    # What the projection interval may miss is taken from the level, so that both together miss alpha at most.
    tail = (alpha - beta) / (1 - beta) / 2
    corrected = mean_at(0.5)
    # At a tie all three are the same end of the projection interval, up to the tolerance of the search.
    return BestEstimate(best, value, corrected, min(mean_at(1 - tail), corrected), max(mean_at(tail), corrected))


def _truncated_cdf(z: float, low: float, high: float) -> float:
    """P(Z <= z | low < Z < high) of a standard normal, taken in the tail that is nearer, where no digit is lost."""
    if low > 0:
        z, low, high = -z, -high, -low
        inside = float(special.ndtr(high) - special.ndtr(low))
        return float(special.ndtr(high) - special.ndtr(z)) / inside if inside > 0 else 0.5
    inside = float(special.ndtr(high) - special.ndtr(low))
    return float(special.ndtr(z) - special.ndtr(low)) / inside if inside > 0 else 0.5


def _truncation(estimates: Floats, covariance: Floats, best: int) -> tuple[float, float]:
    """Between which values estimate `best` is the largest, everything independent of it held fixed.

    Both are distances from its own value, at most and at least 0, in its standard errors.
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
