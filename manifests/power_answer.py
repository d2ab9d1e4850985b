"""Power answer: rows, effect and power that belong together, as `assay power --json` prints them."""

from assay.manifests.base import Computed


class PowerAnswer(Computed):
    """A consistent set of rows, effect and power."""

    num_rows: int
    """Number of rows, rounded up; per arm, if unpaired."""
    num_rows_exact: float
    """The same before rounding up."""
    num_rows_total: int
    """Rows to score in all arms together."""
    effect: float
    """The true difference between two arms, in units of the score; its size, without a sign."""
    power: float
    """The probability of detecting the effect."""
    alpha: float
    """The error rate of the whole family, two-sided."""
    critical: float
    """The value that the test statistic must exceed."""
    num_arms: int
    """Number of arms."""
    method: str
    """The test and its power formula."""
    assumptions: tuple[str, ...]
    """The assumptions made, as text."""
    num_clusters: int | None = None
    """Number of clusters, or None."""
