"""Profile: summary statistics of the values of each column of a dataset."""

from pydantic import Field

from assay.manifests.base import Manifest

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99, 1.0)
"""The levels of the quantiles in a profile."""

NUM_TOP = 50
"""Number of most frequent values in a profile."""


class ValueCount(Manifest):
    """A value and the number of rows that have it."""

    value: str
    """The value as text, shortened if it is long."""
    num_rows: int = Field(ge=0)
    """Number of rows with this value."""


class Histogram(Manifest):
    """Number of values in each bin; the last bin includes its upper edge."""

    edges: tuple[float, ...] = Field(min_length=2)
    """Edges of the bins in ascending order; one more than there are bins."""
    counts: tuple[int, ...] = Field(min_length=1)
    """Number of values in each bin."""


class ColumnProfile(Manifest):
    """Summary statistics of one column: of a tensor's elements; for strings, also of their length."""

    name: str
    """The column's name."""
    num_nulls: int = Field(ge=0)
    """Number of rows without a value."""
    num_distinct: int | None = Field(ge=0)
    """Number of distinct values; an estimate, within a few percent, where there are many. Null: a tensor."""
    mean: float | None = None
    """Mean of numbers and bools. Null: another type, or no values."""
    quantiles: tuple[float, ...] = ()
    """Quantiles at the levels 0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99 and 1,
    accurate to 1 % of the ranks. Dates and timestamps: in seconds since 1970. Strings: of their length in
    characters."""
    histogram: Histogram | None = None
    """Histogram of the same quantity as `quantiles`."""
    top: tuple[ValueCount, ...] = ()
    """The most frequent values of a scalar column, most frequent first, then by value. For a label or segment: all
    values, including classes of the label that no row has. Exact up to a few thousand distinct values, otherwise
    empty."""


class Profile(Manifest):
    """Summary statistics of every stored column."""

    num_rows: int = Field(ge=1)
    """Number of rows of the dataset."""
    columns: tuple[ColumnProfile, ...]
    """One entry per stored column, in order."""

    def column(self, name: str) -> ColumnProfile:
        """The profile of one column."""
        return next(column for column in self.columns if column.name == name)
