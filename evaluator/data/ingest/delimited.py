"""Delimited text: csv and tsv, quoted as RFC 4180 says, read block by block.

pyarrow does the parsing; ambiguous quoting that it would accept is refused first, in `quoting`.

An empty cell is null, even if it is written as `""` and even in a column of strings, because csv cannot distinguish the
two. So is a cell that equals one of the contract's `null_values`. Blank lines are skipped, as by Python's csv.DictReader.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from assay.evaluator.data.ingest import json_values, quoting, tensors
from assay.evaluator.data.ingest.arrow_schema import require_columns
from assay.evaluator.data.ingest.blocks import (
    BYTE_ORDER_MARK,
    RETURN,
    Block,
    blocks,
    is_utf8,
    require_text,
    undecodable,
)
from assay.evaluator.data.ingest.changes import CRLF_READ, Changes
from assay.evaluator.data.ingest.chunk import Chunk, Converted, Offence, Origin, chunk_of, one_array
from assay.evaluator.data.ingest.text_values import from_texts
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column

_BLANK = re.compile(rb"[\r\n]*")


def delimited_chunks(
    file: BinaryIO, *, name: str, contract: Contract, delimiter: str, changes: Changes | None = None
) -> Iterator[Chunk]:
    """Reads a file with a header line.

    Args:
        file: The open file.
        name: Its name, for messages.
        contract: The columns and their types.
        delimiter: The delimiter of cells: a comma or a tab.
        changes: Records byte order marks and line ends.

    Raises:
        DataError: The text is not UTF-8 or not csv, or its header does not match the contract. Cells and rows that
            cannot be read are returned with the chunks, as offences.
    """
    changes = changes or Changes()
    reader = _Reader(name, contract, delimiter, changes)
    for block in blocks(file, name=name, quoted=True, changes=changes):
        yield from reader.chunks(block)


class _Reader:
    """Reads the blocks of one file, with the state from earlier blocks: header and line ends."""

    def __init__(self, name: str, contract: Contract, delimiter: str, changes: Changes) -> None:
        self._name, self._contract, self._delimiter, self._changes = name, contract, delimiter, changes
        self._header: list[str] = []
        self._line_end = b""

    def chunks(self, block: Block) -> Iterator[Chunk]:
        """The rows of a block; the first block's first line is the header."""
        require_text(block, name=self._name)
        if not self._header:  # read separately, so that a wrong delimiter is not reported as wrong quotes
            end = int(block.row_ends[0]) + 1 if block.row_ends.size else len(block.content)
            self._read_header(Block(block.content[:end], block.first_line, block.first_byte))
            block = block.after(end)
        self._require_well_formed(block)
        if not _BLANK.fullmatch(block.content):
            yield self._chunk(block)

    def _read_header(self, block: Block) -> None:
        self._require_well_formed(block)
        text = block.content.decode("utf-8")
        place = f"{self._name}:1"
        try:
            self._header = next(csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter), [])
        except csv.Error as error:
            raise DataError(f"the header cannot be read ({error})", place=place) from None
        if not self._header:
            raise DataError("the first line is blank", place=place, remedy="the first line must name the columns")
        other = "\t" if self._delimiter == "," else ","
        remedy = ""
        if len(self._header) == 1 and other in text:
            kind = "tabs: end the file's name in .tsv" if other == "\t" else "commas: end the file's name in .csv"
            remedy = f"the columns seem to be separated by {kind}"
        require_columns(self._header, contract=self._contract, place=place, remedy=remedy)

    def _chunk(self, block: Block) -> Chunk:
        table, is_ragged = self._cells(block)
        numbers = None
        offences: tuple[Offence, ...] = ()
        if is_ragged or _has_uneven_lines(block):
            starts, stops, numbers = _records(block)
            if is_ragged:
                keep, offences = self._ragged(block, starts, stops, numbers)
                numbers = numbers[keep]
        num_records = len(block.row_ends) + (not block.content.endswith(b"\n")) if numbers is None else len(numbers)
        assert table.num_rows == num_records, "pyarrow and the positions of the quotes give the same rows"
        first = block.first_line if numbers is None or not numbers.size else int(numbers[0])
        steps = None if numbers is None else (numbers - first).astype(np.int32)
        origin = Origin(self._name, "line", first, steps)
        columns = self._contract.read_columns
        converted = {column.name: _converted(table[column.name], column) for column in columns}
        return chunk_of(converted, columns=columns, origin=origin, offences=offences)

    def _cells(self, block: Block) -> tuple[pa.Table, bool]:
        """The cells as strings, without the ragged rows, and whether there were ragged rows."""
        ragged: list[pa_csv.InvalidRow] = []

        def on_ragged(row: pa_csv.InvalidRow) -> Literal["skip"]:
            ragged.append(row)
            return "skip"

        wanted = [column.name for column in self._contract.read_columns]
        # pyarrow removes a leading byte order mark from its input; inside a file it is part of the cell.
        content = BYTE_ORDER_MARK + block.content if block.content.startswith(BYTE_ORDER_MARK) else block.content
        table = pa_csv.read_csv(
            pa.BufferReader(content),  # pyright: ignore[reportArgumentType]
            read_options=pa_csv.ReadOptions(column_names=self._header, use_threads=False, block_size=len(content) + 1),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=on_ragged
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
                check_utf8=False,  # the whole block has already been checked
            ),
        )
        return table, bool(ragged)

    def _ragged(
        self, block: Block, starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], tuple[Offence, ...]]:
        """A mask of the records with as many cells as the header, and an offence for each of the others."""
        delimiters = block.unquoted(ord(self._delimiter))
        num_cells = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts) + 1
        keep = num_cells == len(self._header)
        origin = Origin(self._name, "line", 1)
        offences = tuple(
            Offence(
                number := int(numbers[row]),
                origin.place(number),
                "",
                f"this row has {num_cells[row]} {'cell' if num_cells[row] == 1 else 'cells'}, "
                f"the header has {len(self._header)}",
                f"the row '{text.decode('utf-8', 'replace').rstrip(chr(13))}'",
            )
            for row in np.flatnonzero(~keep)
            if (text := block.content[starts[row] : min(stops[row], starts[row] + 200)])
        )
        return keep, offences

    def _require_utf8(self, block: Block) -> None:
        if is_utf8(block.content):
            return
        try:
            block.content.decode("utf-8")
        except UnicodeDecodeError as error:
            column, cell = self._cell_at(block, error.start)
            raise undecodable(block, error, name=self._name, column=column, cell=cell) from None

    def _cell_at(self, block: Block, position: int) -> tuple[str, bytes]:
        """The column and the content of the cell with the first byte that is not UTF-8."""
        ends = block.row_ends
        before = int(np.searchsorted(ends, position))
        start = int(ends[before - 1]) + 1 if before else 0
        stop = int(ends[before]) if before < len(ends) else len(block.content)
        record = block.content[start:stop].decode("utf-8", "surrogateescape")
        try:
            cells = next(csv.reader(io.StringIO(record, newline=""), delimiter=self._delimiter))
        except csv.Error:  # the cell exceeds the csv module's limit: only the byte offset can be given
            return "", b""
        index = next(at for at, cell in enumerate(cells) if any("\udc80" <= each <= "\udcff" for each in cell))
        column = self._header[index] if index < len(self._header) else ""
        return column, cells[index].encode("utf-8", "surrogateescape")

    def _require_well_formed(self, block: Block) -> None:
        """Refuses a block whose cells and rows are ambiguous."""
        quoting.require_quotes_in_place(block, name=self._name, delimiter=self._delimiter)
        self._line_end = quoting.line_end(block, name=self._name, so_far=self._line_end)
        self._changes.add(CRLF_READ, count=len(block.row_ends) if self._line_end == b"\r\n" else 0)
        self._require_utf8(block)


