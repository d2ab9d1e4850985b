"""Row digest: 16 bytes per row, equal where the values of the given columns are equal."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import blake3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest.chunk import one_array
from assay.evaluator.data.leakage.normal_text import normal
from assay.manifests.column import FrozenColumn

DIGEST_BYTES = 16
Digests = npt.NDArray[np.bytes_]
"""Shape (rows,), 16 bytes each. NumPy ignores trailing zero bytes when it compares, which is exact for equal lengths."""


def row_digests(table: pa.Table, columns: Sequence[FrozenColumn], *, normalised: bool = False) -> Digests:
    """The digest of each row; -0.0 equals 0.0, all NaNs are equal, and nulls are equal.

    Args:
        table: The rows, with the columns.
        columns: The columns to digest, of any type except dates and timestamps.
        normalised: Whether texts are normalised first (see `normal_text`).

    Returns:
        The digests, shape (rows,).
    """
    # The lengths of the texts precede all texts, so that "ab", "c" differs from "a", "bc".
    fixed, texts = [np.zeros((table.num_rows, 0), np.uint8)], []
    for column in columns:
        array = one_array(table[column.name])
        if column.type == "string":
            text = normal(array) if normalised else array
            lengths = pc.cast(pc.binary_length(text), pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
            fixed.append(_bytes(lengths.reshape(-1, 1)))
            texts.append(text.fill_null("").cast(pa.large_binary()))
        else:
            fixed += [_bytes(values) for values in _canonical(array, column)]
    numbers = np.ascontiguousarray(np.concatenate(fixed, axis=1))
    if not texts:
        return _digests(memoryview(numbers.tobytes()), np.arange(table.num_rows + 1) * numbers.shape[1])
    head = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(numbers.shape[1]), table.num_rows, [None, pa.py_buffer(numbers.tobytes())]
    )
    separator = pa.scalar(b"", pa.large_binary())
    joined: Any = pc.binary_join_element_wise(head.cast(pa.large_binary()), *texts, separator)  # pyright: ignore[reportCallIssue,reportArgumentType]
    _, offsets, content = joined.buffers()
    ends = np.frombuffer(offsets, np.int64)[joined.offset : joined.offset + len(joined) + 1]
    return _digests(memoryview(content or b""), ends)


def _digests(content: memoryview, ends: npt.NDArray[np.int64]) -> Digests:
    pieces = pairwise(ends.tolist())
    joined = b"".join([blake3.blake3(content[start:end]).digest(length=DIGEST_BYTES) for start, end in pieces])
    return np.frombuffer(joined, f"S{DIGEST_BYTES}")


def _canonical(array: Any, column: FrozenColumn) -> list[np.ndarray]:
    """The values as rows x elements, and for plain columns a mask of those that are not missing."""
    if column.shape:
        storage = array.storage
        values = storage.flatten().to_numpy(zero_copy_only=False).reshape(len(array), -1)
        return [_without_signs(values)]
    present = array.is_valid().to_numpy(zero_copy_only=False)
    values = array.fill_null(False if column.type == "bool" else 0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        present = present & ~np.isnan(values)
    return [_without_signs(values.reshape(-1, 1)), present.reshape(-1, 1)]


def _without_signs(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), values.dtype.type(0), values) + values.dtype.type(0)


def _bytes(values: np.ndarray) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
