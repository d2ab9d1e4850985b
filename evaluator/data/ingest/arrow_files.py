"""Arrow files: Parquet and Arrow IPC (file and stream form), read a few thousand rows at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator.data.ingest import tensors
from assay.evaluator.data.ingest.arrow_schema import AnyType, arrow_type, require_columns, value_bytes
from assay.evaluator.data.ingest.arrow_values import acceptable, from_arrow
from assay.evaluator.data.ingest.chunk import Chunk, Converted, Origin, chunk_of
from assay.evaluator.errors import DataError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import Contract

_CHUNK_BYTES = 1 << 23
_TEXT_BYTES = 256
_MAX_CHUNK_ROWS = 1 << 16
_IPC_FILE_MARK = b"ARROW1"
_FEATHER_V1_MARK = b"FEA1"


def parquet_chunks(path: Path, *, name: str, contract: Contract) -> Iterator[Chunk]:
    """Reads a Parquet file, row group by row group; error messages call it `name`.

    Raises:
        DataError: It is not Parquet, is damaged, or its columns are not those of the contract.
    """
    try:
        with pq.ParquetFile(path) as file:
            _require_schema(file.schema_arrow, contract, name)
            wanted = [column.name for column in contract.frozen_columns]
            batches = file.iter_batches(batch_size=_chunk_rows(contract), columns=wanted)
            yield from _chunks(batches, contract, name)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, "Parquet", error) from None


def ipc_chunks(path: Path, *, name: str, contract: Contract) -> Iterator[Chunk]:
    """Reads an Arrow IPC file or stream, memory-mapped; error messages call it `name`.

    Raises:
        DataError: It is not Arrow IPC, is damaged, or its columns are not those of the contract.
    """
    try:
        with pa.memory_map(str(path)) as mapped:
            mark = mapped.read(len(_IPC_FILE_MARK))
            if mark.startswith(_FEATHER_V1_MARK):
                raise DataError("Feather version 1 is not supported", place=name, remedy="write it as version 2")
            mapped.seek(0)
            batches, schema = _opened(mapped, is_file=mark == _IPC_FILE_MARK)
            _require_schema(schema, contract, name)
            yield from _chunks(batches, contract, name)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, "Arrow IPC", error) from None


def _opened(mapped: pa.MemoryMappedFile, *, is_file: bool) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
    if not is_file:
        stream = pa.ipc.open_stream(mapped)
        return iter(stream), stream.schema
    file = pa.ipc.open_file(mapped)
    return (file.get_batch(index) for index in range(file.num_record_batches)), file.schema


def _unreadable(name: str, kind: str, error: Exception) -> DataError:
    return DataError(
        f"the file cannot be read as {kind}",
        place=name,
        value=str(error).split("\n", maxsplit=1)[0],
        remedy="is the file complete, and does its suffix match its format?",
    )


def _require_schema(schema: pa.Schema, contract: Contract, name: str) -> None:
    require_columns(schema.names, contract=contract, place=name)
    for column in contract.read_columns:
        actual = schema.field(column.name).type
        if column.type == "timestamp" and _has_no_zone(actual) and not column.is_utc_without_zone:
            raise DataError(
                "timestamps without a time zone",
                place=f"{name} row 1",
                field=column.name,
                value=str(actual),
                bound="timestamps with a time zone",
                remedy="store them with their time zone; if all of them are in UTC, declare that with a format in the "
                "contract: '%Y-%m-%dT%H:%M:%S'",
            )
        fits = (
            tensors.acceptable_tensor(actual, column=column)
            if column.shape
            else acceptable(actual, type_name=column.type)
        )
        if not fits:
            raise DataError(
                "the column has another type",
                place=f"{name} row 1",
                field=column.name,
                value=str(actual),
                bound=f"{column.type}, or a type that converts to it without loss"
                if not column.shape
                else f"{arrow_type(column)}, or lists of that shape",
                remedy="declare the actual type in the contract, or convert the column first",
            )


def _has_no_zone(actual: AnyType) -> bool:
    actual = actual.value_type if pa.types.is_dictionary(actual) else actual
    return pa.types.is_timestamp(actual) and actual.tz is None


def _chunk_rows(contract: Contract) -> int:
    """The number of rows that take a few megabytes; it depends on the contract only."""
    row_bytes = sum(value_bytes(column, text_bytes=_TEXT_BYTES) for column in contract.frozen_columns)
    return max(1, min(_MAX_CHUNK_ROWS, _CHUNK_BYTES // row_bytes))


def _chunks(batches: Iterator[pa.RecordBatch], contract: Contract, name: str) -> Iterator[Chunk]:
    columns, chunk_rows = contract.frozen_columns, _chunk_rows(contract)
    first = 1
    for batch in batches:
        for start in range(0, batch.num_rows, chunk_rows):
            piece = batch.slice(start, chunk_rows)
            converted = {column.name: _typed(piece.column(column.name), column) for column in columns}
            yield chunk_of(converted, columns=columns, origin=Origin(name, "row", first))
            first += piece.num_rows


def _typed(array: pa.Array, column: FrozenColumn) -> Converted:
    if not column.shape:
        return from_arrow(array, type_name=column.type)
    return tensors.from_lists(array, column=column)
