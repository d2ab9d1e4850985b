"""Guesses from delimited text: the narrowest type that represents all cells of a column without loss."""

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
from assay.evaluator.data.ingest.source import format_of, unreadable, utf8_text
from assay.evaluator.data.ingest.text_values import from_texts
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract, Encoding
from assay.manifests.contract_column import Column

# Leading zeros indicate codes, and float64 represents up to 15 digits of any number.
_NOT_FLOAT = r"^[+-]?(0[0-9]|[0-9]{16,})"
_NULL_WORDS = pa.array(["NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-", "?", "."])
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"


def guesses_of_texts(paths: Sequence[Path], encoding: Encoding) -> dict[str, Guess]:
    """The columns of csv or tsv files, with a guess for each.

    Raises:
        DataError: A file cannot be read, or files have different columns.
    """
    candidates: dict[str, list[str]] = {}
    null_words: dict[str, set[str]] = {}
    seen: set[str] = set()
    for path in paths:
        header = _header(path, encoding)
        if candidates and set(header) != candidates.keys():
            difference = sorted(set(header) ^ candidates.keys())
            raise DataError("the files have different columns", place=path.name, field=difference[0])
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
    guessed: dict[str, Guess] = {}
    for name, types in candidates.items():
        null_values = tuple(sorted(null_words.get(name, ())))
        if name not in seen and not null_values:
            guessed[name] = Guess("string", note="missing in every row")
        elif name not in seen or not types:
            names = ", ".join(null_values)
            note = f"some cells are {names}; if they mean missing, add nullable and null_values" if names else ""
            guessed[name] = Guess("string", note=note)
        else:
            guessed[name] = Guess(types[0], null_values=null_values)
    return guessed


def _texts_contract(names: Sequence[str], encoding: Encoding) -> Contract:
    """A contract that reads every column as text; readers ignore roles."""
    if len(names) < 2:
        raise DataError("a dataset needs at least two columns, a label and a feature", field=names[0] if names else "")
    label, *others = names
    columns = (
        Column(name=label, role="label", type="string", classes=("any",)),
        *(Column(name=name, role="feature", type="string", nullable=True) for name in others),
    )
    return Contract(kind="Contract", version=1, columns=columns, encoding=encoding)


def require_readable(offences: Sequence[Offence]) -> None:
    """Refuses rows that cannot be read at all.

    Raises:
        DataError: There are offences; the error is the first of them.
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
                "a column has no name" if not name else "the column occurs twice",
                place=f"{path.name}:1",
                field=name,
            )
    require_names(header)
    return header


def require_names(names: Iterable[str]) -> None:
    """Refuses column names that are not valid in a contract.

    Raises:
        DataError: There is one; the error names the first.
    """
    for name in names:
        try:
            Column(name=name, role="ignored")
        except ValidationError as error:
            problem = error.errors()[0]["msg"].lower()
            raise DataError(f"invalid column name for a contract: {problem}", value=name) from None


def text_lines(path: Path, encoding: Encoding) -> Iterator[str]:
    """The lines of a text file, decoded.

    Raises:
        DataError: A line contains bytes that are invalid in the encoding.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        text = utf8_text(file, name=path.name, compression=format_of(path)[1], encoding=encoding)
        offset = 0
        for number, line in enumerate(text, start=1):
            try:
                yield line.decode().removeprefix("\ufeff" * (number == 1))
            except UnicodeDecodeError as error:
                raise undecodable(Block(line, number, offset), error, name=path.name) from None
            offset += len(line)


def fits(texts: Any, kind: str) -> bool:
    """Whether every text of an Arrow array can be converted to a type without loss."""
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
