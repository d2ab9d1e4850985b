"""Drift thresholds: how far the values of a column may move from one version of a dataset to the next."""

from pydantic import Field

from assay.manifests.base import Manifest


class DriftThresholds(Manifest):
    """Past any of these a column has drifted. Each compares how the values of a column are spread in two versions."""

    psi: float | None = Field(default=0.2, gt=0)
    """Population stability index over ten bins of the earlier version, or over categories: 0.1 is little, 0.25 much.
    None: not looked at; so for all."""
    jensen_shannon: float | None = Field(default=0.1, gt=0, le=1)
    """Jensen-Shannon divergence in bits, from 0 (alike) to 1 (nothing in common)."""
    kolmogorov_smirnov: float | None = Field(default=0.1, gt=0, le=1)
    """For numbers: the largest difference of the two cumulative distributions."""
    l_infinity: float | None = Field(default=0.1, gt=0, le=1)
    """For categories: the largest difference of the parts of the rows that any one value has."""
    null_fraction: float | None = Field(default=0.05, gt=0, le=1)
    """How much the part of the rows without a value may grow or shrink. Past it, where there were none before, it is
    called a null explosion."""
