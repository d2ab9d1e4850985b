"""Source: a file of rows, its format told by its suffix."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from evaluator.data.ingest.arrow_files import ipc_chunks, parquet_chunks
from evaluator.data.ingest.chunk import Chunk
from evaluator.data.ingest.delimited import delimited_chunks
from evaluator.data.ingest.json_lines import json_lines_chunks
from evaluator.errors import DataError
from manifests.contract import Contract
from manifests.errors import did_you_mean

FORMATS: dict[str, Literal["csv", "tsv", "jsonl", "parquet", "ipc"]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
}
"""The format of a file, by its suffix."""


def read_chunks(
    path: str | Path, *, contract: Contract, on_bytes: Callable[[int], None] | None = None
) -> Iterator[Chunk]:
    """Reads a file as a stream of typed chunks; memory does not grow with the file.

    Args:
        path: A file whose suffix is one of `FORMATS`.
        contract: Which columns there are, and their types.
        on_bytes: Told after each chunk about how many of the file's bytes have been read; for a bar, not for sums.

    Raises:
        DataError: The file is missing, empty, not of its format, or its columns are not those of the contract.
    """
    path = Path(path)
    require_source(path)
    has_rows = False
    for chunk in _chunks(path, contract, on_bytes or _deaf):
        has_rows = has_rows or chunk.table.num_rows > 0 or bool(chunk.offences)
        yield chunk
    if not has_rows:
        is_table = FORMATS[path.suffix.lower()] in ("csv", "tsv")
        raise DataError("the file has no rows" + " below its header" * is_table, place=path.name)


def require_source(path: Path) -> None:
    """Refuses what is not a file of a known format, or is empty.

    Raises:
        DataError: With the nearest file name, if the file is missing.
    """
    if path.suffix.lower() not in FORMATS:
        raise DataError("no such format", place=str(path), value=path.suffix or "no suffix", bound=", ".join(FORMATS))
    if path.is_dir():
        raise DataError("this is a folder", place=str(path), remedy="name the files in it, in the order of the rows")
    try:
        is_empty = path.stat().st_size == 0
    except FileNotFoundError:
        beside = sorted(other.name for other in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        raise DataError("no such file", place=str(path), remedy=did_you_mean(path.name, beside)) from None
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", place=str(path)) from None
    if is_empty:
        raise DataError("the file is empty", place=str(path))


def _deaf(_: int) -> None:
    pass


def _chunks(path: Path, contract: Contract, on_bytes: Callable[[int], None]) -> Iterator[Chunk]:
    match FORMATS[path.suffix.lower()]:
        case "parquet":
            yield from _followed(parquet_chunks(path, contract=contract), path, on_bytes)
        case "ipc":
            yield from _followed(ipc_chunks(path, contract=contract), path, on_bytes)
        case kind:
            try:
                file = path.open("rb")
            except OSError as error:
                raise DataError(f"the file cannot be read ({error.strerror})", place=str(path)) from None
            with file:
                if kind == "jsonl":
                    chunks = json_lines_chunks(file, name=path.name, contract=contract)
                else:
                    delimiter = "," if kind == "csv" else "\t"
                    chunks = delimited_chunks(file, name=path.name, contract=contract, delimiter=delimiter)
                for chunk in chunks:
                    yield chunk
                    on_bytes(file.tell())


def _followed(chunks: Iterator[Chunk], path: Path, on_bytes: Callable[[int], None]) -> Iterator[Chunk]:
    """Chunks of a binary file: what they hold in memory stands for what they took of the file."""
    size_bytes, read_bytes = path.stat().st_size, 0
    for chunk in chunks:
        yield chunk
        read_bytes += chunk.table.nbytes
        on_bytes(min(read_bytes, size_bytes))
    on_bytes(size_bytes)
