"""AUROC, and AUROC as row scores: DeLong's structural components.

Axes: R rows, A arms, M rows with label 1, N rows with label 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from assay.stats.moments.moments import Floats


def estimates(scores_RA: Floats, positive_R: NDArray[np.bool_]) -> Floats:
    """The AUROC of each arm from the Mann-Whitney statistic, with ties counted as one half.

    Every term is an integer or a half, so the sum is exact (Hanley & McNeil 1982, Radiology 143:29).

    Args:
        scores_RA: Scores, larger for label 1; finite.
        positive_R: Whether the label is 1; both labels occur.
    """
    return _areas(stats.rankdata(scores_RA, axis=0), positive_R)


def pseudo_values(scores_RA: Floats, positive_R: NDArray[np.bool_]) -> Floats:
    """One number per row whose mean is the AUROC and whose covariance over n is DeLong's covariance.

    The component of a row is its placement among the rows with the other label (DeLong, DeLong & Clarke-Pearson 1988,
    Biometrics 44:837), from midranks in O(n log n) (Sun & Xu 2014, IEEE SPL 21:1389). `S10 / M + S01 / N` is the
    variance of the mean of `AUROC + c (component - AUROC)` with `c = sqrt(n (n - 1) / (M (M - 1)))`, likewise with N.
    Summed within clusters, which may contain rows of both labels, they give Obuchowski's covariance (1997, Biometrics
    53:567) except for its factors of order 1 / G.

    Args:
        scores_RA: Scores, larger for label 1; finite.
        positive_R: Whether the label is 1.

    Returns:
        R x A; NaN if either label has fewer than two rows.
    """
    positive_MA, negative_NA = scores_RA[positive_R], scores_RA[~positive_R]
    num_rows, num_positive, num_negative = len(scores_RA), len(positive_MA), len(negative_NA)
    if min(num_positive, num_negative) < 2:
        return np.full(scores_RA.shape, np.nan)
    rank_RA = stats.rankdata(scores_RA, axis=0)
    above_MA = (rank_RA[positive_R] - stats.rankdata(positive_MA, axis=0)) / num_negative
    below_NA = 1.0 - (rank_RA[~positive_R] - stats.rankdata(negative_NA, axis=0)) / num_positive
    auroc_A = _areas(rank_RA, positive_R)
    values_RA = np.empty(scores_RA.shape)
    for rows_R, component_XA in ((positive_R, above_MA), (~positive_R, below_NA)):
        num = len(component_XA)
        factor = (num_rows * (num_rows - 1) / (num * (num - 1))) ** 0.5
        values_RA[rows_R] = auroc_A + factor * (component_XA - auroc_A)
    return values_RA


def _areas(rank_RA: Floats, positive_R: NDArray[np.bool_]) -> Floats:
    num_positive = int(positive_R.sum())
    above_A = rank_RA[positive_R].sum(axis=0) - num_positive * (num_positive + 1) / 2
    return above_A / (num_positive * (len(positive_R) - num_positive))
