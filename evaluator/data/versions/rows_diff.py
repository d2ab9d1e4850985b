"""Rows diff: the rows added, removed and changed between two versions, in memory that does not grow with them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from assay.manifests.column import FrozenColumn
from assay.manifests.dataset import Dataset
from assay.manifests.dataset_diff import ChangedColumn, Relabelled, RowsDiff

NUM_NAMED = 5
"""The number of rows listed for each kind of change."""
_MEMORY = "400MB"
_MAX_COLUMNS = 64
"""With more columns, the changed columns are not reported: one hash per column would have to be kept."""


class RowsCompared:
    """Takes the rows of two versions, and compares them by their ids or, if a version has none, by their content.

    Of each row, its id, its label and 64-bit hashes of its other values are kept in a temporary database that spills to
    disk. Rows without ids are identified by 128 bits.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, earlier: Dataset, later: Dataset) -> None:
        """Starts with no rows; see `rows_compared` for the connection."""
        self._connection = connection
        self._has_ids = bool(earlier.names("id") and later.names("id"))
        self._versions = {"earlier": earlier, "later": later}
        self._columns = _common(earlier, later)
        self._num_rows = dict.fromkeys(self._versions, 0)
        names = [column.name for column in self._columns]
        is_narrow = len(names) <= _MAX_COLUMNS
        self._groups = [[name] for name in names] if is_narrow and self._has_ids else [names] if names else []
        hashes = "".join(f", h{at} UBIGINT" for at in range(len(self._groups)))
        more = ", again UBIGINT" if not self._has_ids else ""
        for version in self._versions:
            connection.execute(f"CREATE TABLE {version} (number BIGINT, id VARCHAR, label VARCHAR{hashes}{more})")

    def take(self, version: str, rows: pa.Table) -> None:
        """Adds the next rows of the `earlier` or the `later` version."""
        dataset = self._versions[version]
        place = {name: f"c{at}" for at, name in enumerate(column.name for column in self._columns)}
        arrays: dict[str, Any] = {place[column.name]: _bits(rows[column.name], column) for column in self._columns}
        first = self._num_rows[version]
        arrays["number"] = pa.array(np.arange(first, first + rows.num_rows))
        arrays["label"] = rows[dataset.label.name]
        arrays["id"] = rows[dataset.names("id")[0]] if self._has_ids else pa.nulls(rows.num_rows, pa.string())
        self._num_rows[version] += rows.num_rows
        hashes = [f"hash({', '.join(place[name] for name in group)})" for group in self._groups]
        if not self._has_ids:
            hashes.append(f"hash({', '.join(['42', *reversed(place.values())])})")
        wanted = ", ".join(["number", "id::VARCHAR", "label::VARCHAR", *hashes])
        self._connection.register("rows", pa.table(arrays))
        self._connection.execute(f"INSERT INTO {version} SELECT {wanted} FROM rows")  # noqa: S608  # fixed identifiers
        self._connection.unregister("rows")

    def finish(self) -> RowsDiff:
        """What changed between the rows so far."""
        return self._by_id() if self._has_ids else self._by_content()

    def _by_id(self) -> RowsDiff:
        differs = [f"e.h{at} <> l.h{at}" for at in range(len(self._groups))]
        changed = f"({' OR '.join(differs) or 'false'})"
        relabelled = "e.label IS DISTINCT FROM l.label"
        counted = "".join(f", count(*) FILTER ({each})" for each in (changed, relabelled, *differs))
        both = "FROM earlier e JOIN later l USING (id)"
        ((num_both, num_changed, num_relabelled, *per_column),) = self._rows(f"SELECT count(*){counted} {both}")
        is_per_column = all(len(group) == 1 for group in self._groups)
        columns = [
            ChangedColumn(column=group[0], num_rows=num)
            for group, num in zip(self._groups, per_column, strict=True)
            if num and is_per_column
        ]
        has_labels = self._has_comparable_labels
        num_added, num_removed = self._num_rows["later"] - num_both, self._num_rows["earlier"] - num_both
        return self._diff(
            matched_by="id",
            num_added=num_added,
            num_removed=num_removed,
            num_changed=num_changed,
            num_relabelled=num_relabelled if has_labels else None,
            added=self._named("SELECT id FROM later ANTI JOIN earlier USING (id)", num_added),
            removed=self._named("SELECT id FROM earlier ANTI JOIN later USING (id)", num_removed),
            changed=self._named(f"SELECT id {both} WHERE {changed}", num_changed, order="l.number"),
            relabelled=[
                Relabelled(row=row, earlier=was, later=now)
                for row, was, now in self._rows(
                    f"SELECT id, e.label, l.label {both} WHERE {relabelled} ORDER BY l.number LIMIT {NUM_NAMED}"
                )
                if has_labels
            ],
            changed_columns=sorted(columns, key=lambda each: (-each.num_rows, each.column)),
        )

    def _by_content(self) -> RowsDiff:
        content = "h0, again" if self._groups else "again"
        label = "label" if self._has_comparable_labels else "NULL"
        self._connection.execute(
            f"""CREATE TABLE counted AS SELECT {content}, label, sum(e) AS e, sum(l) AS l, min(number) AS number FROM (
                SELECT {content}, {label} AS label, 1 AS e, 0 AS l, number FROM earlier UNION ALL
                SELECT {content}, {label} AS label, 0 AS e, 1 AS l, number FROM later
            ) GROUP BY {content}, label"""  # noqa: S608  # fixed identifiers
        )
        # Among rows that differ only in their label, min(removed, added) count as relabelled.
        self._connection.execute(
            f"""CREATE TABLE contents AS SELECT {content}, sum(greatest(e - l, 0)) AS gone, sum(greatest(l - e, 0)) AS come,
                least(gone, come) AS turned, min(number) FILTER (l > e) AS number_later,
                min(number) FILTER (e > l) AS number_earlier,
                arg_min(label, number) FILTER (e > l) AS was, arg_min(label, number) FILTER (l > e) AS now
            FROM counted GROUP BY {content} HAVING gone > 0 OR come > 0"""  # noqa: S608  # fixed identifiers
        )
        ((num_removed, num_added, num_relabelled),) = self._rows(
            "SELECT coalesce(sum(gone - turned), 0), coalesce(sum(come - turned), 0), coalesce(sum(turned), 0) FROM contents"
        )
        return self._diff(
            matched_by="content",
            num_added=int(num_added),
            num_removed=int(num_removed),
            num_changed=0,
            num_relabelled=int(num_relabelled) if self._has_comparable_labels else None,
            added=self._named(
                "SELECT 'row ' || number_later FROM contents WHERE come > turned", num_added, order="number_later"
            ),
            removed=self._named(
                "SELECT 'row ' || number_earlier FROM contents WHERE gone > turned", num_removed, order="number_earlier"
            ),
            changed=(),
            relabelled=[
                Relabelled(row=f"row {number}", earlier=was, later=now)
                for number, was, now in self._rows(
                    f"SELECT number_later, was, now FROM contents WHERE turned > 0 ORDER BY number_later LIMIT {NUM_NAMED}"  # noqa: S608  # fixed identifiers
                )
            ],
            changed_columns=(),
        )

    @property
    def _has_comparable_labels(self) -> bool:
        return len({dataset.label.type for dataset in self._versions.values()}) == 1

    def _named(self, query: str, number: int, *, order: str = "number") -> list[str]:
        return [name for (name,) in self._rows(f"{query} ORDER BY {order} LIMIT {NUM_NAMED}")] if number else []

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def _diff(self, **fields: Any) -> RowsDiff:
        numbers = {f"num_{version}": number for version, number in self._num_rows.items()}
        return RowsDiff.model_validate(
            {**numbers, **{name: tuple(each) if isinstance(each, list) else each for name, each in fields.items()}}
        )


