"""Near numbers: rows whose numbers lie close together, by quantised projections."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.ingest import Origin
from assay.evaluator.data.ingest.chunk import one_array
from assay.evaluator.data.leakage.bands import Bands, Keys, folded
from assay.evaluator.data.leakage.hits import Hits
from assay.evaluator.data.leakage.row_digest import row_digests
from assay.manifests.column import FrozenColumn

NUM_GRIDS, NUM_DIRECTIONS = 8, 8
"""A row is quantised on so many grids, each along so many directions of its own and from an offset of its own: a value
near the edge of a cell on one grid is inside on another."""
_MISSING = 1e3
_BOUND = 1e6
_FULL = 32.0
"""Cells are halved until a row shares its cell with no more others than this, on average."""
_LEAST_CELL = 8
"""The smallest cell, in units of the distance that counts as near."""
_NORMAL_IQR = 1.349
_LEAST_SPREAD = 0.1
"""An element of a tensor that hardly varies, as in the corner of an image, has this part of the spread of all."""
_SLICE = 1 << 14


class NearNumbers:
    """The numbers of some rows of a dataset, in units of their spread. Each row takes 4 bytes a number and 100 more."""

    def __init__(
        self, table: pa.Table, columns: tuple[FrozenColumn, ...], *, scales: "Scales", threshold: float
    ) -> None:
        """Takes the rows.

        Args:
            table: With the columns.
            columns: All features. Texts have to be the same but for case and white space.
            scales: The spread of each number.
            threshold: The root mean square of the differences that counts as near.
        """
        self._columns, self._scales, self._threshold = columns, scales, threshold
        _, first, self._group_R = np.unique(
            row_digests(table, columns, normalised=True), return_index=True, return_inverse=True
        )
        self._scaled_RD = scales.scaled(table)[first]
        num_rows, num_numbers = self._scaled_RD.shape
        random = np.random.default_rng(7)
        shape = (num_numbers, NUM_GRIDS * NUM_DIRECTIONS)
        self._directions = (random.standard_normal(shape) / np.sqrt(num_numbers)).astype(np.float32)
        self._offsets = random.random(shape[1])
        self._cell = 1.0
        projected, labels = self._projected(self._scaled_RD), self._texts(table)[first]
        keys = self._keys(projected, labels)
        while _crowding(keys) > _FULL and self._cell > _LEAST_CELL * threshold:
            self._cell = max(self._cell / 2, _LEAST_CELL * threshold)
            keys = self._keys(projected, labels)
        self._bands = Bands(keys)
        self._is_wanted = np.ones(num_rows, np.bool_)
        self._hits = Hits(num_rows)

    def search(self, table: pa.Table, origin: Origin, numbers: npt.NDArray[np.int64]) -> None:
        """Looks for these rows among some rows of a training set."""
        scaled = self._scales.scaled(table)
        keys = self._keys(self._projected(scaled), self._texts(table))
        for theirs, ours in self._bands.candidates(keys, wanted=self._is_wanted):
            for start in range(0, len(ours), _SLICE):
                their, our = theirs[start : start + _SLICE], ours[start : start + _SLICE]
                distance = np.sqrt(np.mean((scaled[their] - self._scaled_RD[our]) ** 2, axis=1))
                near = distance <= self._threshold
                self._hits.mark(our[near], origin, numbers[their[near]], distance[near])
                self._is_wanted[our[near]] = False

    def marked(self, hits: Hits, first_row: int) -> None:
        """Says which rows were found, and where, as `NearTexts.marked`."""
        self._hits.copy_to(hits, self._group_R, first_row)

    def _texts(self, table: pa.Table) -> npt.NDArray[np.bytes_]:
        texts = tuple(column for column in self._columns if column.type == "string")
        return row_digests(table, texts, normalised=True) if texts else np.zeros(table.num_rows, "S16")

    def _projected(self, scaled_RD: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Rows x (grids, directions), flat. Each is spread about as widely as one number is."""
        return scaled_RD @ self._directions

    def _keys(self, projected: npt.NDArray[np.float32], labels: npt.NDArray[np.bytes_]) -> Keys:
        """Rows x grids; keys are the same only where the texts are, too."""
        cells = np.floor(projected / self._cell + self._offsets).astype(np.int64).view(np.uint64)
        cells = cells.reshape(-1, NUM_GRIDS, NUM_DIRECTIONS)
        keys = np.repeat(np.frombuffer(labels.tobytes(), np.uint64)[::2, None], NUM_GRIDS, axis=1)
        return folded(keys, cells)


class Scales:
    """What each number of a dataset is divided by, so that one unit is its spread."""

    def __init__(self, table: pa.Table, columns: tuple[FrozenColumn, ...]) -> None:
        """Measures rows of the dataset: a sample will do.

        Args:
            table: With the columns.
            columns: All features; texts are passed over.
        """
        self._columns = tuple(column for column in columns if column.type != "string")
        self._centre: dict[str, npt.NDArray[np.float64]] = {}
        self._spread: dict[str, npt.NDArray[np.float64]] = {}
        self.num_varied = 0
        for column in self._columns:
            values = np.where(np.isfinite(found := _values(table, column)), found, np.nan)
            known = np.where(np.isnan(values).all(axis=0), 0.0, values)
            low, middle, high = np.nanquantile(known, [0.25, 0.5, 0.75], axis=0)
            deviation, quartiles = np.nanstd(known, axis=0), (high - low) / _NORMAL_IQR
            own = np.where(quartiles > 0, np.minimum(quartiles, deviation), deviation)
            own = np.maximum(own, _LEAST_SPREAD * float(np.nanstd(known)))
            self._centre[column.name] = middle
            self._spread[column.name] = np.where(own > 0, own, 1.0)
            self.num_varied += int((deviation > 0).sum())

    def scaled(self, table: pa.Table) -> npt.NDArray[np.float32]:
        """Rows x numbers, in units of their spread; one that is missing is far from all that are not."""
        parts = []
        for column in self._columns:
            values = (_values(table, column) - self._centre[column.name]) / self._spread[column.name]
            parts.append(np.nan_to_num(values, nan=_MISSING, posinf=_BOUND, neginf=-_BOUND).clip(-_BOUND, _BOUND))
        return np.concatenate(parts, axis=1).astype(np.float32)


def _values(table: pa.Table, column: FrozenColumn) -> npt.NDArray[np.float64]:
    """Rows x elements."""
    array: Any = one_array(table[column.name])
    if column.shape:
        array = array.storage.flatten()
    values = array.to_numpy(zero_copy_only=False)
    return values.astype(np.float64).reshape(table.num_rows, -1)


def _crowding(keys: Keys) -> float:
    """How many rows share a key with a row, on average over rows and grids."""
    counts = [np.unique(keys[:, grid], return_counts=True)[1] for grid in range(keys.shape[1])]
    return float(np.mean([(count.astype(np.float64) ** 2).sum() / len(keys) for count in counts]))
