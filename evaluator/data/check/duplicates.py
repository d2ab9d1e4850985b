"""Duplicates: which keys occur in more than one row, found in bounded memory however many rows there are.

Digests are kept in memory up to a bound and then partitioned by their first bits into one temporary file; at the end
the parts are sorted one by one. Each time memory is flushed, a key that occurs in very many rows is reduced to its
first few rows and a count.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

NUM_KEPT = 6
"""Rows kept for a key that occurs more often: one is reported as the first, the others as its duplicates."""
_NUM_PARTS = 256
_WORDS = 5

Records = npt.NDArray[np.uint64]
"""Shape (n, 5): two words of the key's digest, the variant (in which rows of one key may differ), row, count."""
_HIGH, _LOW, _VARIANT, _ROW, _COUNT = range(_WORDS)


@dataclass(frozen=True)
class Duplicate:
    """A row that repeats the key of an earlier one.

    Attributes:
        row: The row number, counted over all files.
        first_row: The first row with the same key; of a duplicate, with the same key and variant.
    """

    row: int
    first_row: int


@dataclass(frozen=True)
class Duplicates:
    """The repeated keys among all rows.

    Attributes:
        num_duplicates: Rows whose key and variant equal those of an earlier row.
        duplicates: The first few of these.
        num_conflicts: Rows whose key equals that of an earlier row and whose variant differs from the first such row's.
        conflicts: The first few of these, each with the first row of its key.
    """

    num_duplicates: int
    duplicates: tuple[Duplicate, ...]
    num_conflicts: int
    conflicts: tuple[Duplicate, ...]


