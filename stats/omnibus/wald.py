"""The quadratic form of an estimate in its inverse covariance, whatever the rank: the core of Wald tests."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from assay.stats.moments.moments import Floats

_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class QuadraticForm:
    """An estimate measured by its own covariance.

    Attributes:
        value: m' V^- m.
        rank: The rank of V.
        num_varying: Elements of m that vary.
        outside: Whether m lies outside what V spans: a difference without variation.
    """

    value: float
    rank: int
    num_varying: int
    outside: bool


def quadratic_form(mean_D: Floats, covariance_DD: Floats, *, rounding: float) -> QuadraticForm:
    """Wald's form, in the scale of correlations, so that the rank does not depend on units of single arms.

    Args:
        mean_D: m.
        covariance_DD: V, exactly 0 where an element does not vary.
        rounding: An element without variance that is no larger than this is 0.
    """
    scale_D = np.sqrt(np.diag(covariance_DD))
    varying_D = scale_D > 0
    if (np.abs(mean_D[~varying_D]) > rounding).any():
        return QuadraticForm(math.inf, 0, int(varying_D.sum()), outside=True)
    scale_D = scale_D[varying_D]
    values_Q, vectors_DQ = linalg.eigh(covariance_DD[np.ix_(varying_D, varying_D)] / np.outer(scale_D, scale_D))
    kept_Q = values_Q > _RANK_TOLERANCE * len(values_Q)
    along_Q = vectors_DQ.T @ (mean_D[varying_D] / scale_D)
    value = float((along_Q[kept_Q] ** 2 / values_Q[kept_Q]).sum())
    beyond = float((along_Q[~kept_Q] ** 2).sum())
    # What lies outside must be rounding: far less than a standard error in a direction that has none.
    outside = beyond > 1e-8 * max(1.0, float((along_Q**2).sum()))
    return QuadraticForm(value, int(kept_Q.sum()), len(values_Q), outside)
