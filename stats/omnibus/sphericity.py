"""Sphericity: whether all differences between arms have the same variance, and corrections of F if not."""

import math

import numpy as np
from scipy import linalg, stats

from assay.stats.moments.moments import Floats

_RANK_TOLERANCE = 1e-10


def double_centred(covariance_AA: Floats) -> Floats:
    """The covariance of deviations from the row's mean: row and column means are subtracted."""
    row_A = covariance_AA.mean(axis=1)
    return covariance_AA - row_A[:, None] - row_A[None, :] + row_A.mean()


def huynh_feldt(epsilon: float, f_value: float, *, num_arms: int, num_rows: int) -> dict[str, float]:
    """Huynh & Feldt's epsilon (1976, J. Educ. Stat. 1:69), at most 1, and the p-value corrected by it."""
    df_numerator, df_denominator = num_arms - 1, (num_arms - 1) * (num_rows - 1)
    below = df_numerator * (num_rows - 1 - df_numerator * epsilon)
    raw = (num_rows * df_numerator * epsilon - 2) / below if below > 0 else 1.0
    epsilon_hf = min(1.0, raw)
    p_value = float(stats.f.sf(f_value, epsilon_hf * df_numerator, epsilon_hf * df_denominator))
    return {"epsilon_hf": epsilon_hf, "p_value_hf": p_value}


def mauchly(centred_AA: Floats, *, num_rows: int) -> dict[str, float]:
    """Mauchly's W and its p-value; empty if undefined (two arms, few rows, singular covariance).

    The p-value is Anderson's two-term expansion (2003, section 10.7.4). R's `mauchly.test` uses the number of arms k
    where the second term has k - 1, which changes its p-value by up to one percent; W is the same.
    """
    size = len(centred_AA) - 1
    df = num_rows - 1
    if size < 2 or df < size:
        return {}
    values = linalg.eigvalsh(centred_AA)[1:]  # the first belongs to the mean of all arms and is 0
    if values[0] <= _RANK_TOLERANCE * values[-1]:
        return {}
    log_w = float(np.log(values).sum() - size * np.log(values.mean()))
    rho = 1 - (2 * size**2 + size + 2) / (6 * size * df)
    second = (size + 2) * (size - 1) * (size - 2) * (2 * size**3 + 6 * size**2 + 3 * size + 2)
    second /= 288 * (size * df * rho) ** 2
    chi_square = -df * rho * log_w
    freedom = size * (size + 1) / 2 - 1
    first_p = float(stats.chi2.sf(chi_square, freedom))
    p_value = first_p + second * (float(stats.chi2.sf(chi_square, freedom + 4)) - first_p)
    return {"mauchly_w": math.exp(log_w), "mauchly_p": min(1.0, max(0.0, p_value))}
