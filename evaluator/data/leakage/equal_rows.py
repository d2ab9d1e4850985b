"""Equal rows: rows of a dataset whose digest comes up in a training set."""

import numpy as np

from assay.evaluator.data.ingest import Origin
from assay.evaluator.data.leakage.hits import Hits
from assay.evaluator.data.leakage.row_digest import Digests


class EqualRows:
    """Digests of all rows of a dataset, in order; memory is 24 bytes a row, whatever the size of training sets."""

    def __init__(self, digests: Digests) -> None:
        """Sorts the rows.

        Args:
            digests: Shape (rows,).
        """
        self._order = np.argsort(digests, kind="stable")
        self._sorted = digests[self._order]
        self.hits = Hits(len(digests))

    def search(self, digests: Digests, origin: Origin, numbers: np.ndarray) -> None:
        """Looks for the dataset's rows among those of a training set.

        Args:
            digests: Of some rows of a training set, shape (rows,).
            origin: Its name.
            numbers: Where each of them stands there, shape (rows,).
        """
        unique, first = np.unique(digests, return_index=True)  # in order, a search goes through memory once
        start = np.searchsorted(self._sorted, unique, side="left")
        there = start < len(self._sorted)
        there[there] = self._sorted[start[there]] == unique[there]
        if not there.any():
            return
        start, first = start[there], first[there]
        num_rows = np.searchsorted(self._sorted, unique[there], side="right") - start
        at = np.repeat(start - np.cumsum(num_rows) + num_rows, num_rows) + np.arange(num_rows.sum())
        self.hits.mark(self._order[at], origin, np.repeat(numbers[first], num_rows))
