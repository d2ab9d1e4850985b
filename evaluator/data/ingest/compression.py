"""Compression: gzip and zstd files as streams of what is in them, whole or refused."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

import pyarrow as pa

from assay.evaluator.errors import DataError

Compression = Literal["gzip", "zstd"]
SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
"""How a file is compressed, by the last of its suffixes."""
_MARKS: dict[bytes, str] = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_PIECE_BYTES = 1 << 20


class _Decompressed(io.RawIOBase):
    """What is in a compressed file, in bounded memory; several members or frames are one after the other.

    Arrow's stream raises where the file breaks off or goes on with something else; it knows nothing of places.
    """

    def __init__(self, file: BinaryIO, *, name: str, kind: Compression, is_text: bool) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(cast("io.IOBase", file)), kind)
        self._name, self._kind, self._is_text = name, kind, is_text
        self._num_bytes, self._num_lines = 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        try:
            content = self._stream.read(min(len(view), _PIECE_BYTES))
        except (OSError, pa.ArrowException) as error:
            raise self._refusal(str(error)) from None
        view[: len(content)] = content
        self._num_bytes += len(content)
        self._num_lines += content.count(b"\n") if self._is_text else 0
        return len(content)

    def _refusal(self, problem: str) -> DataError:
        return DataError(
            f"the file cannot be read as {self._kind}",
            place=f"{self._name}:{self._num_lines + 1}" if self._is_text else self._name,
            value=f"{problem.splitlines()[0]}, after {self._num_bytes:,} bytes of content",
            remedy="is it complete, nothing added at its end, and does its suffix say what it is?",
        )


def decompressed(file: BinaryIO, *, name: str, kind: Compression, is_text: bool) -> BinaryIO:
    """The content of a compressed file.

    Args:
        file: The open file.
        name: Its name, for messages.
        kind: How it is compressed.
        is_text: Whether lines can be counted in it.

    Returns:
        A file; reading raises DataError where it is damaged, cut short, or goes on with something else.
    """
    return io.BufferedReader(_Decompressed(file, name=name, kind=kind, is_text=is_text), _PIECE_BYTES)


@contextmanager
def unpacked(path: Path, *, kind: Compression) -> Iterator[Path]:
    """The content of a compressed file as a temporary file, for formats that are read from their end.

    Raises:
        DataError: The file is damaged, cut short, or goes on with something else.
        OSError: The folder for temporary files has no room for it.
    """
    with tempfile.NamedTemporaryFile(prefix="assay-unpacked-") as room:
        with path.open("rb") as file, decompressed(file, name=path.name, kind=kind, is_text=False) as content:
            while piece := content.read(_PIECE_BYTES):
                room.write(piece)
        room.flush()
        yield Path(room.name)


def require_no_compression(head: bytes, *, name: str) -> None:
    """Refuses a file that is compressed though its name does not say so.

    Raises:
        DataError: With the suffix that it should have.
    """
    for mark, suffix in _MARKS.items():
        if head.startswith(mark):
            raise DataError(
                f"the file is compressed with {SUFFIXES[suffix]}",
                place=name,
                value=f"bytes {mark.hex(' ')}",
                remedy=f"end its name in {suffix}",
            )
