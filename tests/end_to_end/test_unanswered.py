"""A row without an answer keeps its status, and the plan's rule for missing scores decides what follows."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from tests import builders

CODE = """
import numpy as np

def some(features, *, above=0.9, below=-1.0, answer="nan", flip_every=0):
    x = features["x"]
    probability = np.where(x > 0.5, 0.9, 0.1)
    if flip_every:
        probability = np.where((np.round(x * 1e6).astype(int) % flip_every) == 0, 1 - probability, probability)
    silent = (x > above) | (x < below)
    if answer == "nan":
        return np.where(silent, np.nan, probability)
    if answer == "none":
        return [None if none else float(each) for none, each in zip(silent, probability)]
    reasons = ["not my field" if none else None for none in silent]
    return {"output": probability, "status": np.where(silent, answer, "ok").tolist(), "reason": reasons}
"""


def variant(**parameters: Any) -> dict:
    return builders.variant(**parameters) | {"entrypoint": "sometimes:some"}


def right(*, flip_every: int = 0) -> np.ndarray:
    """Which rows an arm that answers every row predicts correctly."""
    if not flip_every:
        return np.ones(200)
    return np.array([(round(row["x"] * 1e6) % flip_every) != 0 for row in builders.rows(200)], dtype=float)


IS_SILENT = np.array([row["x"] > 0.9 for row in builders.rows(200)])
ARMS = {
    "control": builders.variant(flip_every=5),
    "some": variant(),
    "better": builders.variant(),
}


@pytest.fixture
def run(assay, tmp_path):
    """Runs an experiment with these arms and changes of the plan and the suite."""

    def run(arms: dict | None = None, *, code: int = 0, plan: dict | None = None, **suite: Any) -> Any:
        (tmp_path / "sometimes.py").write_text(CODE)
        sys.modules.pop("sometimes", None)
        suite = {**builders.SUITE, **suite, "plan": {**builders.SUITE["plan"], "guardrails": [], **(plan or {})}}
        builders.write_experiment(tmp_path, arms=arms or ARMS, suite=suite)
        answer = assay("run", "experiment.yaml", "--in-process", "--json", folder=tmp_path)
        assert answer.returncode == code, answer.stderr
        return json.loads(answer.stdout) if code == 0 else answer.stderr

    return run


def by_arm(rows: list[dict]) -> dict[str, dict]:
    return {row["arm"]: row for row in rows}


def stored(report: dict, arm: str) -> list[dict]:
    folder = Path(report["ledger"], "v2/data/scores", report["run_id"], arm)
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("nan", "invalid", "the probabilities must be finite; got nan"),
        ("none", "invalid", "the variant returned None or NaN"),
        ("refused", "refused", "not my field"),
        ("truncated", "truncated", "not my field"),
        ("timeout", "timeout", "not my field"),
        ("error", "error", "not my field"),
    ],
)
def test_a_row_without_an_answer_is_in_the_ledger_with_its_status(run, answer, status, reason):
    report = run({**ARMS, "some": variant(answer=answer)}, plan={"missing": "listwise"})
    rows = stored(report, "some")
    assert [row["status"] for row in rows] == [status if silent else "ok" for silent in IS_SILENT]
    for row, silent in zip(rows, IS_SILENT, strict=True):
        assert row["reason"] == (reason if silent else None)
        assert (row["prediction_class"] is None, row["scores"] == []) == (silent, silent)
    (arm,) = [arm for arm in report["arms"] if arm["arm"] == "some"]
    assert (arm["status"], arm["num_rows"], arm["num_unanswered"]) == ("complete", 200, IS_SILENT.sum())
    (event,) = [event for event in report["events"] if event["kind"] == "unanswered"]
    assert f"{IS_SILENT.sum()} of 200 rows have no answer ({IS_SILENT.sum()} {status})" in event["message"]


def test_refuse_compares_the_others_and_holds_the_arm(run):
    report = run()
    assert by_arm(report["arms"])["some"]["status"] == "unanswered"
    assert by_arm(report["decisions"])["some"]["decision"] == "hold"
    assert f"{IS_SILENT.sum()} of 200 rows have no answer" in " ".join(by_arm(report["decisions"])["some"]["reasons"])
    (comparison,) = report["analysis"]["comparisons"]
    assert comparison["arm"] == "better"
    assert comparison["estimate"] == pytest.approx(1 - right(flip_every=5).mean())
    again = run()  # scoring it again would not help
    assert again["run_id"] == report["run_id"]


def test_refuse_of_the_control_leaves_nothing_to_compare(run):
    stderr = run({"control": variant(), "better": builders.variant()}, code=1)
    assert "the control 'control' could not be measured" in stderr
    assert "set 'missing: worst' or 'missing: listwise'" in stderr


def test_worst_counts_a_row_without_an_answer_as_wrong(run):
    report = run(plan={"missing": "worst"})
    found = by_arm(report["analysis"]["comparisons"])["some"]
    assert found["estimate"] == pytest.approx((~IS_SILENT).mean() - right(flip_every=5).mean())
    assert by_arm(report["analysis"]["arms"])["some"]["num_missing"] == IS_SILENT.sum()


def test_listwise_compares_every_arm_on_the_rows_that_all_have_answered(run):
    report = run(plan={"missing": "listwise"})
    found = by_arm(report["analysis"]["comparisons"])
    expected = 1 - right(flip_every=5)[~IS_SILENT].mean()
    assert found["some"]["estimate"] == found["better"]["estimate"] == pytest.approx(expected)
    assert report["analysis"]["num_rows"] == (~IS_SILENT).sum()


def test_a_metric_of_the_whole_dataset_is_computed_on_common_rows_and_has_no_worst_score(run):
    arms = {**ARMS, "some": variant(flip_every=2)}
    report = run(arms, plan={"metric": "auroc", "scale": "continuous", "missing": "listwise"})
    labels = np.array([row["y"] for row in builders.rows(200)])[~IS_SILENT]
    values = {}
    for arm, flip_every in (("control", 5), ("some", 2)):
        certain = np.where(labels == 1, 0.9, 0.1)
        probability = np.where(right(flip_every=flip_every)[~IS_SILENT] == 1, certain, 1 - certain)
        values[arm] = roc_auc_score(labels, probability)
    found = by_arm(report["analysis"]["comparisons"])["some"]
    assert found["estimate"] == pytest.approx(values["some"] - values["control"])
    report = run(arms, plan={"metric": "auroc", "scale": "continuous", "missing": "worst"})
    assert "have no worst auroc" in by_arm(report["analysis"]["comparisons"])["some"]["not_testable"]
    assert by_arm(report["decisions"])["some"]["decision"] == "hold"


@pytest.mark.parametrize("missing", ["worst", "listwise"])
def test_guardrails_follow_the_same_rule(run, missing):
    guardrails = [
        {"kind": "metric", "metric": "log_loss", "margin": 5.0},
        {"kind": "metric", "metric": "auroc", "margin": 0.9},
        {"kind": "segments", "metric": "log_loss", "margin": 5.0},
        {"kind": "group_gap", "metric": "accuracy", "column": "group", "margin": 0.9},
        {"kind": "selection_ratio", "positive": 1, "column": "group", "min_ratio": 0.1},
    ]
    report = run(plan={"missing": missing, "guardrails": guardrails})
    found = {each["name"]: each for each in report["analysis"]["guardrails"] if each["comparison"]["arm"] == "some"}
    assert len(found) == len(guardrails)
    verdicts = {name: each["verdict"] for name, each in found.items()}
    undefined = {name for name, verdict in verdicts.items() if verdict == "not_testable"}
    assert undefined == ({"auroc"} if missing == "worst" else set())


def test_arms_that_share_no_answered_row_cannot_be_compared_and_the_run_is_committed(run):
    arms = {"control": variant(above=0.5, answer="refused"), "low": variant(below=0.5, answer="refused")}
    report = run(arms, plan={"missing": "listwise"})
    for comparison in report["analysis"]["comparisons"]:
        assert comparison["not_testable"]
    assert {each["decision"] for each in report["decisions"]} == {"hold"}


@pytest.mark.parametrize("missing", ["worst", "listwise"])
def test_an_arm_without_any_answer_is_held_alone(run, missing):
    report = run({**ARMS, "none": variant(above=-1.0, answer="refused")}, plan={"missing": missing})
    assert by_arm(report["arms"])["none"]["status"] == "unanswered"
    assert by_arm(report["decisions"])["none"]["decision"] == "hold"
    assert by_arm(report["decisions"])["better"]["decision"] == "promote"


def test_another_plan_may_look_at_a_refused_arm_later_but_not_at_one_without_any_answer(run, assay, tmp_path):
    report = run({**ARMS, "none": variant(above=-1.0, answer="refused")})
    plan = {**builders.SUITE["plan"], "guardrails": [], "missing": "listwise"}
    (tmp_path / "listwise.json").write_text(json.dumps(plan))
    answer = assay("analyze", report["run_id"], "--plan", "listwise.json", "--json", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert {each["arm"] for each in json.loads(answer.stdout)["comparisons"]} == {"some", "better"}


def test_output_that_no_row_can_use_is_the_failure_of_the_arm(run):
    report = run({**ARMS, "some": variant(above=-1.0)})
    arm = by_arm(report["arms"])["some"]
    assert arm["status"] == "failed"
    assert "row 0: the probabilities must be finite; got nan" in arm["reason"]


def test_a_status_that_does_not_exist_is_refused_by_name(run):
    report = run({**ARMS, "some": variant(answer="refusd")})
    arm = by_arm(report["arms"])["some"]
    assert arm["status"] == "failed"
    assert "did you mean 'refused'" in arm["reason"]


def test_a_verification_scores_such_rows_again_bit_for_bit(run, assay, tmp_path):
    report = run(plan={"missing": "listwise"})
    answer = assay("verify", report["run_id"], "--in-process", "--ledger", report["ledger"], folder=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
