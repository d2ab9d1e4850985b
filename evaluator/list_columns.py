"""List columns: Arrow columns whose lists all have the same length, as NumPy arrays."""

from typing import Any

import numpy as np
import pyarrow as pa


def matrix(lists: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of lists of one length, such as `probabilities`, as an array of shape (rows, length); NaN for nulls."""
    column: Any = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    values = column.flatten().to_numpy().reshape(-1, column.type.list_size)  # without the elements under a null
    if not column.null_count:
        return values
    spread = np.full((len(column), column.type.list_size), np.nan)
    spread[column.is_valid().to_numpy(zero_copy_only=False)] = values
    return spread


def lists(values_RK: np.ndarray, *, mask: np.ndarray | None = None) -> Any:
    """A column of lists of one length from an array.

    Args:
        values_RK: Shape (rows, length).
        mask: Which rows are null; None: no row is.
    """
    flat: Any = pa.array(np.ascontiguousarray(values_RK).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values_RK.shape[1], mask=None if mask is None else pa.array(mask))
