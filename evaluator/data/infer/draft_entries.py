"""Entries of a drafted contract: the role and the rules of each column, from its type and its values."""

import re
from dataclasses import dataclass, field
from typing import Any

from assay.evaluator.data.infer.column_values import ColumnValues
from assay.evaluator.data.infer.guess import Guess
from assay.evaluator.errors import DataError

_ID = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|key)$)|[a-z](Id|ID)$")
_MAX_CATEGORIES = 20
_MAX_CLASSES = 1000
_EXACT_FLOAT = 2**53


@dataclass
class DraftEntry:
    """What the contract will say of a column: fields in order, comments that stand above, rules to be uncommented."""

    fields: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)


def entries_of(
    guessed: dict[str, Guess], seen: dict[str, ColumnValues], label: str, id_column: str | None
) -> dict[str, DraftEntry]:
    """What the contract will say of each column.

    Args:
        guessed: What each column seems to be.
        seen: What its values are like; only of columns that have a type.
        label: The label's column.
        id_column: The id's column; None takes one whose values all differ, and that is called so or stands first.

    Raises:
        DataError: The label or the id cannot be one, or no column can be a feature.
    """
    id_column = id_column or _id(guessed, seen, label)
    if id_column == label:
        raise DataError("one column cannot be both label and id", field="--id", value=label)
    entries: dict[str, DraftEntry] = {}
    has_timestamp = False
    for name, guess in guessed.items():
        if not guess.type:
            entries[name] = DraftEntry({"name": name, "role": "ignored"}, [f"left out: {guess.note}"])
            continue
        if name == label:
            entry = _of_label(name, guess, seen[name])
        elif name == id_column:
            entry = _of_id(name, guess, seen[name])
        elif guess.type in ("date", "timestamp"):
            is_first = not has_timestamp and not seen[name].num_nulls
            has_timestamp |= is_first
            entry = DraftEntry({"name": name, "role": "timestamp" if is_first else "info", "type": guess.type})
        else:
            entry = _of_value(name, guess, seen[name])
        _add_comments_and_rules(entry, guess, seen[name])
        entries[name] = entry
    _require_feature(entries)
    return entries


def _id(guessed: dict[str, Guess], seen: dict[str, ColumnValues], label: str) -> str | None:
    """A column whose values all differ: one that is called so, else the first of all columns."""
    named = [name for name in guessed if _ID.search(name)]
    values = [name for name, guess in guessed.items() if name != label and guess.type not in ("", "date", "timestamp")]
    first = list(guessed)[: len(values) > 1]  # the only column that could be a feature is no id
    for name in [*named, *first]:
        if name != label and name in seen and guessed[name].type in ("string", "int64") and seen[name].is_unique:
            return name
    return None


def _of_label(name: str, guess: Guess, seen: ColumnValues) -> DraftEntry:
    entry = DraftEntry({"name": name, "role": "label", "type": guess.type})
    if guess.type == "string":
        counts = seen.distinct.counts
        if not counts or len(counts) > _MAX_CLASSES:
            raise DataError(
                f"the label has {seen.distinct.num_distinct:,} different texts",
                field=name,
                bound=f"1 to {_MAX_CLASSES:,} classes",
                remedy="say which column it is: --label NAME",
            )
        entry.fields["classes"] = sorted(counts)
        entry.comments.append("the classes in the order of the variants' outputs: put them in yours")
    if seen.num_nulls:
        entry.comments.append(
            f"{seen.num_nulls:,} rows have no label: they are refused until they are mended or left out"
        )
    return entry


def _of_id(name: str, guess: Guess, seen: ColumnValues) -> DraftEntry:
    if guess.type not in ("string", "int64") or not seen.is_unique:
        raise DataError(
            "this column cannot be the id: values are missing, or stand twice, or are no texts nor whole numbers",
            field="--id",
            value=name,
        )
    entry = DraftEntry({"name": name, "role": "id", "type": guess.type}, ["no value stands twice"])
    if pattern := seen.pattern:
        entry.fields["pattern"] = pattern
    return entry