def _has_uneven_lines(block: Block) -> bool:
    """Whether any row spans several lines, or any line has no row."""
    ends, content = block.row_ends, block.content
    if len(block.newlines) != len(ends) or content.startswith((b"\n", b"\r\n")):
        return True
    has_short_lines = bool((np.diff(ends) <= len(b"\r\n")).any())
    return has_short_lines and (b"\n\n" in content or b"\n\r\n" in content)


def _records(
    block: Block,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Start, stop and line number of every record that is not blank, each of shape (records,)."""
    content = np.frombuffer(block.content, np.uint8)
    starts = np.concatenate([[0], block.row_ends + 1])
    stops = np.concatenate([block.row_ends, [content.size]])
    lengths = stops - starts
    is_blank = (lengths == 0) | ((lengths == 1) & (content[np.minimum(starts, content.size - 1)] == RETURN))
    starts, stops = starts[~is_blank], stops[~is_blank]
    return starts, stops, block.first_line + np.searchsorted(block.newlines, starts)


def _converted(texts: pa.ChunkedArray, column: Column) -> Converted:
    array: Any = one_array(texts)
    if column.null_values:
        is_null = pc.is_in(array, value_set=pa.array(column.null_values, pa.string()))
        array = pc.if_else(is_null, pa.scalar(None, pa.string()), array)
    if not column.shape:
        return from_texts(array, type_name=column.type, form=column.format)
    return _tensors(array, column)


def _tensors(texts: pa.Array, column: Column) -> Converted:
    """Converts cells that contain a JSON list each; read as the lines of a JSON file with one column."""
    if not texts.null_count and len(texts) and pc.all(pc.match_substring_regex(texts, r"^\[[^{}\n]*\]$")).as_py():
        content = "\n".join(f'{{"":{text}}}' for text in texts.to_pylist()).encode()
        table = json_values.quick(content, types={"": tensors.list_type(column)}, num_rows=len(texts))
        if table is not None:
            return tensors.from_lists(table.column("").combine_chunks(), column=column)
    return json_values.from_tensor_texts(texts.to_pylist(), column=column)
