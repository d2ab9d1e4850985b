"""Drift thresholds: how much the values of a column may change from one version of a dataset to the next."""

from pydantic import Field

from assay.manifests.base import Manifest


class DriftThresholds(Manifest):
    """Thresholds for changes of a column's distribution between two versions; a column has drifted if any is exceeded.

    A value must also exceed what chance alone would produce for this number of rows. Null turns a statistic off.
    """

    psi: float | None = Field(default=0.2, gt=0)
    """Population stability index over ten quantile bins of the earlier version, or over categories. Default: 0.2. By
    convention 0.1 is a small change and 0.25 a large one."""
    jensen_shannon: float | None = Field(default=0.1, gt=0, le=1)
    """Jensen-Shannon divergence in bits, from 0 (identical) to 1 (disjoint). Default: 0.1."""
    kolmogorov_smirnov: float | None = Field(default=0.1, gt=0, le=1)
    """For numbers: the largest difference between the two cumulative distributions. Default: 0.1."""
    l_infinity: float | None = Field(default=0.1, gt=0, le=1)
    """For categories: the largest difference in the fraction of rows that any one category has. Default: 0.1."""
    null_fraction: float | None = Field(default=0.05, gt=0, le=1)
    """Largest change of the fraction of rows without a value. Default: 0.05. If the earlier version had no missing
    values, exceeding it is reported as a null explosion."""
