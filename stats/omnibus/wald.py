"""Wald tests: the quadratic form of an estimate in its inverse covariance, whatever the rank, as an F-test."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from assay.stats.moments.clusters import CONSTANT_TOTALS, MIN_CLUSTERS
from assay.stats.moments.moments import Floats
from assay.stats.omnibus import omnibus_result
from assay.stats.results.comparison import OmnibusTest

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


def f_test(test: str, form: QuadraticForm, *, num_blocks: int, blocks: str) -> OmnibusTest:
    """F = W (n - q) / ((n - 1) q) on q and n - q degrees of freedom, with W the form and q its rank.

    Args:
        test: What the test is called in the answer.
        form: The quadratic form.
        num_blocks: Independent blocks n: rows or clusters.
        blocks: What they are, for the message where they are too few.
    """
    if num_blocks <= form.num_varying and form.rank >= num_blocks - 1:
        return omnibus_result.untestable(test, f"{num_blocks} {blocks} are too few for {form.num_varying} differences")
    if form.outside:
        return omnibus_result.constant_difference(test)
    df_num, df_den = form.rank, num_blocks - form.rank
    f_value = form.value * df_den / ((num_blocks - 1) * df_num)
    return OmnibusTest(
        test=test,
        statistic=f_value,
        df_num=df_num,
        df_den=df_den,
        p_value=float(stats.f.sf(f_value, df_num, df_den)),
        details=(("t_squared" if test == "hotelling" else "wald", form.value), ("rank", float(form.rank))),
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
    """Cluster-robust Wald test that all differences from the control are 0, whatever the design.

    W = m' V^- m with V the CR1 covariance of the mean differences, F = W (G - q) / (q (G - 1)) on q and G - q degrees
    of freedom: Hotelling's T^2 of cluster totals (Cameron & Miller 2015, J. Human Resources 50:317).

    Args:
        mean_D: Mean differences from the control.
        covariance_DD: Their covariance, exactly 0 where one does not vary.
        num_clusters: Clusters G.
        rounding: A difference without variance that is no larger than this is 0.
        rows_vary: Whether a difference varies over rows, whatever their clusters' totals do.
        test: What the test is called in the answer.
    """
    if unable := omnibus_result.too_few(test, num_arms=len(mean_D) + 1, num_rows=num_clusters):
        return unable
    if num_clusters < MIN_CLUSTERS:
        return omnibus_result.untestable(
            test, f"{num_clusters} clusters are too few for a cluster-robust test: {MIN_CLUSTERS} or more"
        )
    if constant := omnibus_result.without_variation(test, mean_D, covariance_DD, rounding):
        return omnibus_result.untestable(test, CONSTANT_TOTALS) if rows_vary else constant
    form = quadratic_form(mean_D, covariance_DD, rounding=rounding)
    return f_test(test, form, num_blocks=num_clusters, blocks="clusters")
