"""Shingles: every sequence of five consecutive characters of a text, hashed to a number."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

LENGTH = 5
_PAD = "\x03" * LENGTH  # so that shorter texts have shingles, too
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], np.uint64
)
_SHIFT = np.uint64(29)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def shingles(texts: Any) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The shingles of each text, including repeated ones.

    Args:
        texts: An Arrow array of large strings without nulls, shape (rows,).

    Returns:
        64-bit hashes of all shingles, text by text; and the offset of each text's first one, plus the end, shape
        (rows + 1,).
    """
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    joined = _PAD.join([*texts.to_pylist(), ""])
    characters = np.frombuffer(joined.encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashes = np.zeros(max(0, len(characters) - LENGTH + 1), np.uint64)
    for at, factor in enumerate(_FACTORS):
        hashes += characters[at : at + len(hashes)] * factor
    hashes ^= hashes >> _SHIFT
    hashes *= _MIX
    hashes ^= hashes >> _SHIFT
    num_each = lengths + 1
    ends = np.concatenate([[0], np.cumsum(num_each)])
    skipped = np.repeat(np.arange(len(lengths)) * (LENGTH - 1), num_each)  # shingles that extend into the next text
    return hashes[np.arange(ends[-1]) + skipped], ends


def joined(columns: list[Any]) -> pa.Array:
    """Several text columns as one text per row; null counts as an empty text.

    Args:
        columns: Arrow arrays of large strings, each of shape (rows,).
    """
    filled = [pc.fill_null(column, "") for column in columns]
    return filled[0] if len(filled) == 1 else pc.binary_join_element_wise(*filled, pa.scalar("\x1f", pa.large_string()))


def jaccard(ours: npt.NDArray[np.uint64], theirs: npt.NDArray[np.uint64]) -> float:
    """The Jaccard similarity of two sets of shingles: the size of the intersection divided by that of the union.

    Args:
        ours: Sorted and distinct, shape (shingles,).
        theirs: The same for the other text.
    """
    shared = np.count_nonzero(np.isin(ours, theirs, assume_unique=True))
    return shared / (len(ours) + len(theirs) - shared)
