"""Bands: locality-sensitive hashing; rows that share one of their keys are candidates for near duplicates."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from assay.evaluator.data.splitmix import GOLDEN

MAX_BUCKET = 128
"""The maximum number of rows that are compared with each row that shares a key with them. Where more rows share a key,
near rows are found by other keys, or there are so many of them that not every one matters."""
SLICE_PAIRS = 1 << 17
"""The approximate number of candidates that are generated at once."""

Keys = npt.NDArray[np.uint64]


def folded(keys_RB: Keys, values_RBV: Keys) -> Keys:
    """Mixes values into keys, one after the other: the results are equal where keys and all values are.

    Args:
        keys_RB: The initial keys, rows x bands.
        values_RBV: The values, rows x bands x values of a key.
    """
    for at in range(values_RBV.shape[2]):
        keys_RB = (keys_RB ^ values_RBV[:, :, at]) * GOLDEN
        keys_RB ^= keys_RB >> np.uint64(31)
    return keys_RB


class Bands:
    """The keys of some rows, sorted within each band."""

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
        """Pairs of rows that share a key, in slices; a pair occurs once within a slice.

        Args:
            keys_RB: The keys of other rows, other rows x bands.
            wanted: Which of our rows are still searched for, shape (our rows,). May change between slices.

        Yields:
            The indices of the other rows and of our rows, each of shape (pairs,).
        """
        starts = np.empty(keys_RB.shape, np.int64)
        counts = np.empty(keys_RB.shape, np.int64)
        for band, ours in enumerate(self._keys_BR):
            keys, inverse = np.unique(keys_RB[:, band], return_inverse=True)
            start = np.searchsorted(ours, keys, side="left")
            starts[:, band] = start[inverse]
            counts[:, band] = (np.searchsorted(ours, keys, side="right") - start)[inverse]
        # In a large bucket, each row is compared with a different part of it.
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
        codes = []
        for band, order in enumerate(self._order_BR):
            count = counts[:, band]
            total = int(count.sum())
            if not total:
                continue
            theirs = np.repeat(np.arange(len(count)), count)
            at = np.repeat(starts[:, band] - np.cumsum(count) + count, count) + np.arange(total)
            ours = order[at].astype(np.int64)
            keep = wanted[ours]
            codes.append(theirs[keep] * num_ours + ours[keep])
        pairs = np.unique(np.concatenate(codes)) if codes else np.empty(0, np.int64)
        return pairs // num_ours + first, pairs % num_ours
