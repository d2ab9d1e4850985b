"""Diffs: the changes of contracts and rows, matched by id if there are ids and by content otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluator.data.frozen import findings
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.versions.contract_diff import contract_changes
from assay.evaluator.data.versions.dataset_diff import diff
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract import ClassBalance, Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset_diff import DatasetDiff
from tests.evaluator.data import tables

WITH_IDS = tables.EVERYTHING
WITHOUT_IDS = tables.contract(*WITH_IDS.columns[1:])
ROWS = tables.rows(1500)


def changed(rows: list[dict], at: int, **values) -> list[dict]:
    return [*rows[:at], {**rows[at], **values}, *rows[at + 1 :]]


def compared(
    tmp_path, earlier, later, *, contract: Contract = WITH_IDS, later_contract: Contract | None = None, shard_rows=512
):
    store, opened = MemoryStore("diff"), []
    for version, rows, held_to in (("v1", earlier, contract), ("v2", later, later_contract or contract)):
        names = [column.name for column in held_to.columns]
        path = tables.write(tmp_path / f"{version}.jsonl", [{name: row[name] for name in names} for row in rows])
        dataset = freeze([path], contract=held_to, reference=f"t@{version}", store=store, shard_rows=shard_rows)
        opened.append((dataset, store))
    return diff(*opened, found_by="someone")


@pytest.mark.parametrize("contract", [WITH_IDS, WITHOUT_IDS], ids=["ids", "no ids"])
def test_the_same_rows_do_not_differ(tmp_path, contract):
    found = compared(tmp_path, ROWS, ROWS, contract=contract)
    rows = found.rows
    assert (rows.num_added, rows.num_removed, rows.num_changed, rows.num_relabelled) == (0, 0, 0, 0)
    assert found.contract == ()
    assert found.drift.is_fine
    assert all(each.value == 0 for column in found.drift.columns for each in column.statistics)


def test_rows_are_told_apart_by_their_ids(tmp_path):
    later = changed(ROWS, 700, label="no")
    later = changed(later, 701, wide=-0.5, text="another")
    later = changed(later, 702, image=[[1, 2, 3], [4, 5, 6]])
    later = [*later[2:][::-1], {**ROWS[0], "id": "new"}]
    found = compared(tmp_path, ROWS, later).rows
    assert (found.matched_by, found.num_earlier, found.num_later) == ("id", 1500, 1499)
    assert (found.num_added, found.added) == (1, ("new",))
    assert (found.num_removed, found.removed) == (2, ("row 0", "row 1"))
    assert (found.num_changed, found.changed) == (2, ("row 702", "row 701"))  # in the later version's order
    assert (found.num_relabelled, [each.model_dump() for each in found.relabelled]) == (
        1,
        [{"row": "row 700", "earlier": "yes", "later": "no"}],
    )
    assert {each.column: each.num_rows for each in found.changed_columns} == {"wide": 1, "text": 1, "image": 1}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("wide", 1e-300),
        ("narrow", 0.5),
        ("count", 1),
        ("text", ""),
        ("vector", [0.0, 0.0, 0.0, 1e-30]),
        ("mask", [True, True, True]),
        ("group", None),
        ("writer", 99),
    ],
)
def test_a_change_in_a_column_of_any_type_is_seen(tmp_path, column, value):
    later = changed(ROWS, 3, **{column: not ROWS[3]["group"] if column == "group" else value})
    if column == "mask":
        later = changed(ROWS, 3, mask=[not each for each in ROWS[3]["mask"]])
    rows = compared(tmp_path, ROWS, later).rows
    assert [(each.column, each.num_rows) for each in rows.changed_columns] == [(column, 1)]
    assert (rows.num_changed, rows.changed, rows.num_relabelled) == (1, ("row 3",), 0)


def test_only_some_of_many_rows_are_named(tmp_path):
    rows = compared(tmp_path, ROWS, ROWS[100:]).rows
    assert (rows.num_removed, rows.removed) == (100, tuple(f"row {row}" for row in range(5)))


def test_without_ids_rows_are_told_apart_by_what_they_hold(tmp_path):
    later = changed(ROWS, 700, label="no")
    later = changed(later, 701, wide=-0.5)  # one removed and one added
    later = [*later[1:], ROWS[5]]  # a repeated row counts as an added row
    found = compared(tmp_path, ROWS, later, contract=WITHOUT_IDS).rows
    assert (found.matched_by, found.num_added, found.num_removed, found.num_changed) == ("content", 2, 2, 0)
    assert found.removed == ("row 0", "row 701")
    assert set(found.added) <= {"row 4", "row 700"}  # either of the two equal rows may count as the added one
    assert [each.model_dump() for each in found.relabelled] == [{"row": "row 699", "earlier": "yes", "later": "no"}]


SMALL = tables.contract(
    Column(name="id", role="id", type="int64"),
    Column(name="y", role="label", type="bool"),
    Column(name="x", role="feature", type="int8"),
)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 2)), min_size=1, unique_by=lambda row: row[0]),
    st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 2)), min_size=1, unique_by=lambda row: row[0]),
)
def test_counts_are_those_of_plain_python(tmp_path_factory, earlier, later):
    was, now = ([{"id": i, "y": y, "x": x} for i, y, x in rows] for rows in (earlier, later))
    found = compared(tmp_path_factory.mktemp("diff"), was, now, contract=SMALL, shard_rows=4).rows
    first, second = ({i: (y, x) for i, y, x in rows} for rows in (earlier, later))
    both = first.keys() & second.keys()
    assert (found.num_added, found.num_removed) == (len(second.keys() - both), len(first.keys() - both))
    assert found.num_relabelled == sum(first[i][0] != second[i][0] for i in both)
    assert found.num_changed == sum(first[i][1] != second[i][1] for i in both)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=20),
    st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=20),
)
def test_counts_without_ids_add_up(tmp_path_factory, earlier, later):
    was, now = ([{"y": y, "x": x} for y, x in rows] for rows in (earlier, later))
    contract = tables.contract(*SMALL.columns[1:])
    found = compared(tmp_path_factory.mktemp("diff"), was, now, contract=contract, shard_rows=4).rows
    assert len(earlier) - found.num_removed + found.num_added == len(later)
    values = {x for _, x in (*earlier, *later)}
    per_value = [[[row for row in rows if row[1] == x] for rows in (earlier, later)] for x in values]
    assert found.num_added == sum(max(0, len(now) - len(was)) for was, now in per_value)


def test_labels_of_other_types_are_not_compared(tmp_path):
    rows = [{"id": row, "y": row % 2 == 0, "x": 1} for row in range(10)]
    later = [{**row, "y": int(row["y"])} for row in rows]
    retyped = tables.contract(SMALL.columns[0], Column(name="y", role="label", type="int8"), SMALL.columns[2])
    found = compared(tmp_path, rows, later, contract=SMALL, later_contract=retyped)
    assert (found.rows.num_relabelled, found.rows.relabelled) == (None, ())
    assert [(each.column, each.field, each.earlier, each.later) for each in found.contract] == [
        ("y", "type", '"bool"', '"int8"')
    ]
    assert [each.column for each in found.drift.columns] == ["x"]


def test_changes_of_the_contract_are_listed_column_by_column():
    later = tables.contract(
        SMALL.columns[0],
        SMALL.columns[2].model_copy(update={"maximum": 9.0, "description": "how much"}),
        Column(name="day", role="timestamp", type="date"),
        Column(name="z", role="label", type="string", classes=("a", "b")),
    ).model_copy(update={"class_balance": ClassBalance(min_rows=3)})
    found = [(each.column, each.field, each.earlier, each.later) for each in contract_changes(SMALL, later)]
    assert ("y", "removed", "label, bool", "") in found
    assert ("x", "maximum", "", "9.0") in found
    assert ("x", "description", "", '"how much"') in found
    assert ("day", "added", "", "timestamp, date") in found
    assert ("", "class_balance.min_rows", "", "3") in found
    assert contract_changes(SMALL, SMALL) == ()
    turned = tables.contract(*SMALL.columns[::-1])
    assert [each.field for each in contract_changes(SMALL, turned)] == ["order of columns"]


def test_drift_is_a_finding_that_is_kept_once(tmp_path):
    random = np.random.default_rng(0)
    later = [{**row, "wide": float(random.normal(3))} for row in ROWS]
    first, second = (compared(tmp_path, ROWS, later) for _ in range(2))
    assert not first.drift.is_fine
    assert "wide: drifted (psi" in first.drift.summary
    assert [column.column for column in first.drift.columns if column.has_drifted] == ["wide"]
    store = MemoryStore("findings")
    findings.keep(store, first.drift)
    findings.keep(store, second.drift)  # found again, later
    assert findings.findings_of(store, "t@v2") == [first.drift]
    assert DatasetDiff.model_validate_json(first.model_dump_json()) == first
