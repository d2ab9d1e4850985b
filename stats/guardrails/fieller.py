"""Fieller's interval of a ratio of means, such as one arm's time over another's."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from assay.stats.errors import SamplesError
from assay.stats.moments.moments import moments_of
from assay.stats.moments.score_range import finite


def fieller_interval(numerators_R: ArrayLike, denominators_R: ArrayLike, *, alpha: float) -> tuple[float, float] | None:
    """Fieller's interval of one ratio of means, exact for normal sums and valid for a noisy denominator.

    Fieller 1954 (JRSS B 16:175). None if the denominator's mean does not differ from 0: the set of ratios that are
    compatible with the data is then not an interval.

    Args:
        numerators_R: Numerators y, shape (rows,), at least two rows.
        denominators_R: Denominators x, shape (rows,).
        alpha: One minus the confidence level, two-sided.

    Raises:
        SamplesError: There are fewer than two rows, or a value is not finite.
    """
    y_R, x_R = finite(numerators_R, what="numerator"), finite(denominators_R, what="denominator")
    if len(y_R) < 2:
        raise SamplesError("too few rows for an interval", field="score", value=len(y_R), bound="2 or more rows")
    moments = moments_of(np.stack([x_R, y_R], axis=1), arms=("x", "y"), control=0)
    (mean_x, mean_y), covariance = moments.mean_A, moments.covariance_AA / moments.num_rows
    t2 = float(stats.t.isf(alpha / 2, moments.num_rows - 1)) ** 2
    square = mean_x**2 - t2 * covariance[0, 0]
    if square <= 0:
        return None
    linear = mean_x * mean_y - t2 * covariance[0, 1]
    free = mean_y**2 - t2 * covariance[1, 1]
    root = float(np.sqrt(max(linear**2 - square * free, 0.0)))
    return float((linear - root) / square), float((linear + root) / square)
