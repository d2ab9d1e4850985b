"""JSON lines: one object per line, read block by block. A missing name is a null; blank lines are skipped."""

import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from assay.evaluator.data.ingest import dates, json_values, tensors
from assay.evaluator.data.ingest.arrow_schema import UNKNOWN_COLUMN, written_type
from assay.evaluator.data.ingest.blocks import Block, blocks, is_utf8, require_text, undecodable
from assay.evaluator.data.ingest.changes import CRLF_READ, Changes
from assay.evaluator.data.ingest.chunk import Chunk, Converted, Offence, Origin, chunk_of, one_array
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.errors import did_you_mean

_MAX_EXTRA_BRACKETS = 1000
"""Bounds the nesting of columns without a type: pyarrow's parser recurses for every level."""


def json_lines_chunks(
    file: BinaryIO, *, name: str, contract: Contract, changes: Changes | None = None
) -> Iterator[Chunk]:
    """Reads a file of one object per line.

    Args:
        file: The open file.
        name: Its name, for messages.
        contract: The names of the objects, and the types of their values.
        changes: Records byte order marks and line ends.

    Raises:
        DataError: The text is not UTF-8. Lines and values that cannot be read are returned with the chunks, as
            offences.
    """
    changes = changes or Changes()
    for block in blocks(file, name=name, quoted=False, changes=changes):
        changes.add(CRLF_READ, count=block.content.count(b"\r\n"))
        require_text(block, name=name)
        _require_utf8(block, name=name)
        chunk = _quick(block, name, contract) or _exact(block, name, contract)
        if chunk.table.num_rows or chunk.offences:
            yield chunk


def _require_utf8(block: Block, *, name: str) -> None:
    if is_utf8(block.content):
        return
    try:
        block.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise undecodable(block, error, name=name) from None


def _quick(block: Block, name: str, contract: Contract) -> Chunk | None:
    """The chunk if pyarrow reads every line as one object of the contract, else None."""
    num_rows = _num_plain_lines(block)
    columns = contract.read_columns
    strict = len(columns) == len(contract.columns)
    if not num_rows or not (strict or _is_shallow(block.content, num_rows, columns)):
        return None
    types = {column.name: tensors.list_type(column) if column.shape else written_type(column) for column in columns}
    table = json_values.quick(block.content, types=types, num_rows=num_rows, strict=strict)
    if table is None or not {column.name for column in contract.columns}.issuperset(table.column_names):
        return None
    converted = {column.name: _typed(table[column.name], column) for column in columns}
    if any(column.refusals for column in converted.values()):
        return None
    return chunk_of(converted, columns=columns, origin=Origin(name, "line", block.first_line))


def _num_plain_lines(block: Block) -> int:
    """The number of lines if each starts with `{` and ends with `}`; 0 if any does not.

    Then as many objects as lines means one object per line: an object that spans a line end would need a colon, a comma
    or a bracket there.
    """
    if b"\r" in block.content:
        block = Block(block.content.replace(b"\r\n", b"\n"), 1, 0)
    ends = block.newlines if block.content.endswith(b"\n") else np.append(block.newlines, len(block.content))
    content = np.frombuffer(block.content, np.uint8)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if not content.size:
        return 0
    is_plain = (content[starts] == ord("{")).all() and (content[np.maximum(ends - 1, 0)] == ord("}")).all()
    return len(ends) if is_plain else 0


def _is_shallow(content: bytes, num_rows: int, columns: tuple[Column, ...]) -> bool:
    """Whether the parts of the objects that the contract ignores have too few brackets to be nested deeply."""
    lists = sum(math.prod(column.shape[:level]) for column in columns for level in range(len(column.shape)))
    return content.count(b"{") + content.count(b"[") <= num_rows * (1 + lists) + _MAX_EXTRA_BRACKETS


def _typed(values: pa.ChunkedArray, column: Column) -> Converted:
    array = one_array(values)
    if dates.is_moment(column.type):
        return dates.from_texts(array, type_name=column.type, form=column.format)
    return tensors.from_lists(array, column=column) if column.shape else Converted(array)


def _exact(block: Block, name: str, contract: Contract) -> Chunk:
    """The chunk as Python's JSON reader parses it, with an offence for each line that is not a valid object."""
    origin = Origin(name, "line", block.first_line)
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    offences: list[Offence] = []
    names = [column.name for column in contract.columns]
    for at, line in enumerate(block.content.split(b"\n")):
        if not line.strip():
            continue
        number = block.first_line + at
        row = _object(line.decode("utf-8"), names)
        if isinstance(row, dict):
            numbers.append(number)
            rows.append(row)
        else:
            offences.append(Offence(number, origin.place(number), *row))
    columns = contract.read_columns
    converted = {
        column.name: json_values.from_values([row.get(column.name) for row in rows], column=column)
        for column in columns
    }
    first = numbers[0] if numbers else block.first_line
    steps = np.array(numbers, np.int64) - first
    return chunk_of(
        converted,
        columns=columns,
        origin=Origin(name, "line", first, steps.astype(np.int32)),
        offences=tuple(offences),
    )


def _object(line: str, names: list[str]) -> dict[str, Any] | tuple[str, str, Any, str, str]:
    """The object on a line; if it is not valid, its column, problem, value, bound and remedy."""
    try:
        pairs = json_values.decoded(line)
    except ValueError as error:
        return "", f"not JSON: {error}", line.strip(), "one object", "put each object on its own line"
    if not isinstance(pairs, json_values.Pairs):
        return "", "not an object", line.strip(), "one object", ""
    row = dict(pairs)
    if len(row) < len(pairs):
        repeated = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        return repeated, "the name occurs twice in this object", line.strip(), "", "keep one of them"
    for name, value in row.items():
        if name not in names:
            near = did_you_mean(name, [other for other in names if other not in row] or names)
            return name, UNKNOWN_COLUMN, value, "", near
    return row
