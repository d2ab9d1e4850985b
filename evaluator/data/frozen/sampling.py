"""Sampling: which of the rows are frozen. The same rows in the same order and the same seed give the same sample.

Axes: R rows, H strata.

Every row has a key, a 64-bit hash of its number and the seed (SplitMix64); no two rows share a key. Of each stratum the
rows with the smallest keys are kept: a simple random sample without replacement, whatever the chunks, files and shards.
The size of each stratum's sample follows the method of largest remainders.

Memory does not grow with the rows: they and the numbers of their strata are kept on disk until all have been counted.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.frozen.staging import StagedShard, Staging
from assay.evaluator.data.splitmix import GOLDEN, mixed
from assay.evaluator.errors import DataError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import RowSample
from assay.manifests.dataset import Parent

MOST_STRATA = 10_000
"""The maximum number of strata: with more, stratification would identify rows rather than group them."""
_BLOCK_ROWS = 1 << 20

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


class SampledStaging:
    """Stages the rows of a sample: takes all rows, and writes those that are kept at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        columns: tuple[FrozenColumn, ...],
        shard_rows: int | None,
        sample: RowSample,
        on_kept: Callable[[pa.Table], None] = lambda _: None,
    ) -> None:
        """Starts with no rows.

        Args:
            folder: An empty folder, with space for all rows and the sample.
            columns: The columns of the rows.
            shard_rows: Rows in each shard; None: shards of the default size.
            sample: Which rows are kept.
            on_kept: Called with the kept rows, in their order.
        """
        for name in ("all", "kept"):
            (folder / name).mkdir()
        self._all = Staging(folder / "all", columns=columns, shard_rows=None)
        self._kept = Staging(folder / "kept", columns=columns, shard_rows=shard_rows, on_rows=on_kept)
        self._sample, self._strata, self._codes = sample, _Strata(sample.stratify), folder / "strata"

    @property
    def shard_rows(self) -> int:
        """Rows in every shard but the last; known once the sample has been written."""
        return self._kept.shard_rows

    @property
    def num_rows(self) -> int:
        """Rows of the sample, once it has been written."""
        return self._kept.num_rows

    @property
    def rows_digest(self) -> str:
        """The digest of the sample's rows, once they have been written."""
        return self._kept.rows_digest

    @property
    def parent(self) -> Parent:
        """The rows that the sample was drawn from."""
        return Parent(num_rows=self._all.num_rows, rows_digest=self._all.rows_digest, sample=self._sample)

    def add(self, rows: pa.Table) -> None:
        """Adds the next rows, any number of them.

        Raises:
            DataError: They fall into too many strata.
        """
        if not rows.num_rows:
            return
        self._all.add(rows)
        with self._codes.open("ab") as file:
            file.write(self._strata.codes(rows).tobytes())

    def finish(self) -> tuple[StagedShard, ...]:
        """Chooses the rows, writes them in their order, and returns their shards."""
        assert self._sample.rows <= self._all.num_rows, "the check refuses fewer rows than the sample keeps"
        counts_H = np.array(self._strata.counts, dtype=np.int64)
        wanted_H = np.array(allocation(self._strata.counts, self._sample.rows), dtype=np.int64)
        last_H = _last_keys(self._codes, counts_H, wanted_H, seed=self._sample.seed)
        for staged in self._all.finish():
            with pa.memory_map(str(staged.path)) as file:
                rows = pa.ipc.open_file(file).read_all()
                first_row = staged.shard.first_row
                codes_R = np.fromfile(self._codes, np.uint16, rows.num_rows, offset=2 * first_row)
                keys_R = row_keys(first_row, rows.num_rows, seed=self._sample.seed)
                is_kept_R = (keys_R <= last_H[codes_R]) & (wanted_H[codes_R] > 0)
                self._kept.add(rows.take(np.flatnonzero(is_kept_R)))
            staged.path.unlink()
        return self._kept.finish()


def allocation(counts: Sequence[int], num_rows: int) -> list[int]:
    """The sample size of each stratum: its share rounded down, plus one for the largest remainders.

    Of equal remainders, the stratum that occurs first in the rows takes precedence. All arithmetic is on integers.

    Args:
        counts: Rows of each stratum, in the order of first occurrence.
        num_rows: Rows of the sample, at most the sum of `counts`.
    """
    total = sum(counts)
    parts = [divmod(num_rows * count, total) for count in counts]
    sizes = [whole for whole, _ in parts]
    by_remainder = sorted(range(len(counts)), key=lambda stratum: (-parts[stratum][1], stratum))
    for stratum in by_remainder[: num_rows - sum(sizes)]:
        sizes[stratum] += 1
    return sizes


