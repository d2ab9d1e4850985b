"""Distinct: how many different values a column has, and which are the commonest, learnt while they stream by."""

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
"""Up to so many different values are counted one by one."""
_MAX_TEXT_BYTES = 1 << 20
"""... if they are no more than so many bytes of text together."""
_NUM_HASHES = 1 << 13
"""Hashes kept: the standard error of the estimate is one over the square root of it, 1.1 percent."""


class Distinct:
    """Follows the values of one plain column; how they are cut into pieces leaves no trace.

    Few values are counted exactly. Of many, the smallest 64-bit hashes are kept: if the hashes are spread evenly and
    the k-th smallest is the fraction u of the greatest, there are about (k - 1) / u of them (Bar-Yossef and others
    2002, "Counting distinct elements in a data stream"; Beyer and others 2007 on its bias).
    """

    def __init__(self) -> None:
        self.counts: dict[Any, int] | None = {}
        """How often each value comes; None where there are too many to count."""
        self._num_text_bytes = 0
        self._hashes: npt.NDArray[np.uint64] = np.empty(0, np.uint64)

    def take(self, values: Any) -> None:
        """Adds the next values, an Arrow array without nulls, shape (values,)."""
        if self.counts is None:
            self._keep_smallest(values)
        elif not self._count(values):
            known = pa.array(list(self.counts), values.type)
            self.counts = None
            self._keep_smallest(known)
            self._keep_smallest(values)

    @property
    def num_distinct(self) -> int:
        """How many different values there were: exact while they are counted, then an estimate."""
        if self.counts is not None:
            return len(self.counts)
        if len(self._hashes) < _NUM_HASHES:
            return len(self._hashes)
        return round((_NUM_HASHES - 1) / math.ldexp(float(self._hashes[-1]), -64))

    def _count(self, values: Any) -> bool:
        """Counts the values; False, and they are not all counted, if there are too many different ones."""
        assert self.counts is not None
        found = pc.value_counts(values)
        if len(found) > MAX_COUNTED:
            return False
        for value, count in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
            if isinstance(value, str) and value not in self.counts:
                self._num_text_bytes += len(value.encode())
            self.counts[value] = self.counts.get(value, 0) + count
        return len(self.counts) <= MAX_COUNTED and self._num_text_bytes <= _MAX_TEXT_BYTES

    def _keep_smallest(self, values: Any) -> None:
        found = hashes(values)
        if len(self._hashes) == _NUM_HASHES:
            found = found[found < self._hashes[-1]]
        if len(found):
            self._hashes = np.unique(np.concatenate((self._hashes, found)))[:_NUM_HASHES].copy()


def hashes(values: Any) -> npt.NDArray[np.uint64]:
    """64-bit hashes of values; equal values have equal ones, zero with either sign too."""
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
    """One for the process: to open one takes longer than to hash thousands of texts."""
    return duckdb.connect(config={"threads": 1})
