"""Equal rows: rows of a dataset whose digest occurs in a training set."""

import numpy as np

from assay.evaluator.data.ingest import Origin
from assay.evaluator.data.leakage.hits import Hits
from assay.evaluator.data.leakage.row_digest import Digests


class EqualRows:
    """The sorted digests of all rows of a dataset; takes 24 bytes per row, whatever the size of the training sets."""

    def __init__(self, digests: Digests) -> None:
        """Sorts the digests.

        Args:
            digests: The digest of each row, shape (rows,).
        """
        self._order = np.argsort(digests, kind="stable")
        self._sorted = digests[self._order]
        self.hits = Hits(len(digests))

    def search(self, digests: Digests, origin: Origin, numbers: np.ndarray) -> None:
        """Searches for the dataset's rows among rows of a training set.

        Args:
            digests: The digests of rows of a training set, shape (rows,).
            origin: The position of these rows.
            numbers: The line or row number of each, shape (rows,).
        """
        unique, first = np.unique(digests, return_index=True)  # sorted, so that the search passes through memory once
        start = np.searchsorted(self._sorted, unique, side="left")
        is_match = start < len(self._sorted)
        is_match[is_match] = self._sorted[start[is_match]] == unique[is_match]
        if not is_match.any():
            return
        start, first = start[is_match], first[is_match]
        num_rows = np.searchsorted(self._sorted, unique[is_match], side="right") - start
        at = np.repeat(start - np.cumsum(num_rows) + num_rows, num_rows) + np.arange(num_rows.sum())
        self.hits.mark(self._order[at], origin, np.repeat(numbers[first], num_rows))
