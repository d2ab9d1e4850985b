"""Contract: from types and values to roles and rules, written as YAML with comments for a person to edit."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml

from assay.evaluator.data.infer.seen import Seen
from assay.evaluator.data.infer.types import Guess, guesses, require_readable
from assay.evaluator.data.ingest import read_chunks
from assay.evaluator.data.ingest.source import is_delimited
from assay.evaluator.errors import DataError
from assay.manifests.contract import Column, Contract, Encoding
from assay.manifests.errors import did_you_mean, shortened

_LABELS = ("label", "target", "y", "class", "outcome")
_ID = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|key)$)|[a-z](Id|ID)$")
_MAX_CATEGORIES = 20
_MAX_CLASSES = 1000
_EXACT_FLOAT = 2**53
_LONGEST_COMMENT = 200
_MAX_TOLD = 5


@dataclass
class _Entry:
    """What the contract will say of a column: fields in order, comments that stand above, rules to be uncommented."""

    fields: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)


def infer(
    sources: Sequence[str | Path],
    *,
    label: str | None = None,
    id_column: str | None = None,
    encoding: str = "utf-8",
) -> str:
    """The YAML text of a contract that the rows keep, but for what its comments say they cannot.

    Every row is read twice, in bounded memory, but for 8 bytes a row of each column whose values may all differ.

    Args:
        sources: Files in any of the formats of `ingest`, of the same columns.
        label: The label's column; None takes the one that is called so.
        id_column: The id's column; None takes one whose values all differ, and that is called so or stands first.
        encoding: How text files are encoded.

    Raises:
        DataError: A file cannot be read, there is no label or no feature, or no such encoding.
    """
    known = _known(encoding)
    paths = [Path(source) for source in sources]
    if not paths:
        raise DataError("there is nothing to infer from", remedy="name at least one file")
    guessed = guesses(paths, known)
    label = _label(label, guessed)
    if id_column is not None and id_column not in guessed:
        raise _unknown(id_column, guessed, "--id")
    guessed, seen = _seen(paths, guessed, label, known)
    entries = _entries(guessed, seen, label, id_column)
    num_rows = next(iter(seen.values())).num_rows
    return _yaml(entries, num_rows=num_rows, names=[path.name for path in paths], encoding=known)


def _known(encoding: str) -> Encoding:
    for known in get_args(Encoding):
        if known == encoding:
            return known
    raise DataError("no such encoding", field="--encoding", value=encoding, bound=", ".join(get_args(Encoding)))


def _label(given: str | None, guessed: dict[str, Guess]) -> str:
    if given is not None:
        if given not in guessed:
            raise _unknown(given, guessed, "--label")
        return given
    for wanted in _LABELS:
        for name in guessed:
            if name.lower() == wanted:
                return name
    raise DataError(
        "no column is called like a label",
        field="--label",
        bound=", ".join(guessed),
        remedy="say which one it is: --label NAME",
    )


def _unknown(name: str, guessed: dict[str, Guess], option: str) -> DataError:
    return DataError("there is no such column", field=option, value=name, remedy=did_you_mean(name, list(guessed)))


def _seen(
    paths: Sequence[Path], guessed: dict[str, Guess], label: str, encoding: Encoding
) -> tuple[dict[str, Guess], dict[str, Seen]]:
    """Reads all rows as they would be frozen; a column that cannot be read as guessed becomes text, or is ignored."""
    while True:
        contract = _reading(guessed, label, encoding)
        seen = {column.name: Seen(column) for column in contract.columns if column.role != "ignored"}
        wrong: dict[str, str] = {}
        for path in paths:
            for chunk in read_chunks(path, contract=contract):
                # What is wrong with a column that is left out already is wrong with the row.
                require_readable([each for each in chunk.offences if each.column not in seen])
                for each in chunk.offences:
                    wrong.setdefault(each.column, f"{each.place}: {each.problem}: {shortened(each.value)}")
                for name in seen if not wrong else ():
                    for array in chunk.table[name].chunks:
                        seen[name].take(array)
        if not wrong:
            return guessed, seen
        is_text = all(map(is_delimited, paths))
        for name, why in wrong.items():
            becomes_text = is_text and guessed[name].type != "string"
            guessed = guessed | {name: Guess("string" if becomes_text else "", note=f"not {guessed[name].type}, {why}")}


def _reading(guessed: dict[str, Guess], label: str, encoding: Encoding) -> Contract:
    """A contract to read by: types as guessed. Readers ask for no roles, so it need not be one that could be kept."""
    told = guessed[label]
    if not told.type or told.shape or told.type in ("date", "timestamp"):
        raise DataError(
            "the label has no values that a label can have",
            field=label,
            value=told.note or told.type,
            remedy="say which column it is: --label NAME",
        )
    if all(not each.type or each.type in ("date", "timestamp") for name, each in guessed.items() if name != label):
        others = [f"{name}: {each.note or each.type}" for name, each in guessed.items() if name != label]
        told = [*others[:_MAX_TOLD], *["and more"] * (len(others) > _MAX_TOLD)]
        raise DataError("; ".join(["there is no column beside the label that could be a feature", *told]), field=label)
    columns = tuple(
        Column(
            name=name,
            role="info",
            type=each.type,  # pyright: ignore[reportArgumentType]
            shape=each.shape,
            nullable=not each.shape,
            null_values=each.null_values,
        )
        if each.type
        else Column(name=name, role="ignored")
        for name, each in guessed.items()
    )
    return Contract.model_construct(kind="Contract", version=1, columns=columns, encoding=encoding)


def _entries(guessed: dict[str, Guess], seen: dict[str, Seen], label: str, id_column: str | None) -> dict[str, _Entry]:
    id_column = id_column or _id(guessed, seen, label)
    if id_column == label:
        raise DataError("one column cannot be both label and id", field="--id", value=label)
    entries: dict[str, _Entry] = {}
    has_timestamp = False
    for name, guess in guessed.items():
        if not guess.type:
            entries[name] = _Entry({"name": name, "role": "ignored"}, [f"left out: {guess.note}"])
            continue
        if name == label:
            entry = _of_label(name, guess, seen[name])
        elif name == id_column:
            entry = _of_id(name, guess, seen[name])
        elif guess.type in ("date", "timestamp"):
            is_first = not has_timestamp and not seen[name].num_nulls
            has_timestamp |= is_first
            entry = _Entry({"name": name, "role": "timestamp" if is_first else "info", "type": guess.type})
        else:
            entry = _of_value(name, guess, seen[name])
        _tell(entry, guess, seen[name])
        entries[name] = entry
    _require_feature(entries)
    return entries


def _id(guessed: dict[str, Guess], seen: dict[str, Seen], label: str) -> str | None:
    """A column whose values all differ: one that is called so, else the first of all columns."""
    named = [name for name in guessed if _ID.search(name)]
    values = [name for name, guess in guessed.items() if name != label and guess.type not in ("", "date", "timestamp")]
    first = list(guessed)[: len(values) > 1]  # the only column that could be a feature is no id
    for name in [*named, *first]:
        if name != label and name in seen and guessed[name].type in ("string", "int64") and seen[name].is_unique:
            return name
    return None


def _of_label(name: str, guess: Guess, seen: Seen) -> _Entry:
    entry = _Entry({"name": name, "role": "label", "type": guess.type})
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


def _of_id(name: str, guess: Guess, seen: Seen) -> _Entry:
    if guess.type not in ("string", "int64") or not seen.is_unique:
        raise DataError(
            "this column cannot be the id: values are missing, or stand twice, or are no texts nor whole numbers",
            field="--id",
            value=name,
        )
    entry = _Entry({"name": name, "role": "id", "type": guess.type}, ["no value stands twice"])
    if pattern := seen.pattern:
        entry.fields["pattern"] = pattern
    return entry


def _of_value(name: str, guess: Guess, seen: Seen) -> _Entry:
    entry = _Entry({"name": name, "role": "feature", "type": guess.type})
    if guess.shape:
        entry.fields["shape"] = list(guess.shape)
        if seen.num_nulls:
            return _Entry({"name": name, "role": "ignored"}, [f"left out: {seen.num_nulls:,} rows have no tensor"])
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


def _categories_or_code(entry: _Entry, seen: Seen) -> None:
    counts = seen.distinct.counts
    if counts and len(counts) <= _MAX_CATEGORIES and 2 * len(counts) <= seen.num_rows - seen.num_nulls:
        entry.fields["role"] = "segment"
        entry.fields["allowed_values"] = sorted(counts)
        entry.comments.append("few different texts; variants do not see a segment: role: feature, if they shall")
    elif pattern := seen.pattern:
        entry.fields["pattern"] = pattern


def _tell(entry: _Entry, guess: Guess, seen: Seen) -> None:
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


def _require_feature(entries: dict[str, _Entry]) -> None:
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


def _yaml(entries: dict[str, _Entry], *, num_rows: int, names: Iterable[str], encoding: Encoding) -> str:
    lines = [
        f"# A first contract, inferred from {num_rows:,} rows of {_comment(', '.join(names))}: read it, and edit it.",
        "# Say what columns mean (description:) and in which unit; rules that start with '#' held for these rows.",
        "kind: Contract",
        "version: 1",
        *([f"encoding: {encoding}"] if encoding != "utf-8" else []),
        "columns:",
    ]
    for entry in entries.values():
        lines += [f"  # {_comment(comment)}" for comment in entry.comments]
        lines += [f"  {' ' if at else '-'} {line}" for at, line in enumerate(_dumped(entry.fields))]
        lines += [f"    # {line}" for line in _dumped(entry.rules)]
    return "\n".join(lines) + "\n"


def _dumped(fields: dict[str, Any]) -> list[str]:
    """A line for each field, lists in brackets; nothing in it but ASCII, so that it is YAML whatever a text holds."""
    return [
        yaml.safe_dump(
            {name: value}, width=2**31, default_flow_style=None if isinstance(value, list) else False
        ).strip()
        for name, value in fields.items()
    ]


def _comment(text: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _LONGEST_COMMENT else f"{printable[: _LONGEST_COMMENT - 1]}…"