@contextmanager
def rows_compared(earlier: Dataset, later: Dataset) -> Iterator[RowsCompared]:
    """A comparison of the rows of two versions; its temporary files are removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="assay-diff-") as folder:
        settings = {"memory_limit": _MEMORY, "threads": 2, "temp_directory": folder, "preserve_insertion_order": False}
        with duckdb.connect(str(Path(folder) / "rows.duckdb"), config=settings) as connection:
            yield RowsCompared(connection, earlier, later)


def _common(earlier: Dataset, later: Dataset) -> Sequence[FrozenColumn]:
    """The columns except id and label that both versions have with the same type, in the order of the later one."""
    earlier_columns = {(column.name, column.type, column.shape) for column in earlier.columns if _is_value(column)}
    return [
        column
        for column in later.columns
        if _is_value(column) and (column.name, column.type, column.shape) in earlier_columns
    ]


def _is_value(column: FrozenColumn) -> bool:
    return column.role not in ("id", "label")


def _bits(values: pa.ChunkedArray, column: FrozenColumn) -> Any:
    """The values in a form that compares bitwise: zeros of different sign differ, as in the rows' digest."""
    if column.shape:
        array: Any = pa.concat_arrays([chunk.storage for chunk in values.chunks])  # pyright: ignore[reportAttributeAccessIssue]
        elements: Any = np.ascontiguousarray(array.flatten().to_numpy(zero_copy_only=False))
        row_bytes = elements.dtype.itemsize * int(np.prod(column.shape, dtype=np.int64))
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(row_bytes), len(array), [None, pa.py_buffer(elements)])
    if column.type.startswith("float"):
        whole = pa.int64() if column.type == "float64" else pa.int32()
        return pa.chunked_array([chunk.view(whole) for chunk in values.chunks], whole)
    return values
