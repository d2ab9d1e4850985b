"""Invariants: conditions across the columns of a row, evaluated by a DuckDB that can access nothing but the rows."""

from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.check.condition import Condition, condition
from assay.evaluator.data.check.tally import NUM_NAMED, Tally
from assay.evaluator.data.ingest import Chunk, Offence
from assay.evaluator.data.ingest.arrow_schema import arrow_type
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract
from assay.manifests.errors import shortened


class Invariants:
    """The invariants of a contract, validated before any row is read."""

    def __init__(self, contract: Contract) -> None:
        """Validates the invariants.

        Raises:
            DataError: One is not a single condition over the contract's columns, or its types do not fit.
        """
        self._conditions: list[Condition] = []
        self.tallies: list[Tally] = []
        if not contract.invariants:
            return
        self._connection = locked_connection()
        self._conditions = [
            condition(each, columns=contract.columns, connection=self._connection) for each in contract.invariants
        ]
        self.tallies = [
            Tally(each.name, severity=each.severity, bound=shortened(" ".join(each.sql.split()), limit=200))
            for each in contract.invariants
        ]
        used = {name for each in self._conditions for name in each.columns}
        self._used = [(at, column) for at, column in enumerate(contract.columns) if column.name in used]
        empty = pa.table({"#": pa.array([], pa.bool_()), **{
            f"c{at}": pa.array([], _plain_type(arrow_type(column))) for at, column in self._used
        }})  # fmt: skip
        for each in self._conditions:
            self._require_bool(each, empty)

    def take(self, chunk: Chunk, *, is_readable: npt.NDArray[np.bool_] | None) -> list[Offence]:
        """Checks the next rows.

        Args:
            chunk: The rows.
            is_readable: Which of them could be read in full, shape (rows,); None: all.

        Returns:
            The first few offences of every invariant of severity `error`.
        """
        num_rows = chunk.table.num_rows
        if not self._conditions or not num_rows:
            return []
        rows = self._rows(chunk.table)
        # A condition that is null is not violated, and TRY turns an error on a value into null: null means an error.
        expressions = ", ".join(f"TRY(COALESCE({each.sql}, true)) AS k{at}" for at, each in enumerate(self._conditions))
        results = self._evaluate(expressions, rows)
        offences: list[Offence] = []
        num_checked = num_rows if is_readable is None else int(is_readable.sum())
        for at, (each, tally) in enumerate(zip(self._conditions, self.tallies, strict=True)):
            result: Any = results[f"k{at}"]
            holds = result.fill_null(False).to_numpy()
            broken = ~holds if is_readable is None else ~holds & is_readable
            named = [self._offence(int(row), each, chunk, rows) for row in np.flatnonzero(broken)[:NUM_NAMED]]
            tally.add(num_checked=num_checked, num_broken=int(broken.sum()), offences=named)
            offences += named if tally.severity == "error" else []
        return offences

    def _rows(self, table: pa.Table) -> pa.Table:
        arrays: dict[str, Any] = {
            "#": pa.array(np.zeros(table.num_rows, bool))
        }  # rows for conditions that name no column
        for at, column in self._used:
            arrays[f"c{at}"] = table[column.name].cast(_plain_type(arrow_type(column)))
        return pa.table(arrays)

    def _evaluate(self, expressions: str, rows: pa.Table) -> pa.Table:
        self._connection.register("chunk", rows)
        try:
            return self._connection.sql(f"SELECT {expressions} FROM chunk").to_arrow_table()  # noqa: S608  # validated
        finally:
            self._connection.unregister("chunk")

    def _offence(self, row: int, each: Condition, chunk: Chunk, rows: pa.Table) -> Offence:
        number = chunk.origin.number(row)
        values = ", ".join(f"{name} = {_shown(chunk.table[name][row].as_py())}" for name in each.columns)
        problem = f"the invariant '{each.invariant.name}' is violated"
        try:
            self._evaluate(each.sql, rows.slice(row, 1))
            remedy = ""
        except duckdb.Error as error:
            remedy = f"its evaluation failed: {first_line(error)}"
        bound = shortened(" ".join(each.invariant.sql.split()), limit=200)
        return Offence(number, chunk.origin.place(number), "", problem, values, bound, remedy)

    def _require_bool(self, each: Condition, empty: pa.Table) -> None:
        try:
            result_type = self._evaluate(each.sql, empty).schema.types[0]
        except duckdb.Error as error:
            raise _refused(each, f"its types do not fit ({first_line(error)})") from None
        if result_type != pa.bool_():
            raise _refused(each, f"this is not a condition: its values are of type {result_type}, not bool")


def locked_connection() -> duckdb.DuckDBPyConnection:
    """An in-memory database that reads no files, loads no extensions and whose settings cannot be changed."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": "256MB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")  # names never refer to Python variables
    connection.execute("SET lock_configuration = true")
    return connection


def first_line(error: Exception) -> str:
    """The first line of DuckDB's message, without the kind of error."""
    return str(error).splitlines()[0].partition(": ")[2] or str(error)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type as conditions see it: timestamps are UTC without a zone, so that no time zone setting affects them."""
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind


def _shown(value: object) -> str:
    return "null" if value is None else shortened(value, limit=40)


def _refused(each: Condition, problem: str) -> DataError:
    return DataError(problem, field=f"invariants.{each.invariant.name}", value=each.invariant.sql)
