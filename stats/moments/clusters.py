"""Moments of rows in clusters: the cluster-robust covariance of the mean (CR1).

Axes as in moments.py; G clusters.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats, Moments, moments_of

MIN_CLUSTERS = 5
"""With fewer clusters, variation between clusters cannot be estimated: no null distribution is accurate enough."""
FEW_CLUSTERS = 30
"""With fewer clusters, cluster-robust standard errors are unreliable."""
CONSTANT_TOTALS = "scores vary over rows, but cluster totals do not: there is no variation to test against"
"""Why arms are untestable if, for example, every cluster contains one +1 and one -1: such rows are not identical."""


@dataclass(frozen=True, eq=False)
class ClusterMoments:
    """Means of rows x arms, and cross-products of the clusters' total deviations from them.

    The covariance of the mean is `G / (G - 1) * sum_g(T_g T_g') / n^2`, where `T_g` is the sum of the deviations
    over the rows of cluster g (CR1; Liang & Zeger 1986, Biometrika 73:13; Bell & McCaffrey 2002).

    Attributes:
        rows: Moments of the rows, ignoring clusters.
        num_clusters: Number of clusters G.
        meat_YY: Sum over clusters of the products of totals of deviations.
        sizes_G: Number of rows in each cluster.
    """

    rows: Moments
    num_clusters: int
    meat_YY: Floats
    sizes_G: NDArray[np.int64]

    @cached_property
    def mean_covariance_YY(self) -> Floats:
        """CR1 covariance of the means of the control and of the differences from it."""
        factor = self.num_clusters / max(self.num_clusters - 1, 1)
        # Totals that differ by no more than the rounding error of their scores do not vary.
        rounding_Y = 8 * np.finfo(np.float64).eps * self.rows.scale_Y * self.sizes_G.max()
        constant_Y = np.sqrt(np.diag(self.meat_YY) / self.num_clusters) <= rounding_Y
        kept_YY = self.meat_YY.copy()
        kept_YY[constant_Y, :] = 0.0
        kept_YY[:, constant_Y] = 0.0
        return factor * kept_YY / self.rows.num_rows**2

    @property
    def mean_covariance_DD(self) -> Floats:
        """CR1 covariance of `mean_D`."""
        return self.mean_covariance_YY[1:, 1:]

    @cached_property
    def difference_mean_covariance_AA(self) -> Floats:
        """CR1 covariance of the mean differences on the axis A: a row and a column of 0 for the control."""
        at = self.rows.control
        return np.insert(np.insert(self.mean_covariance_DD, at, 0.0, axis=0), at, 0.0, axis=1)

    @cached_property
    def mean_covariance_AA(self) -> Floats:
        """CR1 covariance of the arms' means."""
        cross_A = np.insert(self.mean_covariance_YY[0, 1:], self.rows.control, 0.0)
        own = self.mean_covariance_YY[0, 0]
        return own + cross_A[:, None] + cross_A[None, :] + self.difference_mean_covariance_AA


def cluster_moments_of(
    scores_RA: Floats, clusters_R: NDArray[np.int64], *, arms: tuple[str, ...], control: int
) -> ClusterMoments:
    """Moments of rows in clusters.

    Args:
        scores_RA: Rows x arms in the global order of rows, finite.
        clusters_R: The number of each row's cluster, 0 to G - 1 without gaps.
        arms: Names of the columns.
        control: Index of the control.
    """
    rows = moments_of(scores_RA, arms=arms, control=control)
    sizes_G = np.bincount(clusters_R).astype(np.int64)
    mean_Y = rows.shift_Y + rows.offset_Y
    totals_YG = np.empty((len(arms), len(sizes_G)))
    others = [index for index in range(len(arms)) if index != control]
    control_R = scores_RA[:, control]
    # bincount adds in row order, so the same global order of rows gives the same bits.
    totals_YG[0] = np.bincount(clusters_R, weights=control_R - mean_Y[0], minlength=len(sizes_G))
    for column, index in enumerate(others, start=1):
        difference_R = (scores_RA[:, index] - control_R) - mean_Y[column]
        totals_YG[column] = np.bincount(clusters_R, weights=difference_R, minlength=len(sizes_G))
    meat_YY = np.empty((len(arms), len(arms)))
    for i in range(len(arms)):
        meat_YY[i, i:] = (totals_YG[i] * totals_YG[i:]).sum(axis=1)
        meat_YY[i:, i] = meat_YY[i, i:]
    return ClusterMoments(rows=rows, num_clusters=len(sizes_G), meat_YY=meat_YY, sizes_G=sizes_G)


def refuse_few_clusters(num_clusters: int) -> None:
    """Raises SamplesError if there are fewer than `MIN_CLUSTERS` clusters."""
    if num_clusters < MIN_CLUSTERS:
        raise SamplesError(
            f"too few clusters: {num_clusters}",
            field="columns.cluster",
            value=num_clusters,
            bound=f"at least {MIN_CLUSTERS} clusters",
            remedy="collect rows from more clusters: variation between clusters cannot be estimated from so few",
        )
