"""Guesses from Parquet and Arrow files: from their schema, and the shapes of tensors from the first rows."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.evaluator.data.infer.guess import BOOL, FLOAT, INT, Guess
from assay.evaluator.data.ingest.compression import unpacked
from assay.evaluator.data.ingest.source import format_of
from assay.evaluator.errors import DataError


def guesses_of_arrow(path: Path, kind: str) -> dict[str, Guess]:
    """The columns of a Parquet or Arrow file, with a guess for each.

    Args:
        path: The file.
        kind: Its format, `parquet` or `ipc`.

    Raises:
        DataError: The file cannot be read.
    """
    compression = format_of(path)[1]
    try:
        with unpacked(path, kind=compression) if compression else nullcontext(path) as plain:
            schema, head = _parquet_head(plain) if kind == "parquet" else _ipc_head(plain)
    except (pa.ArrowException, OSError) as error:
        raise DataError("the file cannot be read", place=path.name, value=str(error).splitlines()[0]) from None
    return {field.name: _of_field(field.type, None if head is None else head.column(field.name)) for field in schema}


def _parquet_head(path: Path) -> tuple[pa.Schema, Any]:
    with pq.ParquetFile(path) as file:
        return file.schema_arrow, next(file.iter_batches(batch_size=100), None)


def _ipc_head(path: Path) -> tuple[pa.Schema, Any]:
    with pa.memory_map(str(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if not is_file:
            stream = pa.ipc.open_stream(source)
            return stream.schema, next(iter(stream), None)
        file = pa.ipc.open_file(source)
        return file.schema, file.get_batch(0) if file.num_record_batches else None


def _of_field(kind: Any, head: Any) -> Guess:
    if isinstance(kind, pa.FixedShapeTensorType):
        return Guess(_scalar(kind.value_type, is_element=True), tuple(kind.shape))
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    shape: list[int] = []
    values = cast("Any", None if head is None else head.drop_null())
    is_tensor = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = [] if values is None else pc.unique(pc.list_value_length(values)).to_pylist()
        if values is None or len(lengths) != 1 or not lengths[0]:
            return Guess("", note="lists of different lengths, or empty lists")
        shape.append(lengths[0])
        values, kind = values.flatten(), kind.value_type
    guess = _scalar(kind, is_element=is_tensor)
    if not guess or (shape and guess in ("string", "date", "timestamp")):
        return Guess("", note=f"a contract has no type for {kind}")
    return Guess(guess, tuple(shape), note="missing in every row" if pa.types.is_null(kind) else "")


def _scalar(kind: Any, *, is_element: bool) -> str:
    if pa.types.is_integer(kind):
        return str(kind) if is_element and kind != pa.uint64() else INT
    if pa.types.is_floating(kind):
        return FLOAT if kind == pa.float64() else "float32"
    if pa.types.is_boolean(kind):
        return BOOL
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date" if pa.types.is_date(kind) else "timestamp"
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "string" if is_text or pa.types.is_null(kind) else ""
