"""Profile: how the values of each column of a dataset are spread."""

from pydantic import Field

from assay.manifests.base import Manifest

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Which quantiles a profile holds."""

NUM_TOP = 50
"""How many of the commonest values a profile holds."""


class ValueCount(Manifest):
    """A value, and how many rows have it."""

    value: str
    """The value as text; shortened, where it is long."""
    num_rows: int = Field(ge=0)
    """Rows that have it."""


class Histogram(Manifest):
    """How many values lie between edges; the last bin includes its upper edge."""

    edges: tuple[float, ...] = Field(min_length=2)
    """Ascending, one more than there are bins."""
    counts: tuple[int, ...] = Field(min_length=1)
    """Values in each bin."""


class ColumnProfile(Manifest):
    """How the values of one column are spread. Of a tensor, all its elements; of a text, also its length."""

    name: str
    """The column's name."""
    num_nulls: int = Field(ge=0)
    """Rows without a value."""
    num_distinct: int | None = Field(ge=0)
    """Different values, estimated to within a few percent where there are many; None for a tensor."""
    mean: float | None = None
    """Of numbers and bools."""
    quantiles: tuple[float, ...] = ()
    """Of numbers, at `QUANTILES`, to within a hundredth of the ranks; of dates and timestamps in seconds since 1970;
    of texts those of their length in characters."""
    histogram: Histogram | None = None
    """Of what `quantiles` is of."""
    top: tuple[ValueCount, ...] = ()
    """The commonest values of a plain column, commonest first, then by value; of a label or segment all of them, a
    label's classes that no row has too. Exact where there are at most a few thousand different ones, else empty."""


class Profile(Manifest):
    """The spread of every stored column."""

    num_rows: int = Field(ge=1)
    """Rows of the dataset."""
    columns: tuple[ColumnProfile, ...]
    """One for each stored column, in order."""

    def column(self, name: str) -> ColumnProfile:
        """The profile of one column."""
        return next(column for column in self.columns if column.name == name)
