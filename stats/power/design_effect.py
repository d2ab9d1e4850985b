"""The design effect: the factor by which clusters inflate the variance (Kish 1965)."""


def design_effect_of(cluster_size: float | None, icc: float | None) -> float:
    """The variance inflation factor `1 + (m - 1) icc`; 1 without clusters.

    Args:
        cluster_size: Rows per cluster m, or None.
        icc: Intraclass correlation, or None.
    """
    if cluster_size is None or icc is None:
        return 1.0
    return 1.0 + (cluster_size - 1.0) * icc
