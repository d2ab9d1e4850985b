"""Wald tests: the quadratic form of an estimate in its inverse covariance, of any rank, as an F-test."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from assay.manifests.comparison import OmnibusTest
from assay.stats.moments.clusters import CONSTANT_TOTALS, MIN_CLUSTERS
from assay.stats.moments.moments import Floats
from assay.stats.omnibus import omnibus_result

_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class QuadraticForm:
    """An estimate's quadratic form in its (pseudo-)inverse covariance.

    Attributes:
        value: m' V^- m.
        rank: The rank of V.
        num_varying: Number of elements of m with a variance above 0.
        outside: Whether m is outside the span of V: a difference without variation.
    """

    value: float
    rank: int
    num_varying: int
    outside: bool


def quadratic_form(mean_D: Floats, covariance_DD: Floats, *, rounding: float) -> QuadraticForm:
    """Wald's quadratic form, on the scale of correlations, so that the rank does not depend on units of single arms.

    Args:
        mean_D: The estimate m.
        covariance_DD: Its covariance V, exactly 0 where an element does not vary.
        rounding: An element without variance counts as 0 if it is no larger than this.
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
    # A component outside the span may only be rounding error: far below a standard error.
    outside = beyond > 1e-8 * max(1.0, float((along_Q**2).sum()))
    return QuadraticForm(value, int(kept_Q.sum()), len(values_Q), outside)


def f_test(test: str, form: QuadraticForm, *, num_blocks: int, blocks: str) -> OmnibusTest:
    """F-test with F = W (n - q) / ((n - 1) q) on q and n - q degrees of freedom; W is the form, q its rank.

    Args:
        test: Name of the test in the result.
        form: The quadratic form.
        num_blocks: Number of independent blocks n: rows or clusters.
        blocks: What the blocks are, for the message if there are too few.
    """
    if num_blocks <= form.num_varying and form.rank >= num_blocks - 1:
        return omnibus_result.untestable(test, f"{num_blocks} {blocks} are too few for {form.num_varying} differences")
    if form.outside:
        return omnibus_result.constant_difference(test)
    df_numerator, df_denominator = form.rank, num_blocks - form.rank
    f_value = form.value * df_denominator / ((num_blocks - 1) * df_numerator)
    return OmnibusTest(
        test=test,
        statistic=f_value,
        df_numerator=df_numerator,
        df_denominator=df_denominator,
        p_value=float(stats.f.sf(f_value, df_numerator, df_denominator)),
        details={"t_squared" if test == "hotelling" else "wald": form.value, "rank": float(form.rank)},
    )


def cluster_wald(
    mean_D: Floats,
    covariance_DD: Floats,
    *,
    num_clusters: int,
    rounding: float,
    rows_vary: bool = False,
    test: str = "cluster_wald",
) -> OmnibusTest:
    """Cluster-robust Wald test that all differences from the control are 0, in either design.

    W = m' V^- m with V the CR1 covariance of the mean differences, F = W (G - q) / (q (G - 1)) on q and G - q degrees
    of freedom: Hotelling's T^2 of cluster totals (Cameron & Miller 2015, J. Human Resources 50:317).

    Args:
        mean_D: Mean differences from the control.
        covariance_DD: Their covariance, exactly 0 where one does not vary.
        num_clusters: Number of clusters G.
        rounding: A difference without variance counts as 0 if it is no larger than this.
        rows_vary: Whether a difference varies over rows, even if no cluster total does.
        test: Name of the test in the result.
    """
    if untestable := omnibus_result.too_few(test, num_arms=len(mean_D) + 1, num_rows=num_clusters):
        return untestable
    if num_clusters < MIN_CLUSTERS:
        return omnibus_result.untestable(
            test, f"{num_clusters} clusters are too few for a cluster-robust test; at least {MIN_CLUSTERS} are needed"
        )
    if constant := omnibus_result.without_variation(test, mean_D, covariance_DD, rounding):
        return omnibus_result.untestable(test, CONSTANT_TOTALS) if rows_vary else constant
    form = quadratic_form(mean_D, covariance_DD, rounding=rounding)
    return f_test(test, form, num_blocks=num_clusters, blocks="clusters")
