"""Average precision as row scores: jackknife pseudo-values, from cumulative sums over the thresholds.

Axes: R rows, A arms, T thresholds: the distinct scores of an arm, highest first.
"""

import numpy as np
from numpy.typing import NDArray

from assay.stats.moments.moments import Floats


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
        _, place_R, count_T = np.unique(-scores_R, return_inverse=True, return_counts=True)
        hits_T = np.bincount(place_R[positive_R], minlength=len(count_T)).astype(np.float64)
        above_T, rows_T = np.cumsum(hits_T), np.cumsum(count_T).astype(np.float64)
        fewer_T = np.maximum(rows_T - 1, 1)  # with no row left there is no hit either
        terms_T = hits_T * above_T / rows_T
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
