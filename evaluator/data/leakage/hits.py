"""Hits: which rows of a dataset were found in training sets, and the first place of each."""

import numpy as np
import numpy.typing as npt

from assay.evaluator.data.ingest import Origin


class Hits:
    """For each row, the first place where it or a similar row occurs."""

    def __init__(self, num_rows: int) -> None:
        self._source = np.full(num_rows, -1, np.int32)
        self._number = np.zeros(num_rows, np.int64)
        self._value = np.full(num_rows, np.nan, np.float32)
        self._origins: list[Origin] = []

    @property
    def is_hit_R(self) -> npt.NDArray[np.bool_]:
        """Which rows were found, shape (rows,)."""
        return self._source >= 0

    def mark(
        self,
        rows: npt.NDArray[np.int64],
        origin: Origin,
        numbers: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Records rows that were found; earlier hits of a row are kept.

        Args:
            rows: Rows of the dataset, shape (hits,); of a repeated row the first hit counts.
            origin: The position of the rows of the training set.
            numbers: The line or row number where each was found, shape (hits,).
            values: The similarity or distance of each, shape (hits,).
        """
        new_rows, first = np.unique(rows, return_index=True)
        is_new = self._source[new_rows] < 0
        new_rows, first = new_rows[is_new], first[is_new]
        if not self._origins or (self._origins[-1].file, self._origins[-1].unit) != (origin.file, origin.unit):
            self._origins.append(origin)
        self._source[new_rows] = len(self._origins) - 1
        self._number[new_rows] = numbers[first]
        if values is not None:
            self._value[new_rows] = values[first]

    def copy_to(self, hits: "Hits", group_R: npt.NDArray[np.int64], first_row: int) -> None:
        """Copies the hits to the rows of a dataset that our rows represent.

        Args:
            hits: The hits of the whole dataset.
            group_R: For consecutive rows of the dataset, the index of our row that represents each, shape (rows,).
            first_row: The index of the first of these rows in the dataset.
        """
        for source, origin in enumerate(self._origins):
            rows = np.flatnonzero(self._source[group_R] == source)
            ours = group_R[rows]
            hits.mark(rows + first_row, origin, self._number[ours], self._value[ours].astype(np.float64))

    def place(self, row: int) -> str:
        """Where a row was found, such as `train.csv:12`."""
        return self._origins[self._source[row]].place(int(self._number[row]))

    def value(self, row: int) -> float | None:
        """The similarity or distance of a hit; None if it has none."""
        value = float(self._value[row])
        return None if np.isnan(value) else round(value, 6)
