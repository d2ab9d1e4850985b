"""Arrow schema: the type that each column of a contract is frozen as, and the columns that a file must have."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from assay.evaluator.errors import DataError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import Contract
from assay.manifests.errors import did_you_mean

AnyArray = Any
"""An Arrow array; `AnyType` is its type. Arrow's stubs lack the methods of the specific kinds of either."""
AnyType = Any

UNKNOWN_COLUMN = "the contract has no such column"
MISSING_COLUMN = "the column is missing"
"""Problems with columns; callers that read files more leniently recognise them by this text."""

SCALARS: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}
"""The Arrow type of one value, by its name in a contract."""


def arrow_type(column: FrozenColumn) -> pa.DataType:
    """The type of a frozen column: a scalar, or a fixed-shape tensor that NumPy and torch read without a copy."""
    element = SCALARS[column.type]
    return pa.fixed_shape_tensor(element, column.shape) if column.shape else element


def written_type(column: FrozenColumn) -> pa.DataType:
    """The type of a plain value of a column in JSON, which writes dates and timestamps as strings."""
    return pa.string() if column.type in ("date", "timestamp") else SCALARS[column.type]


def value_bytes(column: FrozenColumn, *, text_bytes: int) -> int:
    """The bytes that a value takes in memory; a text of `text_bytes` UTF-8 bytes includes its offset."""
    if column.type == "string":
        return 4 + text_bytes
    return math.prod(column.shape) * max(1, SCALARS[column.type].bit_width // 8)


def arrow_schema(columns: Iterable[FrozenColumn]) -> pa.Schema:
    """The schema of the frozen rows, in the order of the columns."""
    return pa.schema([(column.name, arrow_type(column)) for column in columns])


def require_columns(names: Sequence[str], *, contract: Contract, place: str, remedy: str = "") -> None:
    """Refuses a file whose columns are not those of the contract; they may come in any order.

    Args:
        names: The names of the file's columns, in its order.
        contract: The contract. Columns that it ignores may be absent.
        place: The file, and the line of its header.
        remedy: What to do; empty: the nearest name is suggested.

    Raises:
        DataError: A name occurs twice, is unknown to the contract, or is missing.
    """
    expected = [column.name for column in contract.columns]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise DataError("the column occurs twice", place=place, field=name, remedy="keep one of them")
    for name in names:
        if name not in expected:
            raise DataError(
                UNKNOWN_COLUMN, place=place, field=name or "''", remedy=remedy or _for_unknown(name, names, expected)
            )
    for column in contract.frozen_columns:
        if column.name not in names:
            raise DataError(
                MISSING_COLUMN,
                place=place,
                field=column.name,
                bound=", ".join(expected),
                remedy=remedy or f"columns of the file: {', '.join(names)}",
            )


def _for_unknown(name: str, names: Sequence[str], expected: Sequence[str]) -> str:
    """What to do about a column of a file that the contract does not have."""
    absent = [other for other in expected if other not in names]
    near = did_you_mean(name, absent or list(expected))
    if not near.startswith("did you mean") and absent:
        near = f"columns of the contract that the file lacks: {', '.join(absent)}"
    return f"{near}; rename the column, or list it in the contract with role: ignored to leave it out"
