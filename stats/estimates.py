"""Intervals of one arm alone: a mean, a proportion, the mean of rows in clusters."""

import math

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from manifests.errors import InvalidInput
from stats.clusters import ClusterMoments


def mean_interval(mean: float, std_error: float, df: float, alpha: float) -> tuple[float, float]:
    """Student's t interval of a mean at level 1 - alpha.

    Args:
        mean: The mean.
        std_error: Its standard error, 0 or more.
        df: Degrees of freedom of the standard error: n - 1, or clusters - 1; inf for a normal interval.
        alpha: One minus the level, two-sided.
    """
    _check_alpha(alpha)
    if not (std_error >= 0 and math.isfinite(std_error)):
        raise InvalidInput("not a standard error", field="std_error", value=std_error, bound="0 or more, finite")
    if not df > 0:
        raise InvalidInput(
            "one value has no interval", field="df", value=df, bound="above 0", remedy="give at least two rows"
        )
    half = float(stats.t.isf(alpha / 2, df)) * std_error
    return mean - half, mean + half


def wilson_interval(successes: int, num_rows: int, *, alpha: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209), without continuity correction.

    It stays inside [0, 1] and is not a point at 0 or at all: 0 of 20 gives (0, 0.161), where Wald's gives (0, 0).
    """
    _check_alpha(alpha)
    if num_rows < 1 or not 0 <= successes <= num_rows:
        raise InvalidInput(
            "not a count of successes", field="successes", value=successes, bound=f"0 to num_rows = {num_rows}"
        )
    low, high = np.asarray(proportion_confint(successes, num_rows, alpha=alpha, method="wilson")).tolist()
    # At the ends rounding would leave 1e-17 for 0.
    return (0.0 if successes == 0 else low), (1.0 if successes == num_rows else high)


def cluster_mean_interval(clusters: ClusterMoments, arm: int, *, alpha: float) -> tuple[float, float]:
    """Interval of one arm's mean over rows in clusters: CR1 standard error, t on clusters - 1 degrees of freedom.

    Args:
        clusters: Moments of the clusters.
        arm: Index of the arm.
        alpha: One minus the level, two-sided.
    """
    variance = float(clusters.mean_covariance_AA[arm, arm])
    return mean_interval(
        float(clusters.rows.mean_A[arm]), math.sqrt(max(variance, 0.0)), clusters.num_clusters - 1, alpha
    )


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise InvalidInput("not an error rate", field="alpha", value=alpha, bound="above 0, below 1")
