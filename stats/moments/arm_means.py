"""Means of arms and their covariance, the input to comparisons of means in either design.

Axes: A arms.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assay.stats.moments.moments import Floats, Moments


@dataclass(frozen=True, eq=False)
class ArmMeans:
    """Means of arms and their covariance, in either design.

    Attributes:
        arms: Names of the arms.
        control: Index of the control.
        num_rows_A: Rows of each arm; paired arms share them.
        mean_A: Mean differences of the arms from the control (0 for the control).
        mean_covariance_AA: Covariance of those means.
        df: Degrees of freedom of that covariance.
        arm_mean_A: Mean scores of the arms.
        arm_std_error_A: Their standard errors.
        rounding: A difference no larger than this is rounding error.
        moments: Moments of the rows; None for unpaired arms.
        num_clusters: Number of clusters; None without clusters.
        rows_vary_AA: With clusters: whether the difference of two arms varies over rows, even if no cluster total does.
        corpus: As in `Samples`.
    """

    arms: tuple[str, ...]
    control: int
    num_rows_A: NDArray[np.int64]
    mean_A: Floats
    mean_covariance_AA: Floats
    df: float
    arm_mean_A: Floats
    arm_std_error_A: Floats
    rounding: float
    moments: Moments | None = None
    num_clusters: int | None = None
    rows_vary_AA: NDArray[np.bool_] | None = None
    corpus: Literal["bounded", "unbounded"] | None = None

    @property
    def relative_covariance_AA(self) -> Floats:
        """Covariance of the arms' mean differences from the control."""
        covariance_AA, at = self.mean_covariance_AA, self.control
        return covariance_AA - covariance_AA[at] - covariance_AA[:, at, None] + covariance_AA[at, at]


def of_rows(moments: Moments, *, corpus: Literal["bounded", "unbounded"] | None = None) -> ArmMeans:
    """The means of paired arms on independent rows.

    Args:
        moments: Moments of the rows.
        corpus: As in `Samples`.
    """
    return ArmMeans(
        arms=moments.arms,
        control=moments.control,
        num_rows_A=np.full(moments.num_arms, moments.num_rows),
        mean_A=moments.difference_mean_A,
        mean_covariance_AA=moments.difference_covariance_AA / moments.num_rows,
        df=moments.num_rows - 1,
        arm_mean_A=moments.mean_A,
        arm_std_error_A=np.sqrt(np.maximum(np.diag(moments.covariance_AA), 0.0) / moments.num_rows),
        rounding=moments.rounding,
        moments=moments,
        corpus=corpus,
    )
