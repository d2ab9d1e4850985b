"""Hits: which rows of a dataset were found, and the first place where each was."""

import numpy as np
import numpy.typing as npt

from assay.evaluator.data.ingest import Origin


class Hits:
    """For each row the first place where it, or one like it, stands."""

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
        """Notes rows that were found; what is known of a row already stays.

        Args:
            rows: Rows of the dataset, shape (hits,); of a row that stands there twice the first counts.
            origin: The file.
            numbers: The line or row where each was found, shape (hits,).
            values: How near each is, shape (hits,).
        """
        fresh, first = np.unique(rows, return_index=True)
        is_new = self._source[fresh] < 0
        fresh, first = fresh[is_new], first[is_new]
        if not self._origins or (self._origins[-1].file, self._origins[-1].unit) != (origin.file, origin.unit):
            self._origins.append(origin)
        self._source[fresh] = len(self._origins) - 1
        self._number[fresh] = numbers[first]
        if values is not None:
            self._value[fresh] = values[first]

    def copy_to(self, hits: "Hits", group_R: npt.NDArray[np.int64], first_row: int) -> None:
        """Notes the same of the rows of a dataset that each of our rows stands for.

        Args:
            hits: Of the whole dataset.
            group_R: For some consecutive rows of the dataset, which of ours it is, shape (rows,).
            first_row: The first of them.
        """
        for source, origin in enumerate(self._origins):
            rows = np.flatnonzero(self._source[group_R] == source)
            ours = group_R[rows]
            hits.mark(rows + first_row, origin, self._number[ours], self._value[ours].astype(np.float64))

    def place(self, row: int) -> str:
        """Where a row was found, in words."""
        return self._origins[self._source[row]].place(int(self._number[row]))

    def value(self, row: int) -> float | None:
        """How near what was found is."""
        value = float(self._value[row])
        return None if np.isnan(value) else round(value, 6)
