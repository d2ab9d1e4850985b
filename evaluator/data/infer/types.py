"""Types: which columns files have, and the narrowest type that loses nothing of what all their rows hold."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from assay.evaluator.data.ingest import Offence, read_chunks
from assay.evaluator.data.ingest.blocks import Block, undecodable
from assay.evaluator.data.ingest.compression import unpacked
from assay.evaluator.data.ingest.source import format_of, is_delimited, require_source, utf8_text
from assay.evaluator.data.ingest.text_values import from_texts
from assay.evaluator.errors import DataError
from assay.manifests.contract import Column, Contract, Encoding

_BOOL, _INT, _FLOAT = "bool", "int64", "float64"
# Leading zeros belong to codes, and a float64 holds 15 digits of any number.
_NOT_FLOAT = r"^[+-]?(0[0-9]|[0-9]{16,})"
_NULL_WORDS = pa.array(["NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-", "?", "."])
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"


@dataclass(frozen=True)
class Guess:
    """What a column seems to be.

    Attributes:
        type: The type by its name in a contract; empty if no contract has such values.
        shape: Of a tensor.
        note: What a person should know, or why there is no type.
        null_values: Words in its cells that stand for no value; without them it would be text.
    """

    type: str
    shape: tuple[int, ...] = ()
    note: str = ""
    null_values: tuple[str, ...] = ()


def guesses(paths: Sequence[Path], encoding: Encoding) -> dict[str, Guess]:
    """The columns of some files, in order, and what each seems to be.

    Raises:
        DataError: A file cannot be read, or files have different columns.
    """
    found: dict[str, Guess] = {}
    for path in paths:
        require_source(path)
    kinds = {path: format_of(path)[0] for path in paths}
    texts = [path for path in kinds if is_delimited(path)]
    groups = [_of_texts(texts, encoding)] if texts else []
    for path, kind in kinds.items():
        if kind == "jsonl":
            groups.append(_of_json(path, encoding))
        elif kind in ("parquet", "ipc"):
            groups.append(_of_arrow(path, kind))
    for group in groups:
        _require_names(group)
        if found and group.keys() != found.keys():
            other = sorted(group.keys() ^ found.keys())
            raise DataError("the files have different columns", field=other[0], remedy="infer from files of one kind")
        found = {name: _joined(found[name], guess) for name, guess in group.items()} if found else group
    return found


def _joined(first: Guess, second: Guess) -> Guess:
    words = tuple(sorted({*first.null_values, *second.null_values}))
    if (first.type, first.shape) == (second.type, second.shape):
        return replace(first, null_values=words)
    if {first.type, second.type} == {_INT, _FLOAT} and first.shape == second.shape:
        return Guess(_FLOAT, first.shape, null_values=words)
    return Guess("", note=f"{first.type or 'nothing known'} in one file, {second.type or 'nothing known'} in another")


def _of_texts(paths: Sequence[Path], encoding: Encoding) -> dict[str, Guess]:
    candidates: dict[str, list[str]] = {}
    null_words: dict[str, set[str]] = {}
    seen: set[str] = set()
    for path in paths:
        header = _header(path, encoding)
        if candidates and set(header) != candidates.keys():
            other = sorted(set(header) ^ candidates.keys())
            raise DataError("the files have different columns", place=path.name, field=other[0])
        candidates = candidates or {name: [_INT, _FLOAT, _BOOL, "date", "timestamp"] for name in header}
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
                    candidates[name] = [kind for kind in candidates[name] if _fits(texts, kind)]
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
        header = next(csv.reader(_lines(path, encoding), delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"the header cannot be read ({error})", place=f"{path.name}:1") from None
    for at, name in enumerate(header):
        if not name or name in header[:at]:
            raise DataError(
                "a column without a name" if not name else "the column stands here twice",
                place=f"{path.name}:1",
                field=name,
            )
    _require_names(header)
    return header


def _require_names(names: Iterable[str]) -> None:
    for name in names:
        try:
            Column(name=name, role="ignored")
        except ValidationError as error:
            problem = error.errors()[0]["msg"].lower()
            raise DataError(f"a contract cannot name this column: {problem}", value=name) from None


def _lines(path: Path, encoding: Encoding) -> Iterator[str]:
    with path.open("rb") as file:
        text = utf8_text(file, name=path.name, compression=format_of(path)[1], encoding=encoding)
        offset = 0
        for number, line in enumerate(text, start=1):
            try:
                yield line.decode().removeprefix("\ufeff" * (number == 1))
            except UnicodeDecodeError as error:
                raise undecodable(Block(line, number, offset), error, name=path.name) from None
            offset += len(line)


def _fits(texts: Any, kind: str) -> bool:
    if kind in ("date", "timestamp"):
        form = _DATE if kind == "date" else _TIMESTAMP
        if pc.all(pc.match_substring_regex(texts, form)).as_py() is not True:
            return False
        try:
            texts.cast(pa.date32() if kind == "date" else pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid:
            return False
        return True
    if kind == _FLOAT and pc.any(pc.match_substring_regex(texts, _NOT_FLOAT)).as_py():
        return False
    converted = from_texts(texts, type_name=kind)
    if converted.refusals:
        return False
    return kind != _FLOAT or bool(np.all(np.isfinite(converted.array.to_numpy(zero_copy_only=False))))


def _of_json(path: Path, encoding: Encoding) -> dict[str, Guess]:
    kinds: dict[str, set[Any]] = {}
    for number, line in enumerate(_lines(path, encoding), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"not JSON ({error})", place=f"{path.name}:{number}") from None
        except RecursionError:
            raise DataError("nested too deeply", place=f"{path.name}:{number}") from None
        if not isinstance(row, dict):
            raise DataError("not an object", place=f"{path.name}:{number}", remedy="each line is one row: {...}")
        for name, value in row.items():
            kinds.setdefault(name, set())
            if value is not None and len(kinds[name]) < 10:
                kinds[name].add(_json_kind(value))
    guessed = {name: _of_kinds(found) for name, found in kinds.items()}
    moments = [name for name, guess in guessed.items() if guess.type == "string"]
    left = {name: ["date", "timestamp"] if kinds[name] else [] for name in moments}
    for line in _lines(path, encoding) if moments else ():
        row = json.loads(line) if line.strip() else {}
        for name in moments:
            if left[name] and isinstance(value := row.get(name), str):
                left[name] = [kind for kind in left[name] if _fits(pa.array([value]), kind)]
    return guessed | {
        name: Guess(left[name][0] if left[name] else "string", note=guessed[name].note) for name in moments
    }


def _json_kind(value: Any) -> Any:
    """The kind of a JSON value: a type's name, `(element, shape)` of a tensor, or words."""
    if isinstance(value, list):
        try:
            array = np.array(value)
        except ValueError:
            return "lists of different lengths"
        element = {"b": _BOOL, "i": _INT, "f": _FLOAT}.get(array.dtype.kind)
        return (element, array.shape) if element and array.size else "lists of something else than numbers"
    if isinstance(value, dict):
        return "objects"
    if isinstance(value, str) and not _is_unicode(value):
        return "texts with half a character"
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return "whole numbers past int64"
    return {bool: _BOOL, int: _INT, float: _FLOAT, str: "string"}[type(value)]


