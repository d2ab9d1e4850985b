"""A batch-size-sensitive variant is reported and held, fails, or is scored row by row, as the suite says."""

import io
import json

import pytest
from rich.console import Console

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.cluster.report.terminal import verdict
from assay.manifests.run_report import RunReport
from tests import builders

ARMS = {"control": builders.variant(flip_every=2), "mixing": builders.variant("mixing"), "better": builders.variant()}


def run(folder, *, arms=ARMS, in_process=True, **suite):
    experiment = builders.write_experiment(folder, arms=arms, suite={**builders.SUITE, "batch_size": 8, **suite})
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=in_process, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def of(report, arm):
    (row,) = [row for row in report["arms"] if row["arm"] == arm]
    (decision,) = [row for row in report["decisions"] if row["arm"] == arm] or [None]
    return row, decision


def test_an_improvement_below_the_noise_floor_is_held(tmp_path):
    report = run(tmp_path)
    row, decision = of(report, "mixing")
    assert row["batch_sensitivity"]["num_rows"] == 32
    assert row["batch_sensitivity"]["num_flips"] > 10
    assert row["batch_sensitivity"]["noise_floor"] > 0.001 == report["batch_sensitivity_tolerance"]
    (comparison,) = [each for each in report["analysis"]["comparisons"] if each["arm"] == "mixing"]
    assert 0 < comparison["ci_low"] < comparison["estimate"] < row["batch_sensitivity"]["noise_floor"]
    assert decision["decision"] == "hold"
    assert "noise floor" in decision["reasons"][0]
    row, decision = of(report, "better")
    assert (row["batch_sensitivity"]["noise_floor"], row["batch_sensitivity"]["num_flips"], decision["decision"]) == (
        0,
        0,
        "promote",
    )
    assert [(event["kind"], event["arm"]) for event in report["events"]] == [("batch_sensitivity", "mixing")]
    printed = io.StringIO()
    verdict.show(RunReport.model_validate_json(json.dumps(report)), Console(file=printed, width=200))
    assert "mixing is sensitive to the batch size" in printed.getvalue()


def test_it_fails_where_the_suite_says_so(tmp_path):
    report = run(tmp_path, on_batch_sensitivity="fail")
    row, decision = of(report, "mixing")
    assert (row["status"], row["batch_sensitivity"], decision["decision"]) == ("failed", None, "hold")
    assert "depend on the batch size" in decision["reasons"][0]
    assert of(report, "better")[1]["decision"] == "promote"


def test_rows_are_scored_one_by_one_where_the_suite_says_so(tmp_path):
    batches = run(tmp_path / "batches")
    report = run(tmp_path / "alone", on_batch_sensitivity="batch_size_1")
    row, _ = of(report, "mixing")
    assert row["batch_size"] == 1
    labels = [each["y"] for each in builders.rows(200)]
    assert row["metrics"]["accuracy"] == pytest.approx(1 - sum(labels) / 200)  # a single row is never above its mean
    for arm in ("control", "better"):
        assert of(report, arm)[0]["scores_digest"] == of(batches, arm)[0]["scores_digest"]
        assert of(report, arm)[0]["batch_size"] == 8


def test_a_tolerance_is_in_units_of_the_primary_metric(tmp_path):
    report = run(tmp_path, batch_sensitivity_tolerance=0.9, on_batch_sensitivity="fail")
    assert of(report, "mixing")[0]["status"] == "complete"
    assert report["events"] == []


def test_a_resumed_run_and_a_reused_arm_keep_what_was_found(tmp_path):
    first = run(tmp_path)
    again = run(tmp_path, arms={**ARMS, "more": builders.variant(flip_every=9)})
    assert again["reused"]["num_arms"] == 3
    for arm in ARMS:
        assert of(again, arm)[0]["batch_sensitivity"] == of(first, arm)[0]["batch_sensitivity"]
    assert of(again, "mixing")[1]["decision"] == "hold"
