"""Append-only tables: a part is stored once, has the declared schema, and is read by any Parquet reader."""

import datetime as dt
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pytest

from assay.evaluator.errors import LedgerError
from assay.evaluator.ledger.append_only_table import AppendOnlyTable
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.ledger.opening import create_ledger
from assay.evaluator.storage import open_store
from assay.manifests.ledger_layout import LAYOUT

LABELS = AppendOnlyTable(
    "labels",
    pa.schema(
        [
            pa.field("row_id", pa.string(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("price", pa.float64()),
            pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    ),
)
NOON = dt.datetime(2031, 1, 1, 12, tzinfo=dt.UTC)


def rows(*given: tuple[str, str | None, float | None]) -> pa.Table:
    named = [{"row_id": row_id, "label": label, "price": price, "at": NOON} for row_id, label, price in given]
    return pa.Table.from_pylist(named, schema=LABELS.schema)


@pytest.fixture
def store(tmp_path):
    store = open_store(str(tmp_path / "ledger"))
    create_ledger(store)
    return store


def test_parts_of_several_writers_are_one_table_for_duckdb_and_pyarrow(store):
    assert LABELS.append(store, rows(("a", "yes", None)), part="ana-1")
    assert LABELS.append(
        store, rows(("b", None, None), ("c", None, 0.25)), part="ben-1"
    )  # the label is null throughout
    assert LABELS.append(store, rows(), part="cal-1")
    folder = Path(store.uri, LAYOUT, "tables", "labels")
    expected = [("a", "yes", None), ("b", None, None), ("c", None, 0.25)]
    found = duckdb.sql(f"SELECT row_id, label, price FROM '{folder}/*.parquet' ORDER BY row_id").fetchall()
    assert found == expected
    table = pyarrow.dataset.dataset(folder).to_table().sort_by("row_id")
    assert table.schema.remove_metadata() == LABELS.schema
    assert [tuple(row.values())[:3] for row in table.to_pylist()] == expected


def test_a_part_is_never_overwritten(store):
    given = rows(("a", "yes", 1.0))
    assert LABELS.append(store, given, part="ana-1")
    assert not LABELS.append(store, given, part="ana-1")  # a retry after a lost answer
    with pytest.raises(LedgerError, match=r"part 'ana-1' of the table 'labels': exists with other rows"):
        LABELS.append(store, rows(("a", "no", 1.0)), part="ana-1")
    assert (
        pyarrow.dataset.dataset(Path(store.uri, LAYOUT, "tables", "labels")).to_table().column("label")[0].as_py()
        == "yes"
    )


@pytest.mark.parametrize(
    ("given", "part", "words"),
    [
        (rows(("a", "yes", 1.0)).drop_columns("price"), "p", "but must be row_id string not null, label string, price"),
        (rows(("a", "yes", 1.0)).select(["label", "row_id", "price", "at"]), "p", "the columns are label string, row_id"),
        (pa.Table.from_pylist([{"label": "yes", "at": NOON}], schema=LABELS.schema), "p", "'row_id' has nulls"),
        (rows(), "../p", "its name may have letters"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(store, given, part, words):
    with pytest.raises(LedgerError, match=words):
        LABELS.append(store, given, part=part)
    assert list(store.listing(f"{LAYOUT}/tables/")) == []


def test_verify_names_a_part_that_was_changed_and_no_other(store):
    for part in ("ana-1", "ben-1", "cal-1"):
        LABELS.append(store, rows((part, "yes", 1.0)), part=part)
    assert verify_ledger(store).problems == ()
    folder = Path(store.uri, LAYOUT, "tables", "labels")
    changed = pa.parquet.read_table(folder / "ana-1.parquet")
    changed = changed.set_column(1, changed.schema.field(1), pa.array(["no"]))
    (folder / "ana-1.parquet").chmod(0o644)
    pa.parquet.write_table(changed, folder / "ana-1.parquet")  # with the metadata of the original
    (folder / "ben-1.parquet").chmod(0o644)
    (folder / "ben-1.parquet").write_bytes(b"PAR1")
    assert [(Path(each.key).stem, each.problem.split(":")[0]) for each in verify_ledger(store).problems] == [
        ("ana-1", "was changed"),
        ("ben-1", "was changed"),
    ]