def row_keys(first_row: int, num_rows: int, *, seed: int) -> Keys:
    """The keys of consecutive rows: all different, and pseudorandom.

    Args:
        first_row: The number of the first row.
        num_rows: How many rows.
        seed: The seed of the keys.
    """
    start = mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
    counters_R = np.arange(first_row + 1, first_row + num_rows + 1, dtype=np.uint64)
    return mixed(counters_R * GOLDEN + start)


class _Strata:
    """Numbers the combinations of some columns' values in the order of first occurrence; null is a value."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._values: list[dict[Any, int]] = [{} for _ in columns]
        self._numbers: dict[tuple[int, ...], int] = {}
        self.counts: list[int] = []

    def codes(self, rows: pa.Table) -> npt.NDArray[np.uint16]:
        """The number of each row's stratum."""
        local_R = np.zeros(rows.num_rows, dtype=np.int64)
        columns: list[npt.NDArray[np.int64]] = []
        for name, numbers in zip(self._columns, self._values, strict=True):
            array: Any = rows[name].combine_chunks()
            encoded = array.dictionary_encode(null_encoding="encode")
            index_R = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
            values = encoded.dictionary.to_pylist()
            columns.append(np.array([numbers.setdefault(value, len(numbers)) for value in values])[index_R])
            # Renumbered after each column: the product of many columns' sizes could overflow int64.
            local_R = np.unique(local_R * len(values) + index_R, return_inverse=True)[1]
        _, first, place_R, counts = np.unique(local_R, return_index=True, return_inverse=True, return_counts=True)
        number = np.empty(len(first), dtype=np.int64)
        for at in np.argsort(first):
            stratum = tuple(int(column[first[at]]) for column in columns)
            number[at] = self._numbers.setdefault(stratum, len(self._numbers))
            if number[at] == len(self.counts):
                self.counts.append(0)
            self.counts[number[at]] += int(counts[at])
        if len(self.counts) > MOST_STRATA:
            raise DataError(
                "too many strata",
                field="sample.stratify",
                value=", ".join(self._columns),
                bound=f"at most {MOST_STRATA:,} combinations of values",
                remedy="stratify by columns with few distinct values",
            )
        return number[place_R].astype(np.uint16)


def _last_keys(path: Path, counts_H: npt.NDArray[np.int64], wanted_H: npt.NDArray[np.int64], *, seed: int) -> Keys:
    """The largest key that is kept of each stratum: its `wanted_H`-th smallest.

    Keys are uniformly distributed, so the position of that key is known approximately. Only the keys in an interval
    around it are sorted, and those below are counted; if the key is not in the interval, a wider one is tried.
    """
    share_H = wanted_H / counts_H
    width_H = 6 * np.sqrt(share_H * (1 - share_H) / counts_H) + 10 / counts_H
    while True:
        below_H, near, codes = _near(path, share_H - width_H, share_H + width_H, seed=seed)
        num_near_H = np.bincount(codes, minlength=len(counts_H))
        rank_H = np.maximum(wanted_H, 1) - 1 - below_H
        if ((rank_H >= 0) & (rank_H < num_near_H)).all():
            order = np.lexsort((near, codes))
            return near[order][np.cumsum(num_near_H) - num_near_H + rank_H]
        width_H *= 4


def _near(
    path: Path, low_H: Floats, high_H: Floats, *, seed: int
) -> tuple[npt.NDArray[np.int64], Keys, npt.NDArray[np.uint16]]:
    """The number of keys of each stratum below an interval, and the keys in the interval with their strata.

    Args:
        path: The file with the stratum of each row.
        low_H: The lower end of each stratum's interval, as a fraction of the range of keys.
        high_H: The upper end.
        seed: The seed of the keys.
    """
    below_H = np.zeros(len(low_H), dtype=np.int64)
    near, codes = [], []
    for first_row, codes_R in _blocks(path):
        keys_R = row_keys(first_row, len(codes_R), seed=seed)
        place_R = keys_R * 2.0**-64
        is_below_R = place_R < low_H[codes_R]
        below_H += np.bincount(codes_R[is_below_R], minlength=len(low_H))
        is_near_R = ~is_below_R & (place_R <= high_H[codes_R])
        near.append(keys_R[is_near_R])
        codes.append(codes_R[is_near_R])
    return below_H, np.concatenate(near), np.concatenate(codes)


def _blocks(path: Path) -> Iterator[tuple[int, npt.NDArray[np.uint16]]]:
    first_row = 0
    with path.open("rb") as file:
        while len(codes_R := np.fromfile(file, np.uint16, _BLOCK_ROWS)):
            yield first_row, codes_R
            first_row += len(codes_R)
