"""List columns: Arrow columns whose lists all have the same length, as NumPy arrays."""

from typing import Any

import numpy as np
import pyarrow as pa


def matrix(lists: pa.ChunkedArray) -> np.ndarray:
    """A column of lists of one length, such as `probabilities`, as an array of shape (rows, length)."""
    column: Any = lists.combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)