class DuplicateFinder:
    """Takes the digests of keys in row order and finds those that occur in several rows."""

    def __init__(self, *, room_bytes: int) -> None:
        """Starts with no rows.

        Args:
            room_bytes: Bytes of digests that may be kept in memory. Sorting a part takes more: about the part's size.
        """
        self._room_bytes = room_bytes
        self._waiting: list[Records] = []
        self._waiting_bytes = 0
        self._file: IO[bytes] | None = None
        self._spilled: list[npt.NDArray[np.int64]] = []

    def add(
        self,
        digest: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]],
        rows: npt.NDArray[np.int64],
        *,
        variants: npt.NDArray[np.uint64] | None = None,
    ) -> None:
        """Adds the next rows.

        Args:
            digest: Two words of the digest of each row's key, each of shape (n,).
            rows: The rows' numbers over all files, ascending, shape (n,).
            variants: The variant of each row, in which rows of one key may differ, shape (n,); None: there are none.

        Raises:
            OSError: The temporary file cannot be written.
        """
        records = np.empty((len(rows), _WORDS), np.uint64)
        records[:, _HIGH], records[:, _LOW] = digest
        records[:, _VARIANT] = 0 if variants is None else variants
        records[:, _ROW] = rows.astype(np.uint64)
        records[:, _COUNT] = 1
        self._waiting.append(records)
        self._waiting_bytes += records.nbytes
        if self._waiting_bytes > self._room_bytes:
            self._spill()

    def finish(self) -> Duplicates:
        """Finds the duplicates among all rows added.

        Raises:
            OSError: The temporary file cannot be read.
        """
        num_duplicates = num_conflicts = 0
        duplicates: list[Duplicate] = []
        conflicts: list[Duplicate] = []
        for records in self._parts():
            candidates = _candidates(records)
            if not len(candidates):
                continue
            repeats = _duplicates(candidates)
            num_duplicates += repeats.num_duplicates
            num_conflicts += repeats.num_conflicts
            duplicates = _first_few([*duplicates, *repeats.duplicates])
            conflicts = _first_few([*conflicts, *repeats.conflicts])
        if self._file is not None:
            self._file.close()
        return Duplicates(num_duplicates, tuple(duplicates), num_conflicts, tuple(conflicts))

    def _spill(self) -> None:
        """Moves the records in memory to the file, ordered by part."""
        records = _compressed(np.concatenate(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        part = _part(records)
        order = np.argsort(part, kind="stable")
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="assay-check-")  # noqa: SIM115  # closed by finish()
        start = self._file.tell()
        self._file.write(records[order].tobytes())
        sizes = np.bincount(part, minlength=_NUM_PARTS) * (_WORDS * 8)
        self._spilled.append(start + np.concatenate([[0], np.cumsum(sizes)]))

    def _parts(self) -> Iterator[Records]:
        """All records, in parts that keep the records of one key together."""
        if self._file is None:
            if self._waiting:
                yield np.concatenate(self._waiting)
            return
        if self._waiting:
            self._spill()
        for part in range(_NUM_PARTS):
            pieces = [self._read(int(ends[part]), int(ends[part + 1])) for ends in self._spilled]
            yield np.concatenate(pieces)

    def _read(self, start: int, stop: int) -> Records:
        assert self._file is not None
        self._file.seek(start)
        return np.frombuffer(self._file.read(stop - start), np.uint64).reshape(-1, _WORDS)


def _part(records: Records) -> npt.NDArray[np.uint8]:
    return (records[:, _HIGH] >> np.uint64(56)).astype(np.uint8)


def _candidates(records: Records) -> Records:
    """The records whose first digest word occurs more than once, ordered by digest, variant and row."""
    sorted_high = np.sort(records[:, _HIGH])
    repeated = np.unique(sorted_high[1:][sorted_high[1:] == sorted_high[:-1]])
    if not repeated.size:
        return records[:0]
    candidates = records[np.isin(records[:, _HIGH], repeated)]
    return candidates[np.lexsort(tuple(candidates[:, word] for word in (_ROW, _VARIANT, _LOW, _HIGH)))]


def _starts(records: Records, words: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The indices of ordered records at which any of the given words changes, shape (groups,)."""
    differs = np.zeros(len(records), bool)
    differs[:1] = True
    for word in words:
        differs[1:] |= records[1:, word] != records[:-1, word]
    return np.flatnonzero(differs)


def _compressed(records: Records) -> Records:
    """The records, at most `NUM_KEPT` for each key and variant; the last one kept also counts those left out."""
    candidates = _candidates(records)
    if not len(candidates):
        return records
    starts = _starts(candidates, (_HIGH, _LOW, _VARIANT))
    sizes = np.diff([*starts, len(candidates)])
    place = np.arange(len(candidates)) - np.repeat(starts, sizes)
    counts = np.add.reduceat(candidates[:, _COUNT], starts)
    many = sizes > NUM_KEPT
    candidates[starts[many] + NUM_KEPT - 1, _COUNT] += counts[many] - np.add.reduceat(
        np.where(place < NUM_KEPT, candidates[:, _COUNT], 0), starts
    )[many].astype(np.uint64)
    unrepeated = records[~np.isin(records[:, _HIGH], candidates[:, _HIGH])]
    return np.concatenate([unrepeated, candidates[place < NUM_KEPT]])


def _duplicates(candidates: Records) -> Duplicates:
    """The duplicates and conflicts among ordered candidates."""
    keys, variants = _starts(candidates, (_HIGH, _LOW)), _starts(candidates, (_HIGH, _LOW, _VARIANT))
    sizes = np.diff([*variants, len(candidates)])
    first_of_variant = candidates[variants, _ROW]
    counts = np.add.reduceat(candidates[:, _COUNT], variants)
    of_record = np.repeat(np.arange(len(variants)), sizes)
    is_first = np.zeros(len(candidates), bool)
    is_first[variants] = True
    duplicates = _named(candidates[~is_first, _ROW], first_of_variant[of_record][~is_first])

    key_of_variant = np.searchsorted(keys, variants, side="right") - 1
    first_of_key = np.minimum.reduceat(first_of_variant, np.searchsorted(variants, keys))
    is_other = first_of_variant != first_of_key[key_of_variant]
    in_conflict = is_other[of_record]
    firsts = first_of_key[key_of_variant][of_record]
    conflicts = _named(candidates[in_conflict, _ROW], firsts[in_conflict])
    return Duplicates(
        int(counts.sum()) - len(variants), tuple(duplicates), int(counts[is_other].sum()), tuple(conflicts)
    )


def _named(rows: npt.NDArray[Any], firsts: npt.NDArray[Any]) -> list[Duplicate]:
    order = np.argsort(rows)[: NUM_KEPT - 1]
    return [Duplicate(int(rows[at]), int(firsts[at])) for at in order]


def _first_few(duplicates: list[Duplicate]) -> list[Duplicate]:
    return sorted(duplicates, key=lambda each: each.row)[: NUM_KEPT - 1]
