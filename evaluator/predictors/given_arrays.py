"""Given arrays: how a function receives the columns of a batch, and how its failed attempts to write to them look."""

import re

import numpy as np

from assay.manifests.plain_text import error_text

_REFUSED = re.compile(
    r"(array|buffer|memory|base|destination)\b.{0,40}(read-?only|writ(e)?able)"
    r"|read-?only (array|buffer|memory)|writeable flag|read-write",
    re.IGNORECASE,
)
"""How NumPy, memoryviews, ctypes, Cython, Numba and pybind11 refuse to write to a read-only array."""


def given(column: np.ndarray, *, writable: bool) -> np.ndarray:
    """A column of a batch as a function receives it.

    Args:
        column: The column: a read-only view of a shard, which other arms read too and which the operating system
            protects; a part of an array that was converted from a shard; or an array of this batch alone.
        writable: Whether the function may write to it.

    Returns:
        A copy if it is writable. Otherwise a read-only array, without a copy unless it is a part of a converted column:
        NumPy leads from a part to the whole (`base`), which has the rows of other batches and can be made writable.
    """
    if not (writable or column.flags.writeable):
        return column.view()
    is_of_this_batch_alone = column.base is None
    array = column.view() if is_of_this_batch_alone and not writable else column.copy()
    array.setflags(write=writable)
    return array


def is_refused_write(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that a read-only array cannot be written to."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if not isinstance(cause, OSError) and _REFUSED.search(error_text(cause)):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False
