"""Quantiles: the distribution of streamed numbers, in memory that hardly grows with their count."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from assay.manifests.profile import Histogram

PROFILE_BLOCK = 1 << 13
"""The block size for profiles: fewer numbers than this are kept exactly."""
NUM_BINS = 32
"""The maximum number of bins of a histogram."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """Numbers with their counts.

    Attributes:
        values: Ascending, shape (values,); equal values may occur several times.
        counts: The count of each, int64 of the same shape.
    """

    values: Numbers
    counts: npt.NDArray[np.int64]

    @property
    def num_values(self) -> int:
        """The number of numbers."""
        return int(self.counts.sum())

    def num_up_to(self, edges: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The number of numbers that are at most each edge, in the shape of the edges."""
        cumulative = np.concatenate(([0], np.cumsum(self.counts)))
        return cumulative[np.searchsorted(self.values, edges, side="right")]

    def quantiles(self, levels: Sequence[float]) -> Numbers:
        """At each level, the smallest number such that at least this fraction of all numbers are at most it; shape (levels,)."""
        cumulative = np.cumsum(self.counts)
        wanted = np.ceil(np.asarray(levels) * cumulative[-1])
        return self.values[np.minimum(np.searchsorted(cumulative, wanted), len(self.values) - 1)]

    def histogram(self) -> Histogram:
        """Counts in bins of equal width from the smallest to the largest number."""
        parts = np.linspace(0.0, 1.0, NUM_BINS + 1)
        # Not smallest + parts * (largest - smallest): that difference could overflow.
        edges = np.unique((1 - parts) * self.values[0] + parts * self.values[-1])
        edges[0], edges[-1] = self.values[0], self.values[-1]
        if len(edges) == 1:
            edges = np.repeat(edges, 2)
        cumulative = np.concatenate(([0], np.cumsum(self.counts)))
        below = cumulative[np.searchsorted(self.values, edges, side="left")]
        below[-1] = cumulative[-1]
        return Histogram(edges=tuple(edges.tolist()), counts=tuple(np.diff(below).tolist()))


class Spread:
    """Follows finite numbers in order; the result does not depend, bit for bit, on the pieces they are added in.

    Numbers are collected in blocks. A full block is sorted, and every second number, with twice the weight, moves to a
    block of the next level, where the same happens. One such step changes the rank of any number by at most the weight
    of one number; all steps together, for n numbers in blocks of k, by at most log2(n / k) / k of n, which is 0.002 for
    a billion numbers in blocks of 8,192. (Compactors, as in Manku, Rajagopalan and Lindsay 1998, "Approximate medians
    and other quantiles in one pass and with limited memory".)
    """

    def __init__(self, *, block: int = PROFILE_BLOCK) -> None:
        """Starts with no numbers.

        Args:
            block: The block size, an even number; larger blocks are more exact and take more memory.
        """
        self._block = block
        self._rest: Numbers = np.empty(0)
        self._waiting: list[Numbers | None] = []
        """By level: half a block, sorted, that waits for its other half; unused at level 0."""
        self._turns: list[int] = []
        """By level: which of two neighbours moves to the next level next time."""
        self._total = 0.0
        self._minimum, self._maximum = np.inf, -np.inf
        self.num_values = 0

    def take(self, values: Numbers) -> None:
        """Adds the next numbers, shape (values,)."""
        self.num_values += len(values)
        values = np.concatenate((self._rest, values))
        whole = len(values) - len(values) % self._block
        for start in range(0, whole, self._block):
            block = values[start : start + self._block]
            self._total += _sum(block)
            block = np.sort(block)
            self._minimum, self._maximum = min(self._minimum, block[0]), max(self._maximum, block[-1])
            self._compact(block, level=0)
        self._rest = values[whole:].copy()

    @property
    def mean(self) -> float | None:
        """The mean; None if there are no numbers or their sum overflows."""
        if not self.num_values:
            return None
        mean = (self._total + _sum(self._rest)) / self.num_values
        return float(mean) if np.isfinite(mean) else None

    def distribution(self) -> Distribution:
        """The distribution of the numbers so far; exact if there are fewer than a block."""
        parts = [(self._rest, 1), *((half, 2**level) for level, half in enumerate(self._waiting) if half is not None)]
        values = np.concatenate([part for part, _ in parts])
        counts = np.concatenate([np.full(len(part), weight, np.int64) for part, weight in parts])
        order = np.argsort(values, kind="stable")
        values, counts = values[order], counts[order]
        if self._waiting and len(values):  # the ends are known exactly
            values[0], values[-1] = min(self._minimum, values[0]), max(self._maximum, values[-1])
        return Distribution(values, counts)

    def _compact(self, block: Numbers, *, level: int) -> None:
        if level == len(self._turns):
            self._turns.append(0)
            self._waiting += [None] * (level + 2 - len(self._waiting))
        half = block[self._turns[level] :: 2]
        self._turns[level] ^= 1
        other = self._waiting[level + 1]
        if other is None:
            self._waiting[level + 1] = half.copy()
            return
        self._waiting[level + 1] = None
        self._compact(np.sort(np.concatenate((other, half)), kind="stable"), level=level + 1)


def _sum(values: Numbers) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sum(values))
