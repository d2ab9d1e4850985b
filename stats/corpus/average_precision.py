"""Average precision, and average precision as row scores: jackknife pseudo-values, from cumulative sums over the thresholds.

Axes: R rows, A arms, T thresholds: the distinct scores of an arm, highest first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.stats.moments.moments import Floats


@dataclass(frozen=True, eq=False)
class _Thresholds:
    """The thresholds of one arm.

    Attributes:
        place_R: The threshold at which each row is.
        hits_T: Rows with label 1 at the threshold.
        above_T: Rows with label 1 at the threshold or above it.
        rows_T: All rows at the threshold or above it.
    """

    place_R: NDArray[np.intp]
    hits_T: Floats
    above_T: Floats
    rows_T: Floats

    @property
    def terms_T(self) -> Floats:
        """Summed and divided by the number of rows with label 1, these are the average precision."""
        return self.hits_T * self.above_T / self.rows_T


def _thresholds(scores_R: Floats, positive_R: NDArray[np.bool_]) -> _Thresholds:
    _, place_R, count_T = np.unique(-scores_R, return_inverse=True, return_counts=True)
    hits_T = np.bincount(place_R[positive_R], minlength=len(count_T)).astype(np.float64)
    return _Thresholds(place_R, hits_T, np.cumsum(hits_T), np.cumsum(count_T).astype(np.float64))


def estimates(scores_RA: Floats, positive_R: NDArray[np.bool_]) -> Floats:
    """The average precision of each arm: `sum_T h_T H_T / N_T / H`, as in `pseudo_values`.

    Args:
        scores_RA: Scores, larger for label 1; finite.
        positive_R: Whether the label is 1; at least one is.
    """
    return np.array([_thresholds(scores_R, positive_R).terms_T.sum() / positive_R.sum() for scores_R in scores_RA.T])


def pseudo_values(scores_RA: Floats, positive_R: NDArray[np.bool_]) -> Floats:
    """One number per row whose mean is the average precision and whose covariance over n is the jackknife's.

    Average precision is `sum_T h_T H_T / N_T / H`, where h_T rows with label 1 are at threshold T, H_T of them and N_T
    of all rows at or above it (not interpolated, as in scikit-learn). Removing a row changes nothing above its
    threshold; from there on N_T decreases by one, and so does H_T if its label is 1. All n leave-one-out values
    therefore follow from four cumulative sums.

    Args:
        scores_RA: Scores, larger for label 1; finite.
        positive_R: Whether the label is 1.

    Returns:
        R x A; NaN if fewer than two rows have label 1.
    """
    num_rows, num_positive = len(positive_R), int(positive_R.sum())
    if num_positive < 2:
        return np.full(scores_RA.shape, np.nan)
    values_RA = np.empty(scores_RA.shape)
    for arm, scores_R in enumerate(scores_RA.T):
        found = _thresholds(scores_R, positive_R)
        place_R, hits_T, above_T, terms_T = found.place_R, found.hits_T, found.above_T, found.terms_T
        fewer_T = np.maximum(found.rows_T - 1, 1)  # with no row left there is no hit either
        before_T = np.cumsum(terms_T) - terms_T
        without_negative_T = before_T + _from_here(hits_T * above_T / fewer_T)
        after_T = hits_T * (above_T - 1) / fewer_T
        here_T = (hits_T - 1) * (above_T - 1) / fewer_T
        without_positive_T = before_T + here_T + _from_here(after_T) - after_T
        without_R = np.where(
            positive_R,
            without_positive_T[place_R] / (num_positive - 1),
            without_negative_T[place_R] / num_positive,
        )
        values_RA[:, arm] = terms_T.sum() / num_positive + (num_rows - 1) * (without_R.mean() - without_R)
    return values_RA


def _from_here(terms_T: Floats) -> Floats:
    return np.cumsum(terms_T[::-1])[::-1]
