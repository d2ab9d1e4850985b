"""Near numbers: rows whose numbers are close, found by quantised random projections."""

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
"""Rows are quantised on this many grids; each has this many directions, and offsets of its own: a value near the edge of
a cell on one grid is inside a cell on another."""
_MISSING = 1e3
_BOUND = 1e6
_FULL = 32.0
"""The cell size is halved until a row shares its cell with at most this many rows on average."""
_LEAST_CELL = 8
"""The smallest cell, in units of the distance that counts as near."""
_NORMAL_IQR = 1.349
_LEAST_SPREAD = 0.1
"""The minimum spread of a tensor's element, as a fraction of the spread of all elements: some hardly vary, such as the
corners of images."""
_SLICE = 1 << 14


class NearNumbers:
    """The numbers of some rows of a dataset, in units of their spread. A row takes 4 bytes per number plus 100 bytes."""

    def __init__(
        self, table: pa.Table, columns: tuple[FrozenColumn, ...], *, scales: "Scales", threshold: float
    ) -> None:
        """Indexes the rows.

        Args:
            table: The rows, with the columns.
            columns: All features. Texts must be identical up to case and white space.
            scales: The spread of each number.
            threshold: The root mean square of the differences up to which rows are near.
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
        """Searches for these rows among rows of a training set."""
        scaled = self._scales.scaled(table)
        keys = self._keys(self._projected(scaled), self._texts(table))
        for theirs, ours in self._bands.candidates(keys, wanted=self._is_wanted):
            for start in range(0, len(ours), _SLICE):
                their, our = theirs[start : start + _SLICE], ours[start : start + _SLICE]
                distance = np.sqrt(np.mean((scaled[their] - self._scaled_RD[our]) ** 2, axis=1))
                is_near = distance <= self._threshold
                self._hits.mark(our[is_near], origin, numbers[their[is_near]], distance[is_near])
                self._is_wanted[our[is_near]] = False

    def copy_hits(self, hits: Hits, first_row: int) -> None:
        """Copies the hits to those of the whole dataset, as `NearTexts.copy_hits`."""
        self._hits.copy_to(hits, self._group_R, first_row)

    def _texts(self, table: pa.Table) -> npt.NDArray[np.bytes_]:
        texts = tuple(column for column in self._columns if column.type == "string")
        return row_digests(table, texts, normalised=True) if texts else np.zeros(table.num_rows, "S16")

    def _projected(self, scaled_RD: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The projections, rows x (grids * directions). Each has about the spread of a single number."""
        return scaled_RD @ self._directions

    def _keys(self, projected: npt.NDArray[np.float32], labels: npt.NDArray[np.bytes_]) -> Keys:
        """The keys, rows x grids; they are equal only where the texts are, too."""
        cells = np.floor(projected / self._cell + self._offsets).astype(np.int64).view(np.uint64)
        cells = cells.reshape(-1, NUM_GRIDS, NUM_DIRECTIONS)
        keys = np.repeat(np.frombuffer(labels.tobytes(), np.uint64)[::2, None], NUM_GRIDS, axis=1)
        return folded(keys, cells)


class Scales:
    """Centre and spread of each number of a dataset, for scaling."""

    def __init__(self, table: pa.Table, columns: tuple[FrozenColumn, ...]) -> None:
        """Measures rows of the dataset; a sample is enough.

        Args:
            table: The rows, with the columns.
            columns: All features; texts are skipped.
        """
        self._columns = tuple(column for column in columns if column.type != "string")
        self._centre: dict[str, npt.NDArray[np.float64]] = {}
        self._spread: dict[str, npt.NDArray[np.float64]] = {}
        self.num_varied = 0
        for column in self._columns:
            values = np.where(np.isfinite(stored := _values(table, column)), stored, np.nan)
            values = np.where(np.isnan(values).all(axis=0), 0.0, values)
            low, median, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
            deviation, from_quartiles = np.nanstd(values, axis=0), (high - low) / _NORMAL_IQR
            spread = np.where(from_quartiles > 0, np.minimum(from_quartiles, deviation), deviation)
            spread = np.maximum(spread, _LEAST_SPREAD * float(np.nanstd(values)))
            self._centre[column.name] = median
            self._spread[column.name] = np.where(spread > 0, spread, 1.0)
            self.num_varied += int((deviation > 0).sum())

    def scaled(self, table: pa.Table) -> npt.NDArray[np.float32]:
        """The scaled numbers, rows x numbers; a missing number is far from every other number."""
        parts = []
        for column in self._columns:
            values = (_values(table, column) - self._centre[column.name]) / self._spread[column.name]
            parts.append(np.nan_to_num(values, nan=_MISSING, posinf=_BOUND, neginf=-_BOUND).clip(-_BOUND, _BOUND))
        return np.concatenate(parts, axis=1).astype(np.float32)


def _values(table: pa.Table, column: FrozenColumn) -> npt.NDArray[np.float64]:
    """The values as float64, rows x elements."""
    array: Any = one_array(table[column.name])
    if column.shape:
        array = array.storage.flatten()
    values = array.to_numpy(zero_copy_only=False)
    return values.astype(np.float64).reshape(table.num_rows, -1)


def _crowding(keys: Keys) -> float:
    """The number of rows that share a key with a row, averaged over rows and grids."""
    counts = [np.unique(keys[:, grid], return_counts=True)[1] for grid in range(keys.shape[1])]
    return float(np.mean([(count.astype(np.float64) ** 2).sum() / len(keys) for count in counts]))
