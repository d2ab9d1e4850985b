"""Encoding: text files in the contract's encoding, decoded as streams of UTF-8."""

import codecs
import io
from typing import BinaryIO, cast

from assay.evaluator.errors import DataError
from assay.manifests.contract import Encoding

_PIECE_BYTES = 1 << 20
_UTF8_MARK = codecs.BOM_UTF8
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class _AsUtf8(io.RawIOBase):
    """A file's text as UTF-8, piece by piece."""

    def __init__(self, file: BinaryIO, *, name: str, encoding: Encoding) -> None:
        self._file, self._name, self._encoding = file, name, encoding
        self._codec: str = encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._waiting = b""
        self._num_read = 0
        self._num_lines = 0
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        while not self._waiting and not self._is_done:
            self._waiting = self._next_piece()
        taken = self._waiting[: len(view)]
        view[: len(taken)] = taken
        self._waiting = self._waiting[len(taken) :]
        return len(taken)

    def _next_piece(self) -> bytes:
        piece = self._file.read(_PIECE_BYTES)
        self._is_done = not piece
        if self._decoder is None:
            piece = self._without_mark(piece)
            self._decoder = codecs.getincrementaldecoder(self._codec)("strict")
        held = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise self._refusal(error, start=self._num_read - held) from None
        self._num_read += len(piece)
        self._num_lines += text.count("\n")
        return text.encode()

    def _without_mark(self, head: bytes) -> bytes:
        """The first piece without the byte order mark of UTF-16, which determines how the rest is decoded."""
        if head.startswith(_UTF8_MARK):
            raise self._error(
                "the file begins with the byte order mark of UTF-8", "it is UTF-8: declare no other encoding"
            )
        has_mark = head.startswith(_UTF16_MARKS)
        if self._encoding == "utf-16" and head and not has_mark:
            raise self._error(
                "the file has no byte order mark, so its byte order is unknown",
                "save it with a byte order mark, or as UTF-8",
            )
        if self._encoding != "utf-16" and has_mark:
            raise self._error(
                "the file is UTF-16", "declare it: 'encoding: utf-16' in the contract, or --encoding utf-16"
            )
        if not has_mark:
            return head
        self._num_read = len(codecs.BOM_UTF16)
        self._codec = "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
        return head[self._num_read :]

    def _error(self, problem: str, remedy: str) -> DataError:
        return DataError(problem, place=self._name, bound=self._encoding, remedy=remedy)

    def _refusal(self, error: UnicodeDecodeError, *, start: int) -> DataError:
        before = error.object[: error.start].decode(self._codec, "replace")
        undecodable = error.object[error.start : error.end].hex(" ")
        return DataError(
            f"not {self._encoding}",
            place=f"{self._name}:{self._num_lines + before.count(chr(10)) + 1}",
            value=f"byte 0x{undecodable} at offset {start + error.start} ({error.reason})",
            remedy="is the declared encoding right?",
        )


def as_utf8(file: BinaryIO, *, name: str, encoding: Encoding) -> BinaryIO:
    """A text file in another encoding as UTF-8; the byte order mark of UTF-16 is removed.

    Args:
        file: The open file.
        name: Its name, for messages.
        encoding: How it is encoded.

    Returns:
        A file; reading it raises DataError, with line and offset, where bytes are invalid in the encoding.
    """
    return io.BufferedReader(_AsUtf8(file, name=name, encoding=encoding), _PIECE_BYTES)
