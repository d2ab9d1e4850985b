"""A run in MLflow: its numbers, digests and comparisons, read back through MLflow's own client."""

import json
import sys

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.report.record import document
from tests import builders


@pytest.fixture
def committed(tmp_path) -> dict:
    arms = {
        "control": builders.ARMS["control"],
        "better": builders.ARMS["better"],
        "broken": builders.variant("raises"),
    }
    arms["broken"]["parameters"] = {"above": 0.1}
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=arms, resources={"max_attempts": 1})))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def exported(report):
    return CliRunner().invoke(main.app, ["export", "mlflow", report["run_id"], "--ledger", report["ledger"], "--json"])


def test_a_run_and_its_arms_are_found_in_mlflow(tmp_path, monkeypatch, committed):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database needs more than mlflow-skinny
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    answer = exported(committed)
    assert answer.exit_code == 0, answer.output
    runs = json.loads(answer.stdout)
    client = mlflow.MlflowClient()
    whole = client.get_run(runs[""])
    assert whole.info.run_name == committed["run_id"]
    assert whole.data.tags["assay.scores_digest"] == committed["scores_digest"]
    assert whole.data.tags["assay.plan_digest"] == committed["plan_digest"]
    assert whole.data.tags["assay.gate"] == "promote"
    assert whole.data.metrics["spent.slot_s"] == committed["cost"]["spent"]["slot_s"]
    kept = mlflow.artifacts.load_dict(f"{whole.info.artifact_uri}/comparisons.json")
    assert kept["comparisons"] == committed["analysis"]["comparisons"]
    for arm in committed["arms"]:
        found = client.get_run(runs[arm["arm"]])
        assert found.data.tags["mlflow.parentRunId"] == runs[""]
        assert found.data.tags["assay.variant_digest"] == arm["variant_digest"]
        assert found.data.params["status"] == arm["status"]
        assert found.info.status == ("FINISHED" if arm["status"] == "complete" else "FAILED")
        assert found.data.metrics["slot_s"] == arm["slot_s"]
        for name, value in arm["metrics"].items():
            assert found.data.metrics[name] == value
    assert client.get_run(runs["better"]).data.tags["assay.decision"] == "promote"
    assert exported(committed).exit_code == 0  # into the experiment that is there


def test_without_mlflow_the_error_says_what_to_install(monkeypatch, committed):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    answer = exported(committed)
    assert "pip install 'assay[mlflow]'" in str(answer.exception)
