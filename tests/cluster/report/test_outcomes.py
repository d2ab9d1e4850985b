"""Confusion matrices and histograms of a run agree with scikit-learn."""

import json
import sys

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from assay.cluster import pipeline
from assay.cluster.cli.main import main
from assay.cluster.commit import arm_metrics
from assay.evaluator import list_columns
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.ledger_verification import verify_ledger
from tests import builders
from tests.score_tables import score_tables


@pytest.fixture
def run(tmp_path):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


def report(monkeypatch, capsys, prepared, *flags):
    monkeypatch.setattr(sys, "argv", ["assay", "report", prepared.run.run_id, "--ledger", prepared.store.uri, *flags])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().out


def test_the_report_shows_what_scikit_learn_counts(run, monkeypatch, capsys):
    code, text = report(monkeypatch, capsys, run, "--confusion", "--json")
    assert not code
    arms = {arm["arm"]: arm for arm in json.loads(text)["arms"]}
    assert set(arms) == set(builders.ARMS)
    for name, arm in arms.items():
        files = reader.committed_files(run.store, run.run.run_id)
        tables = list(score_tables(run.store, files, name))
        labels, predictions = (
            np.concatenate([t[column].to_numpy() for t in tables]) for column in ("label", "prediction")
        )
        confidences = np.concatenate([list_columns.matrix(table["probabilities"]) for table in tables]).max(axis=1)
        expected = confusion_matrix(labels, predictions)
        cells = {(int(row["label"]), int(row["prediction"])): row["num_rows"] for row in arm["confusions"]}
        assert cells == {(a, b): n for (a, b), n in np.ndenumerate(expected) if n}
        counts, _ = np.histogram(confidences, bins=20, range=(0, 1))
        right, _ = np.histogram(confidences[labels == predictions], bins=20, range=(0, 1))
        assert [row["num_rows"] for row in arm["histograms"]] == counts.tolist()
        assert [row["num_correct"] for row in arm["histograms"]] == right.tolist()
    code, text = report(monkeypatch, capsys, run, "--confusion")
    assert not code
    assert "worse: rows by label (down) and prediction (across)" in text
    assert "worse: probability of the predicted class" in text
    assert verify_ledger(run.store).problems == ()


def test_only_the_fullest_cells_are_kept_and_the_rest_added_up(run, monkeypatch):
    monkeypatch.setattr(arm_metrics, "MOST_CELLS", 2)
    files = reader.committed_files(run.store, run.run.run_id)
    receipts = [each for each in reader.published_units(run.store, run.run, run.units).receipts if each.arm == "worse"]
    tables = score_tables(run.store, files, "worse")
    rows = arm_metrics.of_arm(run.run, "worse", receipts, tables, thresholds={}).confusions
    assert [row["label"] for row in rows][2:] == [None]
    assert sum(row["num_rows"] for row in rows) == 200
    assert rows[0]["num_rows"] >= rows[1]["num_rows"]
