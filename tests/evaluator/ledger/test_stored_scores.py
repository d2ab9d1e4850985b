"""Rows are restored from a score file exactly as they were computed, whatever their types and names."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.evaluator import fingerprint, list_columns
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.ledger.stored_scores import from_stored, stored_columns, to_stored
from assay.evaluator.ledger.writer import parquet_bytes

LINEAGE = ["run", "arm", "dataset", "variant", "suite", "plan", "environment"]
LARGEST = 2**63 - 1


def rows(label, prediction, *, status=(), **columns) -> pa.Table:
    count = len(label)
    reason = [None if each == "ok" else "why" for each in status]
    statuses = {"status": status, "reason": pa.array(reason, pa.string())} if status else {}
    return pa.table(
        {
            "row_index": pa.array(range(40, 40 + count), pa.int64()),
            **statuses,
            "label": label,
            "prediction": prediction,
            **columns,
        }
    )


def read_back(table: pa.Table, names=None) -> pa.Table:
    content = pa.BufferReader(parquet_bytes(to_stored(table, lineage=LINEAGE)))
    return from_stored(pq.ParquetFile(content).read(None if names is None else stored_columns(names)), names)


IN_PART = ["ok", "refused", "ok"]
PROBABILITIES = list_columns.lists(np.array([[0.25, 0.75], [0, 0], [1, 0]]), mask=np.array([False, True, False]))


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(rows([0, 1, 1], [1, 1, 0], score_accuracy=[0.0, 1.0, -0.0]), id="integers"),
        pytest.param(rows([-5, LARGEST, -LARGEST - 1], [LARGEST, 0, -5]), id="large-integers-no-metrics"),
        pytest.param(rows(["a\nb", "", "ü'\""], ["", "", "x"], score_x=[1e300, 5e-324, 0.1]), id="texts"),
        pytest.param(rows([1.0, 2.5, 1e-310], [0.1, -0.0, 3.0], score_mae=[1.0, 2.0, 3.0]), id="numbers"),
        pytest.param(rows(pa.array([True, False, True]), [1, 0, 1], score_a=[1.0, 0.0, 1.0]), id="flags"),
        pytest.param(
            rows([0, 1, 1], [1, 0, 1], **{"score_ü' \"x": [1.0, 2.0, 3.0], "segment_a b": ["", None, "c"]}),
            id="odd-names",
        ),
        pytest.param(
            rows([0, 1, 1], pa.array([1, None, 0]), status=IN_PART, probabilities=PROBABILITIES)
            .append_column("score_a", pa.array([1.0, None, 0.5]))
            .append_column("score_b", pa.array([1.0, None, 0.25])),
            id="in-part",
        ),
        pytest.param(
            rows(["x"], pa.array([None], pa.string()), status=["error"], score_a=pa.array([None], pa.float64())),
            id="nothing-answered",
        ),
        pytest.param(
            rows([0, 1], [1, 0], row_id=["r1", "r2"], cluster=["c", "c"], segment_a=["s", "t"], segment_b=["u", None]),
            id="ids-clusters-segments",
        ),
    ],
)
def test_rows_come_back_as_they_were(table):
    back = read_back(table)
    assert back.equals(table)
    assert fingerprint.rows_digest(back) == fingerprint.rows_digest(table)
    for name in table.column_names:
        assert read_back(table, ["row_index", name])[name].equals(table[name])
    stored = pq.read_table(pa.BufferReader(parquet_bytes(to_stored(table, lineage=LINEAGE))))
    assert stored.schema.equals(SCHEMAS["scores"])
    statuses = table["status"].to_pylist() if "status" in table.column_names else ["ok"] * len(table)
    assert stored["status"].to_pylist() == statuses
    again = to_stored(from_stored(stored), lineage=LINEAGE).cast(SCHEMAS["scores"])
    for name in SCHEMAS["scores"].names:  # on which the check of a unit that was read back rests
        assert stored[name].equals(again[name]), name


def test_a_row_with_other_metrics_than_its_file_is_damage():
    table = rows([0, 1], [1, 0], score_a=[1.0, 0.0], score_b=[1.0, 0.0])
    stored = to_stored(table, lineage=LINEAGE)
    place = stored.column_names.index("scores")
    field = stored.schema.field(place)
    for wrong in ([[("a", 1.0)], [("a", 1.0), ("b", 0.0)]], [[("b", 1.0), ("a", 1.0)], [("a", 1.0), ("b", 0.0)]]):
        with pytest.raises(ValueError, match=r"keys of a row|reshape"):
            from_stored(stored.set_column(place, field, pa.array(wrong, field.type)))


def test_flags_are_spelled_as_the_predictions_of_them():
    stored = to_stored(rows(pa.array([True, False]), [1, 0]), lineage=LINEAGE)
    assert stored["label_class"].to_pylist() == stored["prediction_class"].to_pylist() == ["1", "0"]
    assert stored["label_value"].to_pylist() == [1.0, 0.0]
