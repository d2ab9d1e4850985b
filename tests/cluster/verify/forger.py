"""Edits a committed run in a folder as somebody would who knows the ledger: every digest and size fits afterwards.

So do the log's entries. Only a seal of the log that is kept elsewhere shows that they were written again.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.ledger.receipt import RECEIPT_METADATA
from assay.evaluator.ledger.schema import COMMITS, SCHEMAS
from assay.evaluator.ledger.writer import parquet_bytes
from assay.manifests.ledger_layout import LAYOUT, Table, commit_key, run_key, table_key, unit_key
from assay.manifests.run import seal_of
from tests import damage
from tests.damage import with_column
from tests.forged_log import rewrite_log


class Forger:
    """Edits one committed run of a ledger in a folder."""

    def __init__(self, ledger: Path, run_id: str) -> None:
        self.ledger, self.run_id = ledger, run_id

    def key(self, table: Table) -> str:
        """The key of the run's file of a table other than `scores`."""
        (path,) = (row["path"] for row in self._commit_rows() if row["table"] == table)
        return f"{LAYOUT}/{path}"

    def unit_key(self, arm: str, unit: int = 0) -> str:
        """The key of a unit's file."""
        return unit_key(self.run_id, arm, unit)

    def read(self, key: str) -> pa.Table:
        """The rows of a file, with its metadata."""
        return pq.read_table(pa.BufferReader((self.ledger / key).read_bytes()))

    def receipt(self, key: str) -> dict[str, Any]:
        """The receipt in a unit's file."""
        return json.loads(self.read(key).schema.metadata[RECEIPT_METADATA])

    def edit_table(self, table: Table, change: Callable[[pa.Table], pa.Table]) -> str:
        """Replaces a table's file by one with changed rows; returns its new key."""
        before = self.key(table)
        content = parquet_bytes(change(self.read(before)).cast(SCHEMAS[table]))
        (self.ledger / before).unlink()
        after = table_key(table, self.run_id, fingerprint.sha256_digest(content))
        (self.ledger / after).write_bytes(content.to_pybytes())
        rows = [row if row["path"] != _path(before) else {**row, "path": _path(after)} for row in self._commit_rows()]
        self.refit(rows)
        return after

    def edit_unit(
        self,
        key: str,
        change: Callable[[pa.Table], pa.Table] = lambda rows: rows,
        receipt: Callable[[dict[str, Any]], None] = lambda receipt: None,
    ) -> str:
        """Replaces a unit's file by one with changed rows or another receipt; returns its key."""
        path = self.ledger / key
        path.write_bytes(damage.forged(path.read_bytes(), table=change, receipt=receipt))
        self.refit()
        return key

    def edit_record(self, change: Callable[[dict[str, Any]], None]) -> str:
        """Changes the run's record in place; returns its key."""
        path = self.ledger / run_key(self.run_id)
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps({**record, "seal": seal_of(record)}))
        self.refit()
        return run_key(self.run_id)

    def refit(self, rows: list[dict[str, Any]] | None = None) -> None:
        """Writes the commit record again, with the digests, sizes and numbers of rows of the files as they are now."""
        record = fingerprint.sha256_digest((self.ledger / run_key(self.run_id)).read_bytes())
        fitting = []
        for row in self._commit_rows() if rows is None else rows:
            content = (self.ledger / LAYOUT / row["path"]).read_bytes()
            num_rows = pq.read_metadata(pa.BufferReader(content)).num_rows
            digest = fingerprint.sha256_digest(content)
            fitting.append(
                {**row, "sha256": digest, "size_bytes": len(content), "num_rows": num_rows, "record_digest": record}
            )
        fitting.sort(key=lambda row: row["path"])
        content = parquet_bytes(pa.Table.from_pylist(fitting, schema=COMMITS))
        (self.ledger / commit_key(self.run_id)).write_bytes(content.to_pybytes())
        rewrite_log(self.ledger / LAYOUT)
        shutil.rmtree(self.ledger / LAYOUT / "index", ignore_errors=True)

    def _commit_rows(self) -> list[dict[str, Any]]:
        return pq.read_table(pa.BufferReader((self.ledger / commit_key(self.run_id)).read_bytes())).to_pylist()

    def unlist(self, keys: set[str]) -> None:
        """Removes files from the commit record and from the ledger."""
        for key in keys:
            (self.ledger / key).unlink()
        self.refit([row for row in self._commit_rows() if f"{LAYOUT}/{row['path']}" not in keys])

    def list_also(self, key: str) -> None:
        """Adds a score file to the commit record."""
        rows = self._commit_rows()
        self.refit([*rows, {**rows[0], "table": "scores", "path": _path(key)}])


def another_value(rows: pa.Table, name: str) -> pa.Table:
    """The rows with another value in the first row of a column; where a value is allowed and none is, a first one."""
    values = rows[name].to_pylist()
    place = next((place for place, value in enumerate(values) if value not in (None, [])), 0)
    values[place] = _other(values[place], rows.schema.field(name).type)
    return with_column(rows, name, values)


def where(rows: pa.Table, **equal: Any) -> list[int]:
    """The places of the rows in which these columns have these values."""
    masks = [pc.equal(rows[name], pa.scalar(value)).to_pylist() for name, value in equal.items()]
    return [place for place, hits in enumerate(zip(*masks, strict=True)) if all(hits)]


def _path(key: str) -> str:
    return key.removeprefix(f"{LAYOUT}/")


def _other(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_map(kind):
        (name, first), *others = value or [("metric", 0.0)]
        return [(name, _other(first, kind.item_type)), *others]
    if pa.types.is_list(kind):
        first, *others = value or [None]
        return [_other(first, kind.value_type), *others]
    if pa.types.is_struct(kind):
        return {**value, "answer": _other(value["answer"], pa.string())}
    if pa.types.is_boolean(kind):
        return not value
    if pa.types.is_integer(kind):
        return (value or 0) + 1
    if pa.types.is_floating(kind):
        return (value or 0.0) + 0.25
    return f"{value or ''}x"
