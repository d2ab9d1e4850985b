"""Rows that differ between two scorings are named by id, or by index if the dataset has no ids."""

import pyarrow as pa
import pytest

from assay.evaluator.ledger.scores_compared import difference


@pytest.mark.parametrize(("ids", "named"), [({"row_id": ["a", "b", "c"]}, ("b",)), ({}, ("8",))])
def test_the_rows_that_differ_are_named(ids, named):
    recorded = pa.table({"row_index": [7, 8, 9], **ids, "score_accuracy": [1.0, 1.0, 0.0]})
    found = pa.table({"row_index": [7, 8, 9], **ids, "score_accuracy": [1.0, 0.0, 0.0]})
    told = difference(recorded, found)
    assert (told.num_rows, told.row_ids, dict(told.columns)) == (1, named, {"score_accuracy": 1.0})
