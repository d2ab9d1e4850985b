"""The jackknife: a score of every row whose mean is a metric of all rows together.

Every row gets its jackknife pseudo-value, recentred: `T + (n - 1) (mean_r T_without_r - T_without_r)`. Their mean is
the metric T, and their covariance over n is the jackknife's covariance of the arms' metrics (Tukey 1958, Ann. Math.
Stat. 29:614; Arvesen 1969, Ann. Math. Stat. 40:2076), which is not too small on average (Efron & Stein 1981, Ann.
Stat. 9:586).
"""

import numpy as np
from numpy.typing import NDArray

from assay.stats.moments.moments import Floats


def pseudo_values(estimate: float | Floats, without: Floats, counts: NDArray[np.int64]) -> Floats:
    """Recentred pseudo-values of rows, or of kinds of rows that occur `counts` times (first axis)."""
    num_rows = int(counts.sum())
    mean = (without * counts).sum(axis=0) / num_rows
    return estimate + (num_rows - 1) * (mean - without)