def _of_value(name: str, guess: Guess, seen: ColumnValues) -> DraftEntry:
    entry = DraftEntry({"name": name, "role": "feature", "type": guess.type})
    if guess.shape:
        entry.fields["shape"] = list(guess.shape)
        if seen.num_nulls:
            return DraftEntry({"name": name, "role": "ignored"}, [f"left out: {seen.num_nulls:,} rows have no tensor"])
    elif guess.type == "string":
        _categories_or_code(entry, seen)
    elif guess.type == "int64" and seen.num_nulls:
        if max(abs(seen.minimum or 0), abs(seen.maximum or 0)) <= _EXACT_FLOAT:
            entry.fields["type"] = "float64"
            entry.comments.append("whole numbers; float64, since a feature without a value is NaN")
        else:
            entry.fields["role"] = "info"
            entry.comments.append("no feature: whole numbers past 2^53 in a column with nulls fit no type of features")
    elif guess.type == "bool" and seen.num_nulls:
        entry.fields["role"] = "info"
        entry.comments.append("no feature: variants are given no null bools")
    if seen.num_nulls == seen.num_rows:
        entry.fields["role"] = "info"
    return entry


def _categories_or_code(entry: DraftEntry, seen: ColumnValues) -> None:
    counts = seen.distinct.counts
    if counts and len(counts) <= _MAX_CATEGORIES and 2 * len(counts) <= seen.num_rows - seen.num_nulls:
        entry.fields["role"] = "segment"
        entry.fields["allowed_values"] = sorted(counts)
        entry.comments.append("few different texts; variants do not see a segment: role: feature, if they shall")
    elif pattern := seen.pattern:
        entry.fields["pattern"] = pattern


def _add_comments_and_rules(entry: DraftEntry, guess: Guess, seen: ColumnValues) -> None:
    """Says of a column what was seen, and which rules would hold."""
    if entry.fields["role"] == "ignored":
        return
    if guess.note:
        entry.comments.append(guess.note)
    if seen.num_nulls and entry.fields["role"] != "label":
        part = seen.num_nulls / seen.num_rows
        entry.fields["nullable"] = True
        if guess.null_values:
            entry.fields["null_values"] = list(guess.null_values)
        count = "1 row has" if seen.num_nulls == 1 else f"{seen.num_nulls:,} rows ({part:.3%}) have"
        entry.comments.append(f"{count} no value")
        entry.rules["max_null_fraction"] = min(1.0, round(part * 1.5 + 0.0005, 3))
    if seen.num_infinite:
        entry.comments.append(
            f"{seen.num_infinite:,} numbers are NaN or infinite: refused until they are mended or null"
        )
    if seen.minimum is not None and entry.fields["role"] != "id":
        entry.rules |= {"minimum": _plain(seen.minimum), "maximum": _plain(seen.maximum or 0)}
    if entry.fields["role"] in ("feature", "info") and seen.is_unique:
        entry.rules["unique"] = True


def _plain(number: float) -> float:
    """Whole numbers as such."""
    return int(number) if number == int(number) and abs(number) < _EXACT_FLOAT else float(number)


def _require_feature(entries: dict[str, DraftEntry]) -> None:
    if any(entry.fields["role"] == "feature" for entry in entries.values()):
        return
    for wanted in ("segment", "info"):
        for entry in entries.values():
            is_nullable, kind = entry.fields.get("nullable", False), entry.fields.get("type", "")
            may_be = kind in ("string", "float64", "float32") or (not is_nullable and kind not in ("date", "timestamp"))
            if entry.fields["role"] == wanted and may_be:
                entry.fields["role"] = "feature"
                entry.comments.append("a feature, since a contract needs one")
                return
    raise DataError(
        "there is no column that could be a feature", remedy="a column may not be both id and feature: --id NAME"
    )
