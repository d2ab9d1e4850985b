"""Source: a file of rows, whose suffixes determine its format and compression."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest.arrow_files import ipc_chunks, parquet_chunks
from assay.evaluator.data.ingest.changes import Changes
from assay.evaluator.data.ingest.chunk import Chunk
from assay.evaluator.data.ingest.compression import (
    SUFFIXES,
    Compression,
    decompressed,
    require_no_compression,
    unpacked,
)
from assay.evaluator.data.ingest.delimited import delimited_chunks
from assay.evaluator.data.ingest.encoding import as_utf8
from assay.evaluator.data.ingest.json_lines import json_lines_chunks
from assay.evaluator.errors import DataError
from assay.evaluator.storage.file_errors import described, shown
from assay.manifests.contract import Contract, Encoding
from assay.manifests.errors import did_you_mean

Format = Literal["csv", "tsv", "jsonl", "parquet", "ipc"]

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
}
"""The format of a file by its suffix, which one of `compression.SUFFIXES` may follow."""


def format_of(path: Path) -> tuple[Format, Compression | None]:
    """The format of a file, and how it is compressed.

    Raises:
        DataError: Its suffixes do not name a supported format.
    """
    compression = SUFFIXES.get(path.suffix.lower())
    suffix = (path.with_suffix("") if compression else path).suffix
    if suffix.lower() not in FORMATS:
        raise DataError(
            "unsupported file format",
            place=str(path),
            value=suffix + path.suffix * bool(compression) if suffix or compression else "no suffix",
            bound=f"{', '.join(FORMATS)}, each optionally followed by {' or '.join(SUFFIXES)}",
        )
    return FORMATS[suffix.lower()], compression


def is_delimited(path: Path) -> bool:
    """Whether a file is csv or tsv, compressed or not."""
    return format_of(path)[0] in ("csv", "tsv")


def read_chunks(
    path: str | Path,
    *,
    contract: Contract,
    changes: Changes | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Iterator[Chunk]:
    """Reads a file as a stream of typed chunks; memory does not grow with the file.

    Args:
        path: A file whose suffix is one of `FORMATS`, plain or compressed.
        contract: The columns, their types, and the encoding of text files.
        changes: Records what was changed while reading.
        on_bytes: Called after each chunk with the approximate number of bytes read so far; for a progress bar.

    Raises:
        DataError: The file is missing, empty or not of its format, or its columns are not those of the contract.
    """
    path, changes = Path(path), changes or Changes()
    require_source(path)
    has_rows = False
    try:
        for chunk in _chunks(path, contract, changes, on_bytes):
            has_rows = has_rows or chunk.table.num_rows > 0 or bool(chunk.offences)
            yield _composed(chunk, changes) if contract.unicode == "nfc" else chunk
    except OSError as error:
        raise unreadable(path, error) from error
    if not has_rows:
        raise DataError("the file has no rows" + " below its header" * is_delimited(path), place=path.name)


def require_source(path: Path) -> None:
    """Refuses a path that is not a file of a supported format, cannot be read, or is empty.

    Raises:
        DataError: It is missing (the error suggests the nearest file name), a folder, empty, or of no supported format.
    """
    format_of(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise DataError("this is a folder", place=str(path), remedy="name its files, in the order of the rows")
        if not stat.S_ISREG(status.st_mode):  # reading it might never end
            raise DataError(
                "this is a pipe or a device, not a file", place=str(path), remedy="write its rows to a file"
            )
        path.open("rb").close()
    except FileNotFoundError:
        siblings = sorted(other.name for other in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        raise DataError("no such file", place=str(path), remedy=did_you_mean(path.name, siblings)) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if status.st_size == 0:
        raise DataError("the file is empty", place=str(path))


def unreadable(path: Path, error: OSError | ValueError) -> DataError:
    """The error for a source that the file system does not let this process read."""
    return DataError(f"the file cannot be read: {described(error)}", place=shown(path))


def _chunks(path: Path, contract: Contract, changes: Changes, on_bytes: Callable[[int], None]) -> Iterator[Chunk]:
    kind, compression = format_of(path)
    with path.open("rb") as file:
        if compression:
            changes.add(f"files decompressed from {compression}")
        else:
            require_no_compression(file.read(4), name=path.name)
            file.seek(0)
        if kind not in ("parquet", "ipc"):
            for chunk in _text_chunks(file, path.name, kind, compression, contract, changes):
                yield chunk
                on_bytes(file.tell())
        elif compression:
            with unpacked(path, kind=compression) as content:
                yield from _arrow_chunks(content, path.name, kind, contract, on_bytes)
        else:
            yield from _arrow_chunks(path, path.name, kind, contract, on_bytes)


def _arrow_chunks(
    path: Path, name: str, kind: Format, contract: Contract, on_bytes: Callable[[int], None]
) -> Iterator[Chunk]:
    chunks = parquet_chunks if kind == "parquet" else ipc_chunks
    size_bytes, read_bytes = path.stat().st_size, 0
    for chunk in chunks(path, name=name, contract=contract):
        yield chunk
        read_bytes += chunk.table.nbytes  # the size in memory stands in for the size in the file
        on_bytes(min(read_bytes, size_bytes))
    on_bytes(size_bytes)


def _text_chunks(
    file: BinaryIO, name: str, kind: Format, compression: Compression | None, contract: Contract, changes: Changes
) -> Iterator[Chunk]:
    file = utf8_text(file, name=name, compression=compression, encoding=contract.encoding)
    if contract.encoding != "utf-8":
        changes.add(f"files decoded from {contract.encoding} to UTF-8")
    if kind == "jsonl":
        yield from json_lines_chunks(file, name=name, contract=contract, changes=changes)
        return
    delimiter = "," if kind == "csv" else "\t"
    yield from delimited_chunks(file, name=name, contract=contract, delimiter=delimiter, changes=changes)


def utf8_text(file: BinaryIO, *, name: str, compression: Compression | None, encoding: Encoding) -> BinaryIO:
    """An open text file as plain UTF-8."""
    if compression:
        file = decompressed(file, name=name, kind=compression, is_text=encoding != "utf-16")
    return file if encoding == "utf-8" else as_utf8(file, name=name, encoding=encoding)


def _composed(chunk: Chunk, changes: Changes) -> Chunk:
    """The chunk with its texts normalised to Unicode NFC."""
    table = chunk.table
    for index, field in enumerate(table.schema):
        texts = table.column(index)
        if not pa.types.is_string(field.type) or pc.all(pc.string_is_ascii(texts), min_count=0).as_py():
            continue
        composed = pc.call_function("utf8_normalize", [texts], pc.Utf8NormalizeOptions("NFC"))
        is_changed = pc.not_equal(composed, texts).fill_null(False).to_numpy()
        changes.add(f"texts of column '{field.name}' normalised to Unicode NFC", count=int(is_changed.sum()))
        table = table.set_column(index, field, composed)
    return replace(chunk, table=table)
