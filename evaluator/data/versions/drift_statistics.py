"""Drift statistics: the distance between two distributions of a column, and the quantiles for chance bounds."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from assay.evaluator.data.profile.quantiles import Distribution

Counts = npt.NDArray[np.int64]


def psi(earlier: Counts, later: Counts) -> float:
    """The population stability index of two sets of cells: the sum of (q - p) ln(q / p) over their fractions p and q.

    A cell that is empty in one of them counts as half a row there, because the logarithm of zero is infinite.
    (Siddiqi 2006, "Credit Risk Scorecards".)

    Args:
        earlier: Rows in each cell, shape (cells,).
        later: The same for the later version.
    """
    p, q = (np.maximum(counts, 0.5) / counts.sum() for counts in (earlier, later))
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(earlier: Counts, later: Counts) -> float:
    """The Jensen-Shannon divergence of two sets of cells, in bits, from 0 to 1 (Lin 1991).

    Args:
        earlier: Rows in each cell, shape (cells,).
        later: The same for the later version.
    """
    p, q = earlier / earlier.sum(), later / later.sum()
    middle = (p + q) / 2
    parts = [part[part > 0] * np.log2(part[part > 0] / middle[part > 0]) for part in (p, q)]
    return float(min(1.0, max(0.0, sum(np.sum(part) for part in parts) / 2)))


def kolmogorov_smirnov(earlier: Distribution, later: Distribution) -> float:
    """The largest difference between two cumulative distributions."""
    values = np.concatenate((earlier.values, later.values))
    p, q = (each.num_up_to(values) / each.num_values for each in (earlier, later))
    return float(np.max(np.abs(p - q)))


def l_infinity(earlier: Counts, later: Counts) -> float:
    """The largest difference between the fractions of a cell.

    Args:
        earlier: Rows in each cell, shape (cells,).
        later: The same for the later version.
    """
    return float(np.max(np.abs(earlier / earlier.sum() - later / later.sum())))


def chi_squared_quantile(probability: float, *, degrees: int) -> float:
    """The quantile of the chi-squared distribution, to within two percent.

    Exact for 1 and 2 degrees of freedom, else by Wilson and Hilferty (1931).
    """
    if degrees == 1:
        return NormalDist().inv_cdf((1 + probability) / 2) ** 2
    if degrees == 2:
        return -2 * math.log(1 - probability)
    part = 2 / (9 * degrees)
    return degrees * max(0.0, 1 - part + NormalDist().inv_cdf(probability) * math.sqrt(part)) ** 3
