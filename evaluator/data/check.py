"""Check: what a contract says of the values: no null, nothing that is not finite, known classes, unique ids."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.data.ingest import Chunk, Offence, Origin
from evaluator.errors import DataError
from manifests.check_report import CheckReport
from manifests.column import FrozenColumn
from manifests.contract import Contract
from manifests.errors import InvalidInput, did_you_mean

NUM_NAMED = 5
"""How many offenders a message names."""
MAX_COUNTED = 10_000
"""After so many offenders reading stops: the rows are not what the contract is about."""


class Check:
    """Follows chunks in row order; `finish` refuses them all if any row breaks the contract.

    The ids are kept until the end, as Arrow arrays: some 8 bytes and the id's text for each row.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._named: list[Offence] = []
        self._num_offences = 0
        self._num_rows = 0
        self._ids: list[pa.Array] = []
        self._origins: list[Origin] = []

    @property
    def has_passed(self) -> bool:
        """Whether nothing has been found so far. Repeated ids are found only at the end."""
        return self._num_offences == 0

    def take(self, chunk: Chunk) -> None:
        """Looks at the next chunk.

        Raises:
            DataError: More than `MAX_COUNTED` offenders have been found.
        """
        found = [*chunk.offences]
        self._num_rows += chunk.table.num_rows
        for column in self._contract.frozen_columns:
            array = _one_array(chunk.table[column.name])
            found += _offences(array, column, chunk.origin)
            if column.role == "id":
                self._ids.append(array.cast(pa.large_string()) if column.type == "string" else array)
                self._origins.append(chunk.origin)
        self._add(sorted(found, key=lambda offence: offence.number))  # stable: a line's columns keep their order
        if self._num_offences > MAX_COUNTED:
            raise self._refusal()

    def finish(self) -> CheckReport:
        """Looks for what only all rows together show, and gives the answer.

        Raises:
            DataError: Some row breaks the contract; the first few are named, all are counted.
        """
        if self._ids:
            self._add(list(self._repeated_ids()))
        if not self.has_passed:
            raise self._refusal()
        return CheckReport(num_rows=self._num_rows, is_complete=True, rules=(), changes=())

    def _add(self, offences: list[Offence]) -> None:
        self._named += offences[: NUM_NAMED - len(self._named)]
        self._num_offences += len(offences)

    def _repeated_ids(self) -> Iterator[Offence]:
        ids = pa.chunked_array(self._ids).drop_null()
        if len(pc.unique(ids)) == len(ids):
            return
        counts = pc.value_counts(ids)
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), pa.scalar(1, pa.int64())))
        first_places: dict[Any, str] = {}
        (name,) = (column.name for column in self._contract.columns if column.role == "id")
        for array, origin in zip(self._ids, self._origins, strict=True):
            for row in np.flatnonzero(pc.is_in(array, value_set=repeated).to_numpy(zero_copy_only=False)):
                number, value = origin.number(int(row)), array[int(row)].as_py()
                if value not in first_places:
                    first_places[value] = origin.place(number)
                    continue
                where = f"it stands first at {first_places[value]}"
                yield Offence(number, origin.place(number), name, "the id is not unique", value, remedy=where)

    def _refusal(self) -> DataError:
        first, *others = self._named
        remedy = first.remedy
        if others:
            listed = "".join(f"\n  {_in_words(offence)}" for offence in others)
            rest = "" if self._num_offences == len(self._named) else ", among them"
            more = "more than " * (self._num_offences > MAX_COUNTED)
            total = f"{more}{min(self._num_offences, MAX_COUNTED):,} offenders in all{rest}{':' * bool(listed)}{listed}"
            remedy = f"{remedy}; {total}" if remedy else total
        return DataError(
            first.problem, place=first.place, field=first.column, value=first.value, bound=first.bound, remedy=remedy
        )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    (array,) = column.chunks  # a chunk's table is made of arrays
    return array


def _in_words(offence: Offence) -> str:
    return str(
        InvalidInput(
            offence.problem,
            place=offence.place,
            field=offence.column,
            value=offence.value,
            bound=offence.bound,
            remedy=offence.remedy,
        )
    )


def _offences(array: pa.Array, column: FrozenColumn, origin: Origin) -> Iterator[Offence]:
    """The rows of one column that break the contract."""

    def offence(row: int, problem: str, value: Any = None, bound: str = "", remedy: str = "") -> Offence:
        number = origin.number(row)
        return Offence(number, origin.place(number), column.name, problem, value, bound, remedy)

    if array.null_count and not column.nullable:
        cell = "an empty cell" if origin.file.lower().endswith((".csv", ".tsv")) else "null"
        for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)):
            yield offence(int(row), f"no value ({cell})", bound=_allowed(column))
    if column.type.startswith("float"):
        for row, value in _not_finite(array, column):
            problem = "NaN, which is no value" if np.isnan(value) else "infinity, or past the range of the type"
            yield offence(row, problem, value, bound=f"finite numbers of type {column.type}")
    if column.classes:
        is_unknown = pc.and_(pc.invert(pc.is_in(array, value_set=pa.array(column.classes))), array.is_valid())
        for row in np.flatnonzero(is_unknown.to_numpy(zero_copy_only=False)):
            value = array[int(row)].as_py()
            yield offence(
                int(row),
                "not one of the label's classes",
                value,
                bound=_allowed(column),
                remedy=did_you_mean(value, list(column.classes)),
            )


def _allowed(column: FrozenColumn) -> str:
    if column.classes:
        shown = ", ".join(column.classes[:20])
        return f"{shown}, …" if len(column.classes) > 20 else shown
    return f"values of type {column.type}"


def _not_finite(array: Any, column: FrozenColumn) -> Iterator[tuple[int, float]]:
    """The rows that hold something not finite, and the first such value of each."""
    size = int(np.prod(column.shape, dtype=np.int64))
    elements = array.storage.flatten() if column.shape else array
    # Flattening leaves out what lies under a null tensor, so its rows are counted among those that are there.
    present: npt.NDArray[np.int64] = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    values = elements.drop_null().to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    rows, first = np.unique(bad // size, return_index=True)
    for row, at in zip(rows, bad[first], strict=True):
        yield int(present[row]), float(values[at])
