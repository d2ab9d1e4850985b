"""Near texts: rows whose texts share most of their five-character shingles, found by MinHash."""

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import rensa

from assay.evaluator.data.ingest import Origin
from assay.evaluator.data.ingest.chunk import one_array
from assay.evaluator.data.leakage import shingles
from assay.evaluator.data.leakage.bands import Bands, Keys, folded
from assay.evaluator.data.leakage.hits import Hits
from assay.evaluator.data.leakage.normal_text import normal
from assay.manifests.column import FrozenColumn

NUM_PERMUTATIONS = 128
NUM_BANDS, BAND_ROWS = 25, 5
"""The probability that a band is equal is 99 % for texts that share 0.7 of their shingles, and 1 in 4,000 for 0.1."""
_SEED = 7
_MinHash: Any = vars(rensa)["RMinHash"]  # the package has no type information
_SLICE = 4096
_SURE = 0.18
"""How much the fraction of equal permutations may be below that of shared shingles: over four standard errors."""


class NearTexts:
    """The texts of some rows of a dataset. A row takes its text plus about 600 bytes."""

    def __init__(self, table: pa.Table, columns: tuple[FrozenColumn, ...], *, threshold: float) -> None:
        """Indexes the rows.

        Args:
            table: The rows, with the text columns.
            columns: The text columns; their texts are concatenated.
            threshold: The Jaccard similarity of the shingles from which texts are near.
        """
        self._columns, self._threshold = columns, threshold
        texts = _texts(table, columns)
        # Rows with the same text are searched for once.
        unique = texts.unique()
        self._group_R = unique_index(texts, unique)
        self._texts: Any = unique
        signatures = _signatures(self._texts)
        self._signatures = _short(signatures)
        self._bands = Bands(_keys(signatures))
        self._is_wanted = np.ones(len(self._texts), np.bool_)
        self._hits = Hits(len(self._texts))

    def search(self, table: pa.Table, origin: Origin, numbers: npt.NDArray[np.int64]) -> None:
        """Searches for these rows among rows of a training set."""
        texts = _texts(table, self._columns).unique()
        first = first_rows(_texts(table, self._columns), texts)
        signatures = _signatures(texts)
        short = _short(signatures)
        for theirs, ours in self._bands.candidates(_keys(signatures), wanted=self._is_wanted):
            similarity = (short[theirs] == self._signatures[ours]).mean(axis=1)
            is_likely = similarity >= self._threshold - _SURE
            self._verify(texts, theirs[is_likely], ours[is_likely], origin, numbers[first])

    def copy_hits(self, hits: Hits, first_row: int) -> None:
        """Copies the hits to those of the whole dataset.

        Args:
            hits: The hits of the whole dataset.
            first_row: The index of our first row in it.
        """
        self._hits.copy_to(hits, self._group_R, first_row)

    def _verify(self, texts: Any, theirs: np.ndarray, ours: np.ndarray, origin: Origin, numbers: np.ndarray) -> None:
        if not len(ours):
            return
        their_sets, our_sets = _Sets(texts, theirs), _Sets(self._texts, ours)
        shared = np.array([shingles.jaccard(our_sets[o], their_sets[t]) for o, t in zip(ours, theirs, strict=True)])
        is_near = shared >= self._threshold
        self._hits.mark(ours[is_near], origin, numbers[theirs[is_near]], shared[is_near])
        self._is_wanted[ours[is_near]] = False


class _Sets:
    """The distinct shingles of some texts."""

    def __init__(self, texts: Any, rows: np.ndarray) -> None:
        self._rows = np.unique(rows)
        hashes, ends = shingles.shingles(texts.take(pa.array(self._rows)))
        self._sets = [np.unique(hashes[ends[at] : ends[at + 1]]) for at in range(len(self._rows))]

    def __getitem__(self, row: int) -> npt.NDArray[np.uint64]:
        return self._sets[int(np.searchsorted(self._rows, row))]


def unique_index(values: Any, unique: Any) -> npt.NDArray[np.int64]:
    """For each value its index among the distinct values, shape (rows,)."""
    return pc.index_in(values, value_set=unique).to_numpy(zero_copy_only=False).astype(np.int64)


def first_rows(values: Any, unique: Any) -> npt.NDArray[np.int64]:
    """The index of the first occurrence of each distinct value, shape (distinct values,)."""
    return np.unique(unique_index(values, unique), return_index=True)[1]


def _texts(table: pa.Table, columns: tuple[FrozenColumn, ...]) -> Any:
    return shingles.joined([normal(one_array(table[column.name])) for column in columns])


def _signatures(texts: Any) -> npt.NDArray[np.uint32]:
    """The MinHash signatures, rows x permutations."""
    parts = [np.empty((0, NUM_PERMUTATIONS), np.uint32)]
    for start in range(0, len(texts), _SLICE):
        hashes, ends = shingles.shingles(texts.slice(start, _SLICE))
        matrix = _MinHash.digest_matrix_from_flat_token_hashes(hashes, ends.astype(np.uint64), NUM_PERMUTATIONS, _SEED)
        content = b"".join([array("I", row).tobytes() for row in matrix.to_rows()])
        parts.append(np.frombuffer(content, np.uint32).reshape(-1, NUM_PERMUTATIONS))
    return np.concatenate(parts)


def _short(signatures: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """The signatures reduced to 16 bits per number, rows x permutations."""
    return (signatures >> np.uint32(16)).astype(np.uint16) ^ signatures.astype(np.uint16)


def _keys(signatures: npt.NDArray[np.uint32]) -> Keys:
    """The keys, rows x bands."""
    banded = signatures[:, : NUM_BANDS * BAND_ROWS].reshape(-1, NUM_BANDS, BAND_ROWS).astype(np.uint64)
    return folded(np.zeros(banded.shape[:2], np.uint64), banded)
