"""Batches and units: which rows are scored together, from dataset and batch size alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BATCHING_RULE = "grid/pad-with-last-row/1"
"""The name of the rule below; part of a unit's key, so that another rule can never reuse its results."""


@dataclass(frozen=True)
class Unit:
    """A run of whole batches: the grain of work, retry and publication.

    Attributes:
        index: The unit's place in the dataset.
        first_row: The global index of its first row.
        num_rows: How many rows it has; only the last unit's may end inside a batch.
        batch_size: Rows in each batch.
    """

    index: int
    first_row: int
    num_rows: int
    batch_size: int

    def batches(self) -> Iterator[slice]:
        """The rows of each batch, counted from the unit's first row. The last slice may be short: pad it."""
        for start in range(0, self.num_rows, self.batch_size):
            yield slice(start, min(start + self.batch_size, self.num_rows))


def units(num_rows: int, *, shard_rows: int, batch_size: int) -> tuple[Unit, ...]:
    """Cuts rows [0, num_rows) into units of whole batches, about one shard each.

    Batch k is rows [k * batch_size, (k + 1) * batch_size) of the frozen order, whatever the unit. Where the batch
    size does not divide a shard, a unit takes rows from two shards.
    """
    rows_per_unit = batch_size * max(1, shard_rows // batch_size)
    return tuple(
        Unit(index, first_row, min(rows_per_unit, num_rows - first_row), batch_size)
        for index, first_row in enumerate(range(0, num_rows, rows_per_unit))
    )


def padded(rows: np.ndarray, *, batch_size: int) -> np.ndarray:
    """The rows and, up to the batch size, copies of the last one: real input, so that no model stumbles over it.

    Args:
        rows: At least one row, `(num_rows, ...)`.
        batch_size: The size wanted, at least `num_rows`.

    Returns:
        `(batch_size, ...)`; the same array where nothing has to be added.
    """
    missing = batch_size - len(rows)
    if missing == 0:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
