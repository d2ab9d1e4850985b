"""Ratios of sums, such as words wrong over words said, as scores of rows: the delta method.

Axes: R rows, A arms.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats, moments_of
from assay.stats.moments.score_range import finite


def linearised(numerators_RA: ArrayLike, denominators_RA: ArrayLike) -> Floats:
    """A score for each row whose mean is the ratio of sums and whose variance is the ratio's by the delta method.

    `R + (y - R x) / mean(x)` with `R = sum(y) / sum(x)`: its mean is R, and its covariance over n is the delta
    method's `(s_y^2 - 2 R s_xy + R^2 s_x^2) / (n mean(x)^2)` (Deng, Knoblich & Lu 2018, KDD; Budylin et al. 2018,
    WSDM). These scores go the way of all means: the same omnibus test, comparisons, clusters and segments. F1 is such
    a ratio, of `2 tp` and `2 tp + fp + fn`; so are precision and recall.

    Args:
        numerators_RA: y, rows x arms.
        denominators_RA: x, rows x arms; rows may be 0, the sum of an arm may not.

    Raises:
        SamplesError: A value is no number, or an arm's denominators add up to 0.
    """
    y_RA, x_RA = finite(numerators_RA, what="numerator"), finite(denominators_RA, what="denominator")
    if y_RA.shape != x_RA.shape:
        raise SamplesError(
            "numerators and denominators differ in shape", field="score", value=str(y_RA.shape), bound=str(x_RA.shape)
        )
    sum_x_A = x_RA.sum(axis=0)
    if (sum_x_A == 0).any():
        raise SamplesError(
            "the ratio is undefined: an arm's denominators add up to 0",
            field="score",
            value=f"arm {int(np.argmax(sum_x_A == 0))} (counted from 0)",
        )
    ratio_A = y_RA.sum(axis=0) / sum_x_A
    return ratio_A + (y_RA - ratio_A * x_RA) / (sum_x_A / len(x_RA))


def fieller_interval(numerators_R: ArrayLike, denominators_R: ArrayLike, *, alpha: float) -> tuple[float, float] | None:
    """Fieller's interval of one ratio of means, exact for normal sums and right where the denominator is noisy.

    Fieller 1954 (JRSS B 16:175). None where the denominator's mean does not differ from 0: the set of ratios that fit
    the data is then no interval.

    Args:
        numerators_R: y, one for each row, at least two rows.
        denominators_R: x.
        alpha: One minus the level, two-sided.
    """
    y_R, x_R = finite(numerators_R, what="numerator"), finite(denominators_R, what="denominator")
    if len(y_R) < 2:
        raise SamplesError("one row has no interval", field="score", value=len(y_R), bound="2 or more rows")
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
