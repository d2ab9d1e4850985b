"""The design effect: how much more variance clusters make (Kish 1965)."""


def design_effect_of(cluster_size: float | None, icc: float | None) -> float:
    """The factor `1 + (m - 1) icc` on the variance; 1 without clusters.

    Args:
        cluster_size: Rows in a cluster m, or None.
        icc: Intraclass correlation, or None.
    """
    if cluster_size is None or icc is None:
        return 1.0
    return 1.0 + (cluster_size - 1.0) * icc