def _is_unicode(text: str) -> bool:
    """Whether a text can be stored: JSON may write half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_kinds(kinds: set[Any]) -> Guess:
    if not kinds:
        return Guess("string", note="no row has a value")
    if kinds == {_INT, _FLOAT}:
        return Guess(_FLOAT)
    shapes = {kind[1] if isinstance(kind, tuple) else () for kind in kinds}
    elements = {kind[0] if isinstance(kind, tuple) else kind for kind in kinds}
    if len(shapes) == 1 and (len(elements) == 1 or elements == {_INT, _FLOAT}):
        element = _FLOAT if len(elements) == 2 else elements.pop()
        return Guess(element, shapes.pop()) if " " not in element and element != "objects" else Guess("", note=element)
    return Guess("", note="values of several kinds: " + ", ".join(sorted(str(kind) for kind in kinds)))


def _of_arrow(path: Path, kind: str) -> dict[str, Guess]:
    compression = format_of(path)[1]
    try:
        with unpacked(path, kind=compression) if compression else nullcontext(path) as plain:
            schema, head = _parquet_head(plain) if kind == "parquet" else _ipc_head(plain)
    except (pa.ArrowException, OSError) as error:
        raise DataError("the file cannot be read", place=path.name, value=str(error).splitlines()[0]) from None
    return {field.name: _of_field(field.type, None if head is None else head.column(field.name)) for field in schema}


def _parquet_head(path: Path) -> tuple[pa.Schema, Any]:
    with pq.ParquetFile(path) as file:
        return file.schema_arrow, next(file.iter_batches(batch_size=100), None)


def _ipc_head(path: Path) -> tuple[pa.Schema, Any]:
    with pa.memory_map(str(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if not is_file:
            stream = pa.ipc.open_stream(source)
            return stream.schema, next(iter(stream), None)
        file = pa.ipc.open_file(source)
        return file.schema, file.get_batch(0) if file.num_record_batches else None


def _of_field(kind: Any, head: Any) -> Guess:
    if isinstance(kind, pa.FixedShapeTensorType):
        return Guess(_scalar(kind.value_type, is_element=True), tuple(kind.shape))
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    shape: list[int] = []
    values = cast("Any", None if head is None else head.drop_null())
    is_tensor = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = [] if values is None else pc.unique(pc.list_value_length(values)).to_pylist()
        if values is None or len(lengths) != 1 or not lengths[0]:
            return Guess("", note="lists of different lengths, or of none")
        shape.append(lengths[0])
        values, kind = values.flatten(), kind.value_type
    guess = _scalar(kind, is_element=is_tensor)
    if not guess or (shape and guess in ("string", "date", "timestamp")):
        return Guess("", note=f"no contract has values of type {kind}")
    return Guess(guess, tuple(shape), note="no row has a value" if pa.types.is_null(kind) else "")


def _scalar(kind: Any, *, is_element: bool) -> str:
    if pa.types.is_integer(kind):
        return str(kind) if is_element and kind != pa.uint64() else _INT
    if pa.types.is_floating(kind):
        return _FLOAT if kind == pa.float64() else "float32"
    if pa.types.is_boolean(kind):
        return _BOOL
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date" if pa.types.is_date(kind) else "timestamp"
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "string" if is_text or pa.types.is_null(kind) else ""
