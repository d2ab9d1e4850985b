"""Rows with nulls in nullable columns: variants get NaN and None, and a null segment value is its own segment."""

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests import builders

CODE = '''

def noticing(features):
    """Right on rows where `narrow` and `note` are missing together, as they should be."""
    x, narrow, note = features["x"], features["narrow"], features["note"]
    assert narrow.dtype == np.float32
    odd = np.array([text is None for text in note])
    is_missing = np.isnan(narrow)
    assert all(isinstance(text, str) for text in note[~odd])
    certain = np.where(x > 0.5, 0.9, 0.1)
    return np.where(odd == is_missing, certain, 1 - certain)
'''
NULLABLE = [
    {"name": "narrow", "role": "feature", "type": "float32", "nullable": True},
    {"name": "note", "role": "feature", "type": "string", "nullable": True},
    {"name": "group", "role": "segment", "type": "string", "nullable": True},
]


@pytest.mark.parametrize("called_none", [False, True])
def test_missing_values_reach_the_variant_and_the_report(tmp_path, monkeypatch, called_none):
    made = builders.rows
    other = "(none)" if called_none else "b"

    def rows(num_rows, *, seed=7):
        given = made(num_rows, seed=seed)
        for index, row in enumerate(given):
            present = index % 3 != 0
            row["group"] = ("a", other)[index % 2] if present else None
            row["narrow"] = 0.5 if present else None
            row["note"] = "" if present else None
        return given

    monkeypatch.setattr(builders, "rows", rows)
    columns = [*builders.CONTRACT["columns"][:3], *NULLABLE]
    monkeypatch.setattr(builders, "CONTRACT", {**builders.CONTRACT, "columns": columns})
    rule = {"kind": "group_gap", "metric": "accuracy", "column": "group", "margin": 0.1}
    plan = {**builders.SUITE["plan"], "guardrails": [rule]}
    takes = {"takes_missing": True}
    arms = {"control": builders.variant(flip_every=5) | takes, "noticing": builders.variant("noticing") | takes}
    experiment = builders.write_experiment(tmp_path, arms=arms, suite={**builders.SUITE, "plan": plan})
    (tmp_path / "variants_under_test.py").write_text(builders.CODE + CODE)
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    report = document(prepared.store, prepared.run.run_id).plain()
    names = sorted({"a", other, "((none))" if called_none else "(none)"})
    none = names[0]  # "(" comes before letters
    rows = {segment["segment"]: segment["num_rows"] for segment in report["analysis"]["segments"]}
    assert sorted(rows) == names
    assert rows[none] == 67  # rows 0, 3, ... 198
    assert sum(rows.values()) == 200
    (means,) = [arm for arm in report["analysis"]["arms"] if arm["arm"] == "noticing"]
    assert means["mean"] == 1.0
    (gap,) = report["analysis"]["guardrails"]
    assert sorted(part["name"] for part in gap["parts"]) == names
