"""Guesses from delimited text: the narrowest type that loses nothing of what all cells of a column hold."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from assay.evaluator.data.infer.guess import BOOL, FLOAT, INT, Guess
from assay.evaluator.data.ingest import Offence, read_chunks
from assay.evaluator.data.ingest.blocks import Block, undecodable
from assay.evaluator.data.ingest.source import format_of, utf8_text
from assay.evaluator.data.ingest.text_values import from_texts
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract, Encoding
from assay.manifests.contract_column import Column

# Leading zeros belong to codes, and a float64 holds 15 digits of any number.
_NOT_FLOAT = r"^[+-]?(0[0-9]|[0-9]{16,})"
_NULL_WORDS = pa.array(["NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-", "?", "."])
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"


def guesses_of_texts(paths: Sequence[Path], encoding: Encoding) -> dict[str, Guess]:
    """The columns of some csv or tsv files, and what each seems to be.

    Raises:
        DataError: A file cannot be read, or files have different columns.
    """
    candidates: dict[str, list[str]] = {}
    null_words: dict[str, set[str]] = {}
    seen: set[str] = set()
    for path in paths:
        header = _header(path, encoding)
        if candidates and set(header) != candidates.keys():
            other = sorted(set(header) ^ candidates.keys())
            raise DataError("the files have different columns", place=path.name, field=other[0])
        candidates = candidates or {name: [INT, FLOAT, BOOL, "date", "timestamp"] for name in header}
        for chunk in read_chunks(path, contract=_texts_contract(header, encoding)):
            require_readable(chunk.offences)
            for name in header:
                texts: Any = chunk.table[name].combine_chunks().drop_null()
                is_null_word = pc.is_in(texts, value_set=_NULL_WORDS)
                if pc.any(is_null_word).as_py():
                    null_words.setdefault(name, set()).update(pc.unique(texts.filter(is_null_word)).to_pylist())
                    texts = texts.filter(pc.invert(is_null_word))
                if len(texts):
                    seen.add(name)
                    candidates[name] = [kind for kind in candidates[name] if fits(texts, kind)]
    found: dict[str, Guess] = {}
    for name, left in candidates.items():
        words = tuple(sorted(null_words.get(name, ())))
        if name not in seen and not words:
            found[name] = Guess("string", note="no row has a value")
        elif name not in seen or not left:
            note = f"some cells say {', '.join(words)}: null_values, if that is no value" if words else ""
            found[name] = Guess("string", note=note)
        else:
            found[name] = Guess(left[0], null_values=words)
    return found


def _texts_contract(names: Sequence[str], encoding: Encoding) -> Contract:
    """A contract that reads every column as text; what roles say does not matter to readers."""
    if len(names) < 2:
        raise DataError("a dataset has a label and a feature, so two columns at least", field=names[0] if names else "")
    label, *others = names
    columns = (
        Column(name=label, role="label", type="string", classes=("any",)),
        *(Column(name=name, role="feature", type="string", nullable=True) for name in others),
    )
    return Contract(kind="Contract", version=1, columns=columns, encoding=encoding)


def require_readable(offences: Sequence[Offence]) -> None:
    """Refuses rows that cannot be read at all.

    Raises:
        DataError: With the first of the offences.
    """
    for each in offences:
        raise each.error()


def _header(path: Path, encoding: Encoding) -> list[str]:
    delimiter = "," if format_of(path)[0] == "csv" else "\t"
    try:
        header = next(csv.reader(text_lines(path, encoding), delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"the header cannot be read ({error})", place=f"{path.name}:1") from None
    for at, name in enumerate(header):
        if not name or name in header[:at]:
            raise DataError(
                "a column without a name" if not name else "the column stands here twice",
                place=f"{path.name}:1",
                field=name,
            )
    require_names(header)
    return header


def require_names(names: Iterable[str]) -> None:
    """Refuses columns that no contract can name.

    Raises:
        DataError: With the first such name.
    """
    for name in names:
        try:
            Column(name=name, role="ignored")
        except ValidationError as error:
            problem = error.errors()[0]["msg"].lower()
            raise DataError(f"a contract cannot name this column: {problem}", value=name) from None


def text_lines(path: Path, encoding: Encoding) -> Iterator[str]:
    """The lines of a text file, decoded.

    Raises:
        DataError: A byte of a line is not of the encoding.
    """
    with path.open("rb") as file:
        text = utf8_text(file, name=path.name, compression=format_of(path)[1], encoding=encoding)
        offset = 0
        for number, line in enumerate(text, start=1):
            try:
                yield line.decode().removeprefix("\ufeff" * (number == 1))
            except UnicodeDecodeError as error:
                raise undecodable(Block(line, number, offset), error, name=path.name) from None
            offset += len(line)


def fits(texts: Any, kind: str) -> bool:
    """Whether every text of an Arrow array can be read as a type without losing anything."""
    if kind in ("date", "timestamp"):
        form = _DATE if kind == "date" else _TIMESTAMP
        if pc.all(pc.match_substring_regex(texts, form)).as_py() is not True:
            return False
        try:
            texts.cast(pa.date32() if kind == "date" else pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid:
            return False
        return True
    if kind == FLOAT and pc.any(pc.match_substring_regex(texts, _NOT_FLOAT)).as_py():
        return False
    converted = from_texts(texts, type_name=kind)
    if converted.refusals:
        return False
    return kind != FLOAT or bool(np.all(np.isfinite(converted.array.to_numpy(zero_copy_only=False))))
