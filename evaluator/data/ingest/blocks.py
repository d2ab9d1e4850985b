"""Blocks: a text file split at the ends of its records, so that each block can be parsed on its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.ingest.changes import Changes
from assay.evaluator.errors import DataError

BLOCK_BYTES = 1 << 22
"""How much is read at once: enough for vectorised work, little enough for the intermediates of many columns."""
MAX_RECORD_BYTES = 1 << 26
"""The longest row of a text file: an unclosed quote must not consume gigabytes."""

ENCODING_REMEDY = (
    "save it as UTF-8, or declare its encoding: 'encoding' in the contract, --encoding for 'assay contract infer'"
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
NEWLINE, RETURN, QUOTE = 0x0A, 0x0D, 0x22


@dataclass(frozen=True)
class Block:
    """Whole records of a text file.

    Attributes:
        content: Their bytes, valid UTF-8 or not.
        first_line: The number of the first line, from 1.
        first_byte: The offset of the first byte in the file.
    """

    content: bytes
    first_line: int
    first_byte: int

    @cached_property
    def newlines(self) -> npt.NDArray[np.int64]:
        """The positions of all newlines, shape (newlines,)."""
        return positions(self.content, NEWLINE)

    @cached_property
    def quotes(self) -> npt.NDArray[np.int64]:
        """The positions of all double quotes, shape (quotes,)."""
        return positions(self.content, QUOTE) if b'"' in self.content else np.empty(0, np.int64)

    @cached_property
    def row_ends(self) -> npt.NDArray[np.int64]:
        """The positions of the newlines outside double quotes, shape (rows,)."""
        return _outside(self.newlines, self.quotes)

    def unquoted(self, byte: int) -> npt.NDArray[np.int64]:
        """The positions of a byte outside double quotes, shape (occurrences,)."""
        if byte not in self.content:
            return np.empty(0, np.int64)
        return _outside(positions(self.content, byte), self.quotes)

    def line(self, position: int) -> int:
        """The number of the line that contains the byte at a position of the block."""
        return self.first_line + self.content.count(b"\n", 0, position)

    def after(self, position: int) -> "Block":
        """The rest of the block from a position on."""
        return Block(self.content[position:], self.line(position), self.first_byte + position)


def blocks(file: BinaryIO, *, name: str, quoted: bool, changes: Changes | None = None) -> Iterator[Block]:
    """Splits a file into blocks of whole records, without the byte order mark.

    Args:
        file: The open file.
        name: Its name, for messages.
        quoted: Whether a newline between double quotes is part of a record, as in csv.
        changes: Records the removal of the byte order mark.

    Raises:
        DataError: The file is UTF-16, or a record is longer than `MAX_RECORD_BYTES`.
    """
    head = file.read(len(BYTE_ORDER_MARK))
    if head.startswith(_UTF16_MARKS):
        raise DataError("the file is UTF-16", place=name, bound="UTF-8", remedy=ENCODING_REMEDY)
    if head == BYTE_ORDER_MARK and changes is not None:
        changes.add("byte order marks removed")
    rest, first_byte = (b"", len(BYTE_ORDER_MARK)) if head == BYTE_ORDER_MARK else (head, 0)
    first_line = 1
    while True:
        fresh = file.read(max(BLOCK_BYTES, len(rest)))
        content = rest + fresh
        if not content:
            return
        end = _end_of_records(content, quoted=quoted) if fresh else len(content)
        if end:
            block = Block(content[:end], first_line, first_byte)
            yield block
            first_line += block.newlines.size
        elif len(content) > MAX_RECORD_BYTES:
            raise DataError(
                "a row is too long",
                place=f"{name}:{first_line}",
                value=f"over {len(content):,} bytes",
                bound=f"up to {MAX_RECORD_BYTES:,} bytes",
                remedy="is a double quote in this row not closed?" if quoted else "put each object on its own line",
            )
        if not fresh:
            return
        first_byte += end
        rest = content[end:]


def require_text(block: Block, *, name: str) -> None:
    """Refuses a block that contains a NUL byte, which text files do not have.

    Raises:
        DataError: There is one; the error names the line and the byte offset.
    """
    position = block.content.find(b"\0")
    if position >= 0:
        raise DataError(
            "a NUL byte",
            place=f"{name}:{block.line(position)}",
            value=f"0x00 at byte {block.first_byte + position}",
            bound="UTF-8 text",
            remedy="is this a binary file, or UTF-16?",
        )


def undecodable(
    block: Block, error: UnicodeDecodeError, *, name: str, column: str = "", cell: bytes = b""
) -> DataError:
    """The error for a byte that is not UTF-8, with line, byte offset from the start of the file, column and cell."""
    byte = f"byte 0x{block.content[error.start]:02x} at offset {block.first_byte + error.start}"
    text = cell.decode("utf-8", "backslashreplace")
    return DataError(
        "not UTF-8",
        place=f"{name}:{block.line(error.start)}",
        field=column,
        value=f"{byte} in '{text}'" if cell else byte,
        remedy=ENCODING_REMEDY,
    )


def positions(content: bytes, byte: int) -> npt.NDArray[np.int64]:
    """The positions of a byte in the content, shape (occurrences,)."""
    return np.flatnonzero(np.frombuffer(content, np.uint8) == byte)


def is_utf8(content: bytes) -> bool:
    """Whether bytes are UTF-8; several times faster than decoding them."""
    if content.isascii():
        return True
    edges = pa.array([0, len(content)], pa.int64()).buffers()[1]
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, edges, pa.py_buffer(content)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _outside(places: npt.NDArray[np.int64], quotes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The positions with an even number of quotes before them."""
    return places[np.searchsorted(quotes, places) % 2 == 0] if quotes.size else places


def _end_of_records(content: bytes, *, quoted: bool) -> int:
    """The length of the complete records at the start of the content."""
    end = content.rfind(b"\n") + 1
    if not quoted or content.count(b'"', 0, end) % 2 == 0:
        return end
    ends = Block(content, 1, 0).row_ends
    return int(ends[-1]) + 1 if ends.size else 0
