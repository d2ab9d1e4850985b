"""List columns: Arrow columns of equally long lists, as arrays."""

from typing import Any

import numpy as np
import pyarrow as pa


def matrix(lists: pa.ChunkedArray) -> np.ndarray:
    """A column of equally long lists, such as `probabilities`, as rows x their length."""
    found: Any = lists.combine_chunks()
    return found.flatten().to_numpy().reshape(len(found), -1)
