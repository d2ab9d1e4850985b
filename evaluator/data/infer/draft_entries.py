"""Entries of a draft contract: the role and the rules of each column, from its type and its values."""

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
    """The draft of a column: its fields in order, comments above it, and rules that are commented out."""

    fields: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)


def entries_of(
    guessed: dict[str, Guess], seen: dict[str, ColumnValues], label: str, id_column: str | None
) -> dict[str, DraftEntry]:
    """The draft of each column.

    Args:
        guessed: The guess for each column.
        seen: Statistics of the values of each column that has a type.
        label: The label column.
        id_column: The id column; None: the first column of distinct texts or integers that is named like an id,
            else the first of all columns if it has distinct texts or integers and is not the only possible feature.

    Raises:
        DataError: The label or id column is unsuitable, or no column can be a feature.
    """
    id_column = id_column or _id(guessed, seen, label)
    if id_column == label:
        raise DataError("one column cannot be both label and id", field="--id", value=label)
    entries: dict[str, DraftEntry] = {}
    has_timestamp = False
    for name, guess in guessed.items():
        if not guess.type:
            entries[name] = DraftEntry({"name": name, "role": "ignored"}, [f"ignored: {guess.note}"])
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
    """The id column by default, as `entries_of` says; None if no column qualifies."""
    named = [name for name in guessed if _ID.search(name)]
    values = [name for name, guess in guessed.items() if name != label and guess.type not in ("", "date", "timestamp")]
    first = list(guessed)[: len(values) > 1]  # the only possible feature cannot be the id
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
                f"the label has {seen.distinct.num_distinct:,} distinct values",
                field=name,
                bound=f"1 to {_MAX_CLASSES:,} classes",
                remedy="choose the label with --label NAME",
            )
        entry.fields["classes"] = sorted(counts)
        entry.comments.append("if variants return one number per class, list the classes in that order")
    if seen.num_nulls:
        entry.comments.append(f"{_missing(seen)}: these rows cannot be frozen; add their labels or remove them")
    return entry


def _of_id(name: str, guess: Guess, seen: ColumnValues) -> DraftEntry:
    if guess.type not in ("string", "int64") or not seen.is_unique:
        raise DataError(
            "this column cannot be the id, which must be text or integers, without missing or repeated values",
            field="--id",
            value=name,
        )
    entry = DraftEntry({"name": name, "role": "id", "type": guess.type}, ["all values are distinct"])
    if pattern := seen.pattern:
        entry.fields["pattern"] = pattern
    return entry


def _of_value(name: str, guess: Guess, seen: ColumnValues) -> DraftEntry:
    entry = DraftEntry({"name": name, "role": "feature", "type": guess.type})
    if guess.shape:
        entry.fields["shape"] = list(guess.shape)
        if seen.num_nulls:
            return DraftEntry(
                {"name": name, "role": "ignored"}, [f"ignored: {_missing(seen)}, and a tensor cannot be nullable"]
            )
    elif guess.type == "string":
        _categories_or_code(entry, seen)
    elif guess.type == "int64" and seen.num_nulls:
        if max(abs(seen.minimum or 0), abs(seen.maximum or 0)) <= _EXACT_FLOAT:
            entry.fields["type"] = "float64"
            entry.comments.append("integers; float64, because a missing value of a feature is NaN")
        else:
            entry.fields["role"] = "info"
            entry.comments.append("role info, because no type for nullable features holds integers above 2^53 exactly")
    elif guess.type == "bool" and seen.num_nulls:
        entry.fields["role"] = "info"
        entry.comments.append("role info, because a feature of type bool cannot be nullable")
    if seen.num_nulls == seen.num_rows:
        entry.fields["role"] = "info"
    return entry


def _categories_or_code(entry: DraftEntry, seen: ColumnValues) -> None:
    counts = seen.distinct.counts
    if counts and len(counts) <= _MAX_CATEGORIES and 2 * len(counts) <= seen.num_rows - seen.num_nulls:
        entry.fields["role"] = "segment"
        entry.fields["allowed_values"] = sorted(counts)
        entry.comments.append(
            "few distinct values, so drafted as a segment, which variants do not see; to let them see it, use role: feature"
        )
    elif pattern := seen.pattern:
        entry.fields["pattern"] = pattern


def _add_comments_and_rules(entry: DraftEntry, guess: Guess, seen: ColumnValues) -> None:
    """Adds comments on the values of a column, and the rules that they pass."""
    if entry.fields["role"] == "ignored":
        return
    if guess.note:
        entry.comments.append(guess.note)
    if seen.num_nulls and entry.fields["role"] != "label":
        part = seen.num_nulls / seen.num_rows
        entry.fields["nullable"] = True
        if guess.null_values:
            entry.fields["null_values"] = list(guess.null_values)
        entry.comments.append(_missing(seen))
        entry.rules["max_null_fraction"] = min(1.0, round(part * 1.5 + 0.0005, 3))
    if seen.num_infinite:
        entry.comments.append(
            f"{seen.num_infinite:,} numbers are NaN or infinite: they cannot be frozen; correct them or make them null"
        )
    if seen.minimum is not None and entry.fields["role"] != "id":
        entry.rules |= {"minimum": _plain(seen.minimum), "maximum": _plain(seen.maximum or 0)}
    if entry.fields["role"] in ("feature", "info") and seen.is_unique:
        entry.rules["unique"] = True


def _missing(seen: ColumnValues) -> str:
    if seen.num_nulls == 1:
        return "missing in 1 row"
    return f"missing in {seen.num_nulls:,} rows ({seen.num_nulls / seen.num_rows:.3%})"


def _plain(number: float) -> float:
    """The number, as an int if it is whole."""
    return int(number) if number == int(number) and abs(number) < _EXACT_FLOAT else float(number)


def _require_feature(entries: dict[str, DraftEntry]) -> None:
    if any(entry.fields["role"] == "feature" for entry in entries.values()):
        return
    for wanted in ("segment", "info"):
        for entry in entries.values():
            is_nullable, kind = entry.fields.get("nullable", False), entry.fields.get("type", "")
            can_be_feature = kind in ("string", "float64", "float32") or (
                not is_nullable and kind not in ("date", "timestamp")
            )
            if entry.fields["role"] == wanted and can_be_feature:
                entry.fields["role"] = "feature"
                entry.comments.append("role feature, because a contract needs at least one")
                return
    raise DataError(
        "no column can be a feature", remedy="the id cannot be a feature as well: choose another id with --id NAME"
    )
