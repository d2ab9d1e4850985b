"""JSON values: lossless conversion of objects and lists to typed columns.

Where all values are valid, pyarrow reads many objects at once; otherwise they are read one by one: that code decides
what is accepted, and names the offenders. Numbers are kept as the text they were written in, so that both ways round
alike.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from assay.evaluator.data.ingest import dates
from assay.evaluator.data.ingest.chunk import Converted, Refusal
from assay.evaluator.data.ingest.tensors import from_nested
from assay.evaluator.data.ingest.text_values import from_texts
from assay.manifests.contract_column import Column


class NumberText(str):
    """A number of a JSON text, kept and shown as it was written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Pairs(list[tuple[str, Any]]):
    """An object of a JSON text: its names and values in order, including repeated names."""

    __slots__ = ()


_DECODER = json.JSONDecoder(
    parse_float=NumberText, parse_int=NumberText, parse_constant=NumberText, object_pairs_hook=Pairs
)


# pyarrow's JSON parser dereferences a null pointer at a null outside any object (apache/arrow#47409).
# Two expressions, because one that can only start with a brace is searched many times faster.
_NULL_FIRST = re.compile(rb"\s*null")
_NULL_AFTER = re.compile(rb"\}\s*null")


def decoded(text: str) -> Any:
    """A JSON text: objects as `Pairs`, numbers (NaN and Infinity too) as `NumberText`.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def quick(content: bytes, *, types: dict[str, pa.DataType], num_rows: int, strict: bool = True) -> pa.Table | None:
    """Reads lines of one object each in one pass; None if they must be read one by one.

    Args:
        content: The lines, none of them blank.
        types: The type of each name.
        num_rows: The number of rows that must result.
        strict: Whether a name that is not in `types` ends the attempt.
    """
    if b"null" in content and (_NULL_FIRST.match(content) or _NULL_AFTER.search(content)):
        return None
    try:
        table = pa_json.read_json(
            pa.BufferReader(content),  # pyright: ignore[reportArgumentType]
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(content) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema(list(types.items())),
                unexpected_field_behavior="error" if strict else "infer",
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table if table.num_rows == num_rows else None


def from_values(values: list[Any], *, column: Column) -> Converted:
    """Converts decoded values of one column, one per row; None stays null."""
    if column.shape:
        return from_nested(values, column=column, elements=_elements(column))
    return _scalars(values, column)


def from_tensor_texts(texts: list[str | None], *, column: Column) -> Converted:
    """Converts cells that contain a JSON list each; None stays null."""
    return from_values([_decoded_or_itself(text) for text in texts], column=column)


def _decoded_or_itself(text: str | None) -> Any:
    """A text that is not JSON stays a string, which is refused where a list is expected."""
    try:
        return None if text is None else decoded(text)
    except ValueError:
        return text


def _elements(column: Column) -> Callable[[list[Any]], Converted]:
    return lambda flat: _scalars(flat, column)


def _scalars(values: list[Any], column: Column) -> Converted:
    refusals: list[Refusal] = []
    texts: list[str | None] = []
    placeholder = "" if column.type == "string" else None if dates.is_moment(column.type) else "0"
    for row, value in enumerate(values):
        text, problem = _text_of(value, column.type)
        if problem:
            refusals.append(Refusal(row, problem, _shown(value), f"JSON {_json_kind(column.type)}"))
        texts.append(placeholder if problem else text)
    converted = from_texts(pa.array(texts, pa.string()), type_name=column.type, form=column.format)
    array = converted.array
    if placeholder is None and refusals:  # a refused value must not also count as missing
        array = dates.filled(array, [refusal.row for refusal in refusals])
    return Converted(array, tuple(sorted((*refusals, *converted.refusals), key=lambda refusal: refusal.row)))


def _text_of(value: Any, type_name: str) -> tuple[str | None, str]:
    """The value as text for `from_texts`, and what is wrong with it; one of them is empty."""
    if value is None:
        return None, ""
    if type_name == "string" or dates.is_moment(type_name):
        if not isinstance(value, str) or isinstance(value, NumberText):
            return None, "not a string"
        return (None, "half of a surrogate pair, which is not a character") if _has_surrogate(value) else (value, "")
    if type_name == "bool":
        return (str(value), "") if isinstance(value, bool) else (None, "not a bool")
    return (value, "") if isinstance(value, NumberText) else (None, f"not a number of type {type_name}")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _json_kind(type_name: str) -> str:
    kinds = {"string": "string", "bool": "true or false", "date": "string", "timestamp": "string"}
    return kinds.get(type_name, "number")


def _shown(value: Any) -> Any:
    """The value for messages: strings and bools as JSON writes them."""
    is_written = isinstance(value, (str, bool)) and not isinstance(value, NumberText)
    return json.dumps(value, ensure_ascii=False) if is_written else value
