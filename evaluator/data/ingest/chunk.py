"""Chunk: consecutive rows of one file, typed, with their places and with what could not be read."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.ingest.arrow_schema import arrow_schema
from assay.evaluator.errors import DataError
from assay.manifests.column import FrozenColumn


@dataclass(frozen=True)
class Origin:
    """The position of the rows of a chunk in their file.

    Attributes:
        file: The file's name, without its folder.
        unit: `line` in text files, `row` in binary ones; both count from 1.
        first: The line or row number of the first row.
        steps: Distance of each row from `first`, shape (rows,); None where each row takes one line, which is the
            usual case and needs no memory.
    """

    file: str
    unit: Literal["line", "row"]
    first: int
    steps: npt.NDArray[np.int32] | None = None

    def number(self, row: int) -> int:
        """The line or row number of the chunk's `row`."""
        return self.first + (row if self.steps is None else int(self.steps[row]))

    def place(self, number: int) -> str:
        """The place of a line or row number, such as `digits.csv:12` or `digits.parquet row 12`."""
        return f"{self.file}:{number}" if self.unit == "line" else f"{self.file} row {number}"


@dataclass(frozen=True)
class Refusal:
    """One cell of a column that cannot be converted.

    Attributes:
        row: The row within the column.
        problem: What is wrong, in words.
        value: The value of the cell.
        bound: What would be accepted.
        remedy: What to do about it.
    """

    row: int
    problem: str
    value: Any
    bound: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Converted:
    """A column in its frozen type.

    Attributes:
        array: The values. A null is a cell that was null; the value of a refused cell is arbitrary.
        refusals: The cells that could not be converted, in row order.
    """

    array: pa.Array
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Offence:
    """Something in the rows that prevents them from being frozen.

    Attributes:
        number: The line or row number in the file.
        place: The file and the number as text, such as `digits.csv:12`.
        column: The column's name; empty if the whole row is at fault.
        problem: What is wrong, in words.
        value: The offending value; None if there is nothing to show.
        bound: What would be accepted.
        remedy: What to do about it.
    """

    number: int
    place: str
    column: str
    problem: str
    value: Any = None
    bound: str = ""
    remedy: str = ""

    def error(self, *, remedy: str = "") -> DataError:
        """The offence as an error.

        Args:
            remedy: What to do, for an offence without its own remedy.
        """
        return DataError(
            self.problem,
            place=self.place,
            field=self.column,
            value=self.value,
            bound=self.bound,
            remedy=self.remedy or remedy,
        )


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file.

    Attributes:
        table: The contract's frozen columns in their types.
        origin: The position of the rows.
        offences: What could not be read. If there are any, the table is only used to find further offences.
    """

    table: pa.Table
    origin: Origin
    offences: tuple[Offence, ...] = ()


def one_array(column: pa.ChunkedArray) -> Any:
    """A column as one array; without a copy if it is one already, which is the usual case."""
    if column.num_chunks == 1:
        return column.chunk(0)
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def chunk_of(
    converted: dict[str, Converted],
    *,
    columns: tuple[FrozenColumn, ...],
    origin: Origin,
    offences: tuple[Offence, ...] = (),
) -> Chunk:
    """Combines converted columns into a chunk, and gives each refused cell its place."""
    refused = [
        Offence(
            number := origin.number(refusal.row),
            origin.place(number),
            name,
            refusal.problem,
            refusal.value,
            refusal.bound,
            refusal.remedy,
        )
        for name, column in converted.items()
        for refusal in column.refusals
    ]
    schema = arrow_schema(columns)
    table = pa.Table.from_arrays([converted[name].array for name in schema.names], schema=schema)
    return Chunk(table, origin, (*offences, *refused))
