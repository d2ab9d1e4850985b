"""Profile: the distribution of the values of each column, computed in one pass over streamed rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.profile.distinct import Distinct
from assay.evaluator.data.profile.quantiles import Numbers, Spread
from assay.manifests.column import FrozenColumn, is_number
from assay.manifests.errors import shortened
from assay.manifests.profile import NUM_TOP, QUANTILES, ColumnProfile, Profile, ValueCount

_WAITING_ROWS, _WAITING_BYTES = 1 << 16, 1 << 24
"""Rows are processed in batches of this many rows or bytes, since each batch has a fixed cost."""


class Profiler:
    """Follows frozen rows in order. The same rows have the same profile, bit for bit, in whatever pieces they are added.

    Memory: about 200 kB per column, plus half as much each time that the number of rows doubles beyond a few thousand.
    """

    def __init__(self, columns: tuple[FrozenColumn, ...]) -> None:
        """Starts with no rows.

        Args:
            columns: The stored columns.
        """
        self._columns = [_Column(column) for column in columns]
        self._num_rows = 0
        self._waiting: list[pa.Table] = []
        self._num_waiting = self._bytes_waiting = 0

    def take(self, rows: pa.Table) -> None:
        """Adds rows of the stored columns."""
        self._num_rows += rows.num_rows
        self._waiting.append(rows)
        self._num_waiting += rows.num_rows
        self._bytes_waiting += rows.nbytes
        if self._num_waiting >= _WAITING_ROWS or self._bytes_waiting >= _WAITING_BYTES:
            self._process()

    def finish(self) -> Profile:
        """The profile of the rows so far; there must be at least one."""
        if self._waiting:
            self._process()
        return Profile(num_rows=self._num_rows, columns=tuple(column.profile() for column in self._columns))

    def _process(self) -> None:
        rows, self._waiting = pa.concat_tables(self._waiting).combine_chunks(), []
        self._num_waiting = self._bytes_waiting = 0
        for column in self._columns:
            for array in rows[column.name].chunks:
                column.take(array)


class _Column:
    def __init__(self, column: FrozenColumn) -> None:
        self.name = column.name
        self._column = column
        self._num_nulls = 0
        self._spread = Spread()
        self._distinct = None if column.shape else Distinct()

    def take(self, array: Any) -> None:
        self._num_nulls += array.null_count
        if array.null_count:
            array = array.drop_null()
        self._spread.take(numbers(array, self._column))
        if self._distinct is not None:
            self._distinct.take(array)

    def profile(self) -> ColumnProfile:
        has_mean = is_number(self._column.type) or self._column.type == "bool"
        has_quantiles = self._column.type != "bool" and self._spread.num_values > 0
        distribution = self._spread.distribution()
        return ColumnProfile(
            name=self.name,
            num_nulls=self._num_nulls,
            num_distinct=None if self._distinct is None else self._distinct.num_distinct,
            mean=self._spread.mean if has_mean else None,
            quantiles=tuple(distribution.quantiles(QUANTILES).tolist()) if has_quantiles else (),
            histogram=distribution.histogram() if has_quantiles else None,
            top=self._top(),
        )

    def _top(self) -> tuple[ValueCount, ...]:
        if self._distinct is None or self._distinct.counts is None:
            return ()
        counts = dict.fromkeys(self._column.classes, 0) | self._distinct.counts
        top = sorted(((text_of(value), count) for value, count in counts.items()), key=lambda pair: (-pair[1], pair[0]))
        keeps_all = self._column.role in ("label", "segment")
        return tuple(
            ValueCount(value=shortened(value) if value else "", num_rows=count)
            for value, count in (top if keeps_all else top[:NUM_TOP])
        )


def numbers(array: Any, column: FrozenColumn) -> Numbers:
    """The numbers, in float64, by which values are ordered.

    These are numbers and bools themselves, the elements of tensors, the lengths of texts in characters, and for dates
    and timestamps the seconds since 1970.

    Args:
        array: Frozen values without nulls.
        column: The column of the values.
    """
    if column.shape:
        array = array.storage.flatten()
    if column.type == "string":
        array = pc.utf8_length(array)
    elif column.type == "date":
        return array.view(pa.int32()).to_numpy().astype(np.float64) * 86_400.0
    elif column.type == "timestamp":
        return array.view(pa.int64()).to_numpy() / 1e6
    return array.to_numpy(zero_copy_only=False).astype(np.float64)


def text_of(value: Any) -> str:
    """A plain value as text: bools as in JSON, dates and timestamps in ISO 8601."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
