"""Key rules: what may occur only once: ids, unique columns, combinations of columns, features with their label."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.check.duplicates import Duplicate, DuplicateFinder
from assay.evaluator.data.check.key_digests import KeyDigests, Words, combined
from assay.evaluator.data.check.row_log import RowLog
from assay.evaluator.data.check.tally import Tally
from assay.evaluator.data.ingest import Chunk, Offence
from assay.manifests.contract import Contract, DuplicateLimit, Severity
from assay.manifests.contract_column import Column

_Kind = Literal["duplicates", "conflicts"]
_ROOM_BYTES = 160 << 20
"""Memory for the digests of all keys together."""


@dataclass
class _Key:
    """Columns whose values together form a key.

    Attributes:
        columns: Their names.
        tallies: `duplicates`, and `conflicts` where rows of one key may differ in a variant.
        problems: The message for each.
        skips_nulls: Whether a row with a null in one of the columns has no key.
        variant: The column in which rows of one key may differ; empty: none.
        named: The column that offences are attributed to; empty: the whole row.
        index: The digests so far.
    """

    columns: tuple[str, ...]
    tallies: dict[_Kind, Tally]
    problems: dict[_Kind, str]
    skips_nulls: bool
    variant: str = ""
    named: str = ""
    index: DuplicateFinder = field(default_factory=lambda: DuplicateFinder(room_bytes=_ROOM_BYTES))


class KeyRules:
    """The rules about repeated values. They are decided at the end, from digests that are kept of every row."""

    def __init__(self, contract: Contract) -> None:
        """Starts with no rows."""
        self._keys = [*_unique_columns(contract), *_unique_together(contract), _features(contract)]
        for key in self._keys:
            key.index = DuplicateFinder(room_bytes=_ROOM_BYTES // len(self._keys))
        self._label = _first_of_role(contract.columns, "label")
        used = {name for key in self._keys for name in key.columns}
        if not self._label.classes:
            used.add(self._label.name)
        columns = [column for column in contract.columns if column.name in used]
        self._id = next((column.name for column in contract.columns if column.role == "id"), "")
        self._digests = KeyDigests(columns)
        shown = [name for key in self._keys[:-1] for name in key.columns]
        self._log = RowLog([*shown, self._keys[-1].variant, *([self._id] if self._id else [])])

    def tallies_of(self, column: str) -> list[Tally]:
        """The tallies about one column."""
        return [key.tallies["duplicates"] for key in self._keys if key.named == column]

    @property
    def table_tallies(self) -> list[Tally]:
        """The tallies about rows as a whole, in the contract's order."""
        return [tally for key in self._keys if not key.named for tally in key.tallies.values()]

    def take(self, chunk: Chunk, *, is_readable: npt.NDArray[np.bool_] | None) -> None:
        """Checks the next rows.

        Args:
            chunk: The rows.
            is_readable: Which of them could be read in full, shape (rows,); None: all.

        Raises:
            OSError: A temporary file cannot be written.
        """
        num_rows = chunk.table.num_rows
        if not num_rows:
            return
        words = self._digests.column_words(chunk.table)
        rows = np.arange(num_rows) + self._log.num_rows
        for key in self._keys:
            keep = is_readable
            if key.skips_nulls:
                for name in key.columns:
                    if chunk.table[name].null_count:
                        present = chunk.table[name].is_valid().to_numpy()
                        keep = present if keep is None else keep & present
            columns = [words[name] for name in key.columns]
            variants = self._labels(chunk.table, words) if key.variant else None
            if keep is not None:
                columns = [(first[keep], second[keep]) for first, second in columns]
                variants = None if variants is None else variants[keep]
            kept = rows if keep is None else rows[keep]
            key.index.add(combined(columns), kept, variants=variants)
            for tally in key.tallies.values():
                tally.add(num_checked=len(kept))
        self._log.add(chunk)

    def finish(self) -> None:
        """Decides the rules.

        Raises:
            OSError: A temporary file cannot be read.
        """
        for key in self._keys:
            repeats = key.index.finish()
            for kind, tally in key.tallies.items():
                count = repeats.num_duplicates if kind == "duplicates" else repeats.num_conflicts
                named = repeats.duplicates if kind == "duplicates" else repeats.conflicts
                offences = [self._offence(each, key, kind) for each in named]
                tally.add(num_checked=0, num_broken=count, offences=offences)

    def _labels(self, table: pa.Table, words: dict[str, tuple[Words, Words]]) -> Words:
        """A word that is certain to differ between labels: the index of the class, or a number's own bits, mixed."""
        if not self._label.classes:
            return words[self._label.name][0]
        (array,) = table[self._label.name].chunks
        places: Any = pc.index_in(array, value_set=pa.array(self._label.classes, pa.string()))
        return places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)

    def _offence(self, duplicate: Duplicate, key: _Key, kind: _Kind) -> Offence:
        number, place = self._log.number_and_place(duplicate.row)
        earlier = self._log.number_and_place(duplicate.first_row)[1]
        where = f"repeats {earlier}"
        bound = ""
        if kind == "conflicts":
            value: object = f"{key.variant} = {self._log.value(duplicate.row, key.variant)}"
            where = f"the same features have {key.variant} = {self._log.value(duplicate.first_row, key.variant)} at {earlier}"
        elif key.named:
            value = self._log.value(duplicate.row, key.named)
        elif key.variant:
            value = f"{self._id} = {self._log.value(duplicate.row, self._id)}" if self._id else None
        else:
            value = ", ".join(f"{name} = {self._log.value(duplicate.row, name)}" for name in key.columns)
        if key.tallies[kind].max_fraction or not key.named:
            bound = key.tallies[kind].bound
        return Offence(number, place, key.named, key.problems[kind], value, bound, remedy=where)


