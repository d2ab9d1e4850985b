"""Distinct: the number of distinct values of a streamed column, and the most frequent ones."""

import math
from functools import cache
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.splitmix import GOLDEN, mixed

MAX_COUNTED = 4096
"""Up to this many distinct values are counted exactly, ..."""
_MAX_TEXT_BYTES = 1 << 20
"""... if their texts take at most this many bytes in total."""
_NUM_HASHES = 1 << 13
"""Hashes kept: the relative standard error of the estimate is one over its square root, 1.1 percent."""


class Distinct:
    """Follows the values of one plain column; the result does not depend on the pieces they are added in.

    Few values are counted exactly. Of many, the smallest 64-bit hashes are kept: if hashes are uniformly distributed
    and the k-th smallest is a fraction u of the largest possible one, there are about (k - 1) / u of them (Bar-Yossef
    and others 2002, "Counting distinct elements in a data stream"; Beyer and others 2007 on its bias).
    """

    def __init__(self) -> None:
        self.counts: dict[Any, int] | None = {}
        """How often each value occurs; None if there are too many values to count."""
        self._num_text_bytes = 0
        self._hashes: npt.NDArray[np.uint64] = np.empty(0, np.uint64)

    def take(self, values: Any) -> None:
        """Adds the next values, an Arrow array without nulls, shape (values,)."""
        if self.counts is None:
            self._keep_smallest(values)
        elif not self._count(values):
            counted = pa.array(list(self.counts), values.type)
            self.counts = None
            self._keep_smallest(counted)
            self._keep_smallest(values)

    @property
    def num_distinct(self) -> int:
        """The number of distinct values: exact while they are counted, otherwise an estimate."""
        if self.counts is not None:
            return len(self.counts)
        if len(self._hashes) < _NUM_HASHES:
            return len(self._hashes)
        return round((_NUM_HASHES - 1) / math.ldexp(float(self._hashes[-1]), -64))

    def _count(self, values: Any) -> bool:
        """Counts the values; False if there are too many distinct ones, in which case they are not all counted."""
        assert self.counts is not None
        new = pc.value_counts(values)
        if len(new) > MAX_COUNTED:
            return False
        for value, count in zip(new.field("values").to_pylist(), new.field("counts").to_pylist(), strict=True):
            if isinstance(value, str) and value not in self.counts:
                self._num_text_bytes += len(value.encode())
            self.counts[value] = self.counts.get(value, 0) + count
        return len(self.counts) <= MAX_COUNTED and self._num_text_bytes <= _MAX_TEXT_BYTES

    def _keep_smallest(self, values: Any) -> None:
        new = hashes(values)
        if len(self._hashes) == _NUM_HASHES:
            new = new[new < self._hashes[-1]]
        if len(new):
            self._hashes = np.unique(np.concatenate((self._hashes, new)))[:_NUM_HASHES].copy()


def hashes(values: Any) -> npt.NDArray[np.uint64]:
    """64-bit hashes of values; equal values have equal hashes, including zeros of either sign."""
    if pa.types.is_string(values.type):
        return _database().from_arrow(pa.table({"value": values})).project("hash(value) AS hash").fetchnumpy()["hash"]
    if pa.types.is_floating(values.type):
        bits = (values.to_numpy(zero_copy_only=False).astype(np.float64) + 0.0).view(np.uint64)
    else:
        width = values.type.bit_width
        bits = values.view(pa.int32() if width == 32 else pa.int64()) if pa.types.is_temporal(values.type) else values
        bits = bits.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    return mixed(bits + GOLDEN)


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One database per process: opening one takes longer than hashing thousands of texts."""
    return duckdb.connect(config={"threads": 1})
