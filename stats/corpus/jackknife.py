"""The jackknife: one score per row whose mean is a metric of all rows together.

Every row gets its recentred jackknife pseudo-value: `T + (n - 1) (mean_r T_without_r - T_without_r)`. Their mean is
the metric T, and their covariance over n is the jackknife's covariance of the arms' metrics (Tukey 1958, Ann. Math.
Stat. 29:614; Arvesen 1969, Ann. Math. Stat. 40:2076), which on average is not too small (Efron & Stein 1981, Ann.
Stat. 9:586).
"""

import numpy as np
from numpy.typing import NDArray

from assay.stats.moments.moments import Floats


def pseudo_values(estimate: float | Floats, without: Floats, counts: NDArray[np.int64]) -> Floats:
    """Recentred pseudo-values of rows, or of groups of interchangeable rows that occur `counts` times.

    Args:
        estimate: The metric on all rows.
        without: The metric without one row of each group; groups on the first axis.
        counts: Rows in each group.
    """
    num_rows = int(counts.sum())
    mean = (without * counts).sum(axis=0) / num_rows
    return estimate + (num_rows - 1) * (mean - without)
