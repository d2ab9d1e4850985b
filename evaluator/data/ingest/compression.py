"""Compression: the content of gzip and zstd files as streams; a truncated or damaged file is refused."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, cast

import pyarrow as pa

from assay.evaluator.errors import DataError
from assay.evaluator.storage.file_errors import file_errors

Compression = Literal["gzip", "zstd"]
SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
"""How a file is compressed, by the last of its suffixes."""
_MARKS: dict[bytes, str] = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_PIECE_BYTES = 1 << 20


class _Decompressed(io.RawIOBase):
    """The content of a compressed file, in bounded memory; several members or frames are concatenated.

    Arrow's stream raises where the file is truncated or continues with something else; this class adds the place.
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
            remedy="is the file complete, with nothing appended, and does its suffix match its compression?",
        )


def decompressed(file: BinaryIO, *, name: str, kind: Compression, is_text: bool) -> BinaryIO:
    """The content of a compressed file.

    Args:
        file: The open file.
        name: Its name, for messages.
        kind: How it is compressed.
        is_text: Whether its lines can be counted, for messages.

    Returns:
        A file; reading it raises DataError where it is damaged, truncated, or continues with something else.
    """
    return io.BufferedReader(_Decompressed(file, name=name, kind=kind, is_text=is_text), _PIECE_BYTES)


@contextmanager
def unpacked(path: Path, *, kind: Compression) -> Iterator[Path]:
    """The content of a compressed file as a temporary file, for formats that need random access.

    Raises:
        DataError: The file is damaged, truncated, or continues with something else.
        StoreError: The folder for temporary files has no room for it.
    """
    with file_errors("written", tempfile.gettempdir()):
        room = tempfile.NamedTemporaryFile(prefix="assay-unpacked-")  # noqa: SIM115  # closed below
    with room:
        with path.open("rb") as file, decompressed(file, name=path.name, kind=kind, is_text=False) as content:
            while piece := content.read(_PIECE_BYTES):
                with file_errors("written", tempfile.gettempdir()):
                    room.write(piece)
        with file_errors("written", tempfile.gettempdir()):
            room.flush()
        yield Path(room.name)


def require_no_compression(head: bytes, *, name: str) -> None:
    """Refuses a file that is compressed although its name does not say so.

    Raises:
        DataError: It is compressed; the error names the suffix that it should have.
    """
    for mark, suffix in _MARKS.items():
        if head.startswith(mark):
            raise DataError(
                f"the file is compressed with {SUFFIXES[suffix]}",
                place=name,
                value=f"bytes {mark.hex(' ')}",
                remedy=f"end its name in {suffix}",
            )
