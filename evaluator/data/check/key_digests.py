"""Key digests: 128 bits for the values of some columns in each row; equal values have equal digests.

The bits of numbers are mixed reversibly, so that different numbers are certain to differ until columns are combined.
Texts and tensors are hashed by DuckDB twice, once after a salt that shifts them against the words of the hash. Two
different keys share a digest with a probability of about 2**-128 per pair, so the keys themselves are not compared
again. The digests are valid in this process only and are never stored.

    Axes: W words of a digest, n rows.
"""

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.splitmix import GOLDEN, Words, mixed
from assay.manifests.column import FrozenColumn

_SALT = "\x02key\x03"  # five bytes: not a multiple of the hash's word
_MULTIPLIERS = (GOLDEN, np.uint64(0xC2B2AE3D27D4EB4F))


class KeyDigests:
    """Digests of keys, each made of one or more columns; a column that is part of several keys is hashed once."""

    def __init__(self, columns: Sequence[FrozenColumn]) -> None:
        """Takes the columns that are part of any key."""
        self._columns = columns
        self._hashed = [column.name for column in columns if column.type == "string" or column.shape]
        names = [f"c{at}" for at in range(len(self._hashed))]
        salt = f"'{_SALT}'"
        salts = [f"{salt}::BLOB" if self._is_tensor(name) else salt for name in self._hashed]
        hashes = [f"hash({c}) AS a_{c}, hash({s} || {c}) AS b_{c}" for c, s in zip(names, salts, strict=True)]
        self._sql = f"SELECT {', '.join(hashes)} FROM chunk"  # noqa: S608  # names generated above
        self._connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "256MB"}) if names else None

    def column_words(self, table: pa.Table) -> dict[str, tuple[Words, Words]]:
        """Two words for each value of each column, each of shape (n,)."""
        words = self._of_bytes(table)
        for column in self._columns:
            if column.name not in words:
                array = _array(table, column.name)
                spread = mixed(_bits(array))
                # A number has the same word twice, so two different words can only be a null.
                is_null = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
                words[column.name] = (spread, spread if is_null is None else np.where(is_null, ~spread, spread))
        return words

    def _of_bytes(self, table: pa.Table) -> dict[str, tuple[Words, Words]]:
        if self._connection is None:
            return {}
        arrays: list[Any] = [
            _bytes(_array(table, name)) if self._is_tensor(name) else table[name] for name in self._hashed
        ]
        self._connection.register("chunk", pa.table(arrays, names=[f"c{at}" for at in range(len(arrays))]))
        try:
            hashed = self._connection.sql(self._sql).to_arrow_table()
        finally:
            self._connection.unregister("chunk")
        pairs: dict[str, tuple[Words, Words]] = {}
        for at, name in enumerate(self._hashed):
            first, second = (_numpy(hashed[f"{lane}_c{at}"].combine_chunks()) for lane in "ab")
            pairs[name] = (first, second)
        return pairs

    def _is_tensor(self, name: str) -> bool:
        return bool(next(column.shape for column in self._columns if column.name == name))


def combined(columns: Sequence[tuple[Words, Words]]) -> tuple[Words, Words]:
    """The digests of keys from the words of their columns, in order: two words for each row, each of shape (n,)."""
    lanes: list[Words] = []
    for lane, multiplier in enumerate(_MULTIPLIERS):
        state = np.full(len(columns[0][0]), multiplier)
        for words in columns:
            # Reversible in either argument: keys that differ in only one column never share a digest.
            state ^= words[lane]
            state *= multiplier
            state ^= state >> np.uint64(29 + 3 * lane)
        lanes.append(state)
    return lanes[0], lanes[1]


def _array(table: pa.Table, name: str) -> Any:
    (array,) = table[name].chunks  # a chunk's table is made of arrays
    return array


def _bits(array: Any) -> Words:
    """The values of a plain column as 64-bit words that are equal where the values are equal."""
    if pa.types.is_floating(array.type):
        values = _numbers(array, np.nan).astype(np.float64) + 0.0  # a negative zero is zero
        values[np.isnan(values)] = np.nan
        return values.view(np.uint64)
    if pa.types.is_date32(array.type):
        array = array.view(pa.int32())
    elif pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    return _numbers(array, 0).astype(np.int64).view(np.uint64)


def _numbers(array: Any, fill_value: float) -> npt.NDArray[Any]:
    if array.null_count:
        array = array.fill_null(bool(fill_value) if pa.types.is_boolean(array.type) else fill_value)
    return array.to_numpy(zero_copy_only=False)


def _bytes(tensors: Any) -> pa.Array:
    """Tensors as the bytes of their elements; equal elements give equal bytes."""
    storage = tensors.storage
    elements = storage.flatten().to_numpy(zero_copy_only=False)  # without null tensors
    if elements.dtype.kind == "f":
        elements = elements + 0.0
    present = len(tensors) - tensors.null_count
    width = elements.nbytes // present if present else 1
    content = pa.py_buffer(np.ascontiguousarray(elements).data)
    present_values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), present, [None, content])
    if not tensors.null_count:
        return present_values
    is_present = tensors.is_valid().to_numpy(zero_copy_only=False)
    places = np.where(is_present, np.cumsum(is_present) - 1, 0)
    indices: Any = pa.array(places, mask=~is_present)
    return present_values.take(indices)


def _numpy(array: Any) -> Words:
    return array.to_numpy(zero_copy_only=False)  # DuckDB hashes null to a number, too
