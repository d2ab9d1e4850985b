"""Near texts: rows whose texts share most of their runs of five characters, by MinHash."""

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
"""Texts that share 0.7 of their shingles have a band alike in 99 of 100 cases, those that share 0.1 in 1 of 4,000."""
_SEED = 7
_MinHash: Any = vars(rensa)["RMinHash"]  # the package says nothing of its types
_SLICE = 4096
_SURE = 0.18
"""How far the part of equal permutations may lie below that of equal shingles: more than four standard errors."""


class NearTexts:
    """The texts of some rows of a dataset. Each row takes its text and about 600 bytes."""

    def __init__(self, table: pa.Table, columns: tuple[FrozenColumn, ...], *, threshold: float) -> None:
        """Takes the rows.

        Args:
            table: With the columns of texts.
            columns: These columns; their texts count as one.
            threshold: The part of shingles to share.
        """
        self._columns, self._threshold = columns, threshold
        texts = _texts(table, columns)
        # Rows with one text are looked for once.
        unique = texts.unique()
        self._group_R = unique_index(texts, unique)
        self._texts: Any = unique
        signatures = _signatures(self._texts)
        self._signatures = _short(signatures)
        self._bands = Bands(_keys(signatures))
        self._is_wanted = np.ones(len(self._texts), np.bool_)
        self._hits = Hits(len(self._texts))

    def search(self, table: pa.Table, origin: Origin, numbers: npt.NDArray[np.int64]) -> None:
        """Looks for these rows among some rows of a training set."""
        texts = _texts(table, self._columns).unique()
        first = first_rows(_texts(table, self._columns), texts)
        signatures = _signatures(texts)
        short = _short(signatures)
        for theirs, ours in self._bands.candidates(_keys(signatures), wanted=self._is_wanted):
            alike = (short[theirs] == self._signatures[ours]).mean(axis=1)
            likely = alike >= self._threshold - _SURE
            self._verify(texts, theirs[likely], ours[likely], origin, numbers[first])

    def marked(self, hits: Hits, first_row: int) -> None:
        """Says which rows were found, and where.

        Args:
            hits: Of the whole dataset.
            first_row: Where our rows begin in it.
        """
        self._hits.copy_to(hits, self._group_R, first_row)

    def _verify(self, texts: Any, theirs: np.ndarray, ours: np.ndarray, origin: Origin, numbers: np.ndarray) -> None:
        if not len(ours):
            return
        their_sets, our_sets = _Sets(texts, theirs), _Sets(self._texts, ours)
        shared = np.array([shingles.jaccard(our_sets[o], their_sets[t]) for o, t in zip(ours, theirs, strict=True)])
        near = shared >= self._threshold
        self._hits.mark(ours[near], origin, numbers[theirs[near]], shared[near])
        self._is_wanted[ours[near]] = False


class _Sets:
    """The different shingles of some texts."""

    def __init__(self, texts: Any, rows: np.ndarray) -> None:
        self._rows = np.unique(rows)
        hashes, ends = shingles.shingles(texts.take(pa.array(self._rows)))
        self._sets = [np.unique(hashes[ends[at] : ends[at + 1]]) for at in range(len(self._rows))]

    def __getitem__(self, row: int) -> npt.NDArray[np.uint64]:
        return self._sets[int(np.searchsorted(self._rows, row))]


def unique_index(values: Any, unique: Any) -> npt.NDArray[np.int64]:
    """For each value where it stands among the different ones, shape (rows,)."""
    return pc.index_in(values, value_set=unique).to_numpy(zero_copy_only=False).astype(np.int64)


def first_rows(values: Any, unique: Any) -> npt.NDArray[np.int64]:
    """Where each of the different values stands first, shape (different values,)."""
    return np.unique(unique_index(values, unique), return_index=True)[1]


def _texts(table: pa.Table, columns: tuple[FrozenColumn, ...]) -> Any:
    return shingles.joined([normal(one_array(table[column.name])) for column in columns])


def _signatures(texts: Any) -> npt.NDArray[np.uint32]:
    """Rows x permutations."""
    parts = [np.empty((0, NUM_PERMUTATIONS), np.uint32)]
    for start in range(0, len(texts), _SLICE):
        hashes, ends = shingles.shingles(texts.slice(start, _SLICE))
        made = _MinHash.digest_matrix_from_flat_token_hashes(hashes, ends.astype(np.uint64), NUM_PERMUTATIONS, _SEED)
        content = b"".join([array("I", row).tobytes() for row in made.to_rows()])
        parts.append(np.frombuffer(content, np.uint32).reshape(-1, NUM_PERMUTATIONS))
    return np.concatenate(parts)


def _short(signatures: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """Enough of each number to tell it from others; rows x permutations."""
    return (signatures >> np.uint32(16)).astype(np.uint16) ^ signatures.astype(np.uint16)


def _keys(signatures: npt.NDArray[np.uint32]) -> Keys:
    """Rows x bands."""
    banded = signatures[:, : NUM_BANDS * BAND_ROWS].reshape(-1, NUM_BANDS, BAND_ROWS).astype(np.uint64)
    return folded(np.zeros(banded.shape[:2], np.uint64), banded)
