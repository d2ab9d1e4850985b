"""Batches and units: which rows are scored together. This depends only on the dataset and the batch size."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BATCHING_RULE = "grid/pad-with-last-row/1"
"""The name of the batching rule below. It is part of a unit's key, so results are never reused under another rule."""

_MAX_UNITS = 64  # work for many slots and for a race's looks, and few files
_NUM_PROBED = 16
_MAX_ROWS = 65_536  # bounds what a retry costs and what a slot holds in memory


@dataclass(frozen=True)
class Unit:
    """Consecutive whole batches: the smallest piece of work that is scheduled, retried and published.

    Attributes:
        index: The unit's position in the dataset, from 0.
        first_row: The index of its first row in the dataset.
        num_rows: The number of its rows; only the last unit may end with an incomplete batch.
        batch_size: Rows per batch.
    """

    index: int
    first_row: int
    num_rows: int
    batch_size: int

    def batches(self) -> Iterator[slice]:
        """Yields the rows of each batch, counted from the unit's first row. Pad the last slice if it is short."""
        for start in range(0, self.num_rows, self.batch_size):
            yield slice(start, min(start + self.batch_size, self.num_rows))


def rows_per_unit(num_rows: int, *, batch_size: int) -> int:
    """Rows of every unit but the last: whole batches, at most 65,536 rows unless a batch is larger.

    Args:
        num_rows: Rows of the dataset.
        batch_size: Rows per batch.
    """
    at_least = min(max(-(-num_rows // _MAX_UNITS), batch_size), _MAX_ROWS)
    return -(-at_least // batch_size) * batch_size


def units(num_rows: int, *, batch_size: int) -> tuple[Unit, ...]:
    """Splits rows [0, num_rows) into units of whole batches.

    Batch k is rows [k * batch_size, (k + 1) * batch_size) of the frozen order, whichever unit it belongs to. How the
    rows are split into shards does not matter: a shard may hold many units, and a unit may take rows from many shards.
    """
    size = rows_per_unit(num_rows, batch_size=batch_size)
    return tuple(
        Unit(index, first_row, min(size, num_rows - first_row), batch_size)
        for index, first_row in enumerate(range(0, num_rows, size))
    )


def first_batches(num_rows: int, *, batch_size: int) -> Unit:
    """The dataset's first 16 batches, for probes: every slot probes the same rows, and a unit may be a single batch."""
    return Unit(0, 0, min(num_rows, _NUM_PROBED * batch_size), batch_size)


def padded(rows: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Pads rows to the batch size with copies of the last row, which every model can process because it is real input.

    Args:
        rows: At least one row, shape `(num_rows, ...)`.
        batch_size: The required number of rows, at least `num_rows`.

    Returns:
        Shape `(batch_size, ...)`; the same array if no padding is needed.
    """
    missing = batch_size - len(rows)
    if missing == 0:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
