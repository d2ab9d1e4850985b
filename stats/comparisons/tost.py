"""Equivalence by two one-sided tests (TOST): is a difference smaller than a margin, both ways?"""

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind

from assay.manifests.errors import InvalidInput
from assay.stats.errors import SamplesError
from assay.stats.moments.score_range import finite


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of one difference (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657).

    Attributes:
        margin: The difference that would matter, in units of the score.
        p_above: One-sided p-value that the difference is above minus the margin: the arm is not worse.
        p_below: One-sided p-value that it is below the margin.
        ci_low: Lower end of the interval at level 1 - 2 alpha.
        ci_high: Upper end.
        alpha: The level of each one-sided test.
    """

    margin: float
    p_above: float
    p_below: float
    ci_low: float
    ci_high: float
    alpha: float

    @property
    def p_value(self) -> float:
        """The larger of the two: both must be small."""
        return max(self.p_above, self.p_below)

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be smaller than the margin, which is when the interval lies within."""
        return self.p_value <= self.alpha


def tost_paired(estimate: float, std_error: float, df: float, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """Equivalence of two arms on the same rows, from their mean difference.

    Args:
        estimate: The mean difference.
        std_error: Its standard error; cluster-robust where rows have clusters. 0 for a constant difference.
        df: Its degrees of freedom.
        margin: The difference that would matter, above 0.
        alpha: The level of each one-sided test.
    """
    _check(margin, alpha)
    if not (std_error >= 0 and math.isfinite(std_error) and math.isfinite(estimate)):
        raise InvalidInput("not a standard error", field="std_error", value=std_error, bound="0 or more, finite")
    if std_error == 0:
        # What does not vary is known: it lies within the margin or it does not.
        p_above, p_below = float(estimate <= -margin), float(estimate >= margin)
        return Equivalence(margin, p_above, p_below, estimate, estimate, alpha)
    half = float(stats.t.isf(alpha, df)) * std_error
    return Equivalence(
        margin=margin,
        p_above=float(stats.t.sf((estimate + margin) / std_error, df)),
        p_below=float(stats.t.cdf((estimate - margin) / std_error, df)),
        ci_low=estimate - half,
        ci_high=estimate + half,
        alpha=alpha,
    )


def tost_unpaired(arm_R: ArrayLike, reference_R: ArrayLike, *, margin: float, alpha: float = 0.05) -> Equivalence:
    """Equivalence of two arms with rows of their own, variances free (Welch).

    Args:
        arm_R: The arm's scores, at least two, finite.
        reference_R: The reference's.
        margin: The difference that would matter, above 0.
        alpha: The level of each one-sided test.
    """
    _check(margin, alpha)
    arm, reference = finite(arm_R), finite(reference_R)
    for values in (arm, reference):
        if len(values) < 2:
            raise SamplesError("two or more scores are needed in each arm", field="score", value=len(values))
    if arm.var() == 0 and reference.var() == 0:
        return tost_paired(float(arm[0] - reference[0]), 0.0, 1.0, margin=margin, alpha=alpha)
    _, (_, p_above, _), (_, p_below, _) = ttost_ind(arm, reference, -margin, margin, usevar="unequal")
    interval = stats.ttest_ind(arm, reference, equal_var=False).confidence_interval(1 - 2 * alpha)
    return Equivalence(margin, float(p_above), float(p_below), float(interval.low), float(interval.high), alpha)


def _check(margin: float, alpha: float) -> None:
    if not (margin > 0 and math.isfinite(margin)):
        raise InvalidInput("no difference is smaller than this margin", field="margin", value=margin, bound="above 0")
    if not 0 < alpha < 0.5:
        raise InvalidInput("not an error rate", field="alpha", value=alpha, bound="above 0, below 0.5")