def _unique_columns(contract: Contract) -> list[_Key]:
    keys: list[_Key] = []
    for column in contract.columns:
        if column.role == "id" or column.unique:
            severity: Severity = "warn" if "unique" in column.warn else "error"
            tally = Tally("unique", column=column.name, severity=severity, bound="each value at most once")
            problem = "the id is not unique" if column.role == "id" else "the value is not unique"
            keys.append(_key((column.name,), tally, problem, named=column.name))
    return keys


def _key(columns: tuple[str, ...], tally: Tally, problem: str, *, named: str = "") -> _Key:
    return _Key(columns, {"duplicates": tally}, {"duplicates": problem}, skips_nulls=True, named=named)


def _unique_together(contract: Contract) -> list[_Key]:
    return [
        _key(
            each.columns,
            Tally(
                "unique_together",
                severity=each.severity,
                bound=f"each combination of {', '.join(each.columns)} at most once",
            ),
            "this combination of values occurs in an earlier row",
        )
        for each in contract.unique_together
    ]


def _features(contract: Contract) -> _Key:
    label = _first_of_role(contract.columns, "label")
    features = tuple(column.name for column in contract.columns if column.role == "feature")
    tallies: dict[_Kind, Tally] = {
        "duplicates": _limited("duplicates", contract.duplicates),
        "conflicts": _limited("label_conflicts", contract.label_conflicts),
    }
    problems: dict[_Kind, str] = {
        "duplicates": "the features and the label repeat those of an earlier row",
        "conflicts": "the features repeat those of an earlier row with another label",
    }
    return _Key(features, tallies, problems, skips_nulls=False, variant=label.name)


def _limited(rule: str, limit: DuplicateLimit) -> Tally:
    bound = f"at most {limit.max_fraction:g} of the rows" if limit.max_fraction else "none"
    return Tally(rule, severity=limit.severity, bound=bound, max_fraction=limit.max_fraction)


def _first_of_role(columns: Sequence[Column], role: str) -> Column:
    return next(column for column in columns if column.role == role)
