"""Bands: rows that share a key are candidates for being near; each row has several keys."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from assay.evaluator.data.splitmix import GOLDEN

MAX_BUCKET = 128
"""So many rows that share a key are looked at for each row that has it, too: where there are more, near rows are found
by other keys, or are so many that not every one of them matters."""
SLICE_PAIRS = 1 << 17
"""About so many candidates are made at once."""

Keys = npt.NDArray[np.uint64]


def folded(keys_RB: Keys, values_RBV: Keys) -> Keys:
    """The keys with some values put into each, one after the other: equal only where all of them are.

    Args:
        keys_RB: What they start from, rows x bands.
        values_RBV: Rows x bands x values of a key.
    """
    for at in range(values_RBV.shape[2]):
        keys_RB = (keys_RB ^ values_RBV[:, :, at]) * GOLDEN
        keys_RB ^= keys_RB >> np.uint64(31)
    return keys_RB


class Bands:
    """The keys of some rows, each band in order."""

    def __init__(self, keys_RB: Keys) -> None:
        """Sorts every band.

        Args:
            keys_RB: Rows x bands.
        """
        self._order_BR = np.argsort(keys_RB.T, axis=1, kind="stable").astype(np.int32)
        self._keys_BR = np.take_along_axis(keys_RB.T, self._order_BR, axis=1)

    def candidates(
        self, keys_RB: Keys, *, wanted: npt.NDArray[np.bool_]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Pairs that share a key, a slice at a time; none comes twice within a slice.

        Args:
            keys_RB: Other rows x bands.
            wanted: Which of our rows are still looked for, shape (our rows,). May change between slices.

        Yields:
            Other rows, and our rows, shape (pairs,) each.
        """
        starts = np.empty(keys_RB.shape, np.int64)
        counts = np.empty(keys_RB.shape, np.int64)
        for band, ours in enumerate(self._keys_BR):
            keys, back = np.unique(keys_RB[:, band], return_inverse=True)
            start = np.searchsorted(ours, keys, side="left")
            starts[:, band] = start[back]
            counts[:, band] = (np.searchsorted(ours, keys, side="right") - start)[back]
        # Of a large bucket everybody sees another stretch.
        spare = np.maximum(counts - MAX_BUCKET, 0)
        starts += (np.arange(len(keys_RB)) * MAX_BUCKET)[:, None] % (spare + 1)
        counts = np.minimum(counts, MAX_BUCKET)
        ends = np.cumsum(counts.sum(axis=1))
        first = 0
        while first < len(keys_RB):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + SLICE_PAIRS, side="right")))
            pairs = self._pairs(starts[first:last], counts[first:last], first, wanted)
            if len(pairs[0]):
                yield pairs
            first = last

    def _pairs(
        self, starts: np.ndarray, counts: np.ndarray, first: int, wanted: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        num_ours = len(wanted)
        found = []
        for band, order in enumerate(self._order_BR):
            count = counts[:, band]
            total = int(count.sum())
            if not total:
                continue
            theirs = np.repeat(np.arange(len(count)), count)
            at = np.repeat(starts[:, band] - np.cumsum(count) + count, count) + np.arange(total)
            ours = order[at].astype(np.int64)
            keep = wanted[ours]
            found.append(theirs[keep] * num_ours + ours[keep])
        pairs = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
        return pairs // num_ours + first, pairs % num_ours
