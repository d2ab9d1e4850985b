"""Scores compared: compares two scorings of the same rows bit by bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from assay.evaluator import list_columns

NUM_SHOWN = 5
"""The maximum number of differing rows whose ids are given."""


@dataclass(frozen=True)
class Difference:
    """How two tables of the same rows differ.

    Attributes:
        num_rows: Number of rows in which at least one bit differs.
        row_ids: The ids of the first few of them, or their indices if the rows have no ids.
        columns: The largest absolute difference in each column that differs. None if it is not a number: for labels
            and strings, for NaN compared with a number, and for a column that only one of the tables has.
    """

    num_rows: int
    row_ids: tuple[str, ...]
    columns: Mapping[str, float | None]


def difference(recorded: pa.Table, rescored: pa.Table) -> Difference:
    """Compares two scorings of one unit. It compares bits, so 0.0 differs from -0.0 and a NaN equals itself.

    Args:
        recorded: Rows in the form of `UnitResult.table`.
        rescored: The same rows, scored again.
    """
    if recorded.num_rows != rescored.num_rows or recorded.column_names != rescored.column_names:
        names = set(recorded.column_names) ^ set(rescored.column_names) or {"row_index"}
        ids = _ids(recorded, np.arange(min(recorded.num_rows, NUM_SHOWN)))
        return Difference(max(recorded.num_rows, rescored.num_rows), ids, dict.fromkeys(sorted(names)))
    differs_R = np.zeros(recorded.num_rows, dtype=bool)
    columns: dict[str, float | None] = {}
    for name in recorded.column_names:
        before, after = _values(recorded[name]), _values(rescored[name])
        if before.shape != after.shape or before.dtype != after.dtype:
            columns[name] = None
            differs_R[:] = True
            continue
        unequal = _bits(before) != _bits(after)
        is_null, was_null = (column.is_null().to_numpy() for column in (rescored[name], recorded[name]))
        unequal |= (is_null != was_null).reshape(-1, *[1] * (unequal.ndim - 1))
        if unequal.any():
            columns[name] = _distance(before, after)
            differs_R |= unequal.reshape(len(differs_R), -1).any(axis=1)
    return Difference(int(differs_R.sum()), _ids(recorded, np.flatnonzero(differs_R)[:NUM_SHOWN]), columns)


def _ids(rows: pa.Table, places: np.ndarray) -> tuple[str, ...]:
    name = "row_id" if "row_id" in rows.column_names else "row_index"
    return tuple(str(rows[name][place]) for place in places.tolist())


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """A column as an array of shape (rows,) or, for a column of lists, (rows, length). Nulls are NaN, 0 or None."""
    array: Any = column.combine_chunks()
    if pa.types.is_fixed_size_list(array.type):
        return list_columns.matrix(array)
    if array.null_count and pa.types.is_integer(array.type):
        array = array.fill_null(0)
    return array.to_numpy(zero_copy_only=False)


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}") if values.dtype.kind == "f" else values


def _distance(before: np.ndarray, after: np.ndarray) -> float | None:
    """The largest absolute difference; None if it is not a finite number."""
    if before.dtype.kind != "f":
        return None
    apart = np.where(_bits(before) == _bits(after), 0.0, np.abs(before.astype(np.float64) - after.astype(np.float64)))
    return float(apart.max()) if np.isfinite(apart).all() else None
