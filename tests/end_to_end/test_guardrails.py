"""Variants that are better on average but breach a guardrail are rejected, held or reported, as the plan says."""

import io
import json

import pytest
from rich.console import Console

from assay.cluster import pipeline
from assay.cluster.commit import analysis
from assay.cluster.report.record import document
from assay.cluster.report.terminal import verdict
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.manifests.run_report import RunReport
from tests import builders

CODE = '''

def favouring(features, *, spared=0.0, flip_every=0):
    """Right on all rows except those with x below `spared`, of which about half are wrong."""
    x = features["x"]
    certain = np.where(x > 0.5, 0.9, 0.1)
    return np.where((x < spared) & (np.round(x * 1e6).astype(np.int64) % 2 == 0), 1 - certain, certain)


ASKED = []


def late(features):
    """Fails on its first call only."""
    ASKED.append(1)
    if len(ASKED) == 1:
        raise OSError("still busy")
    return np.where(features["x"] > 0.5, 0.9, 0.1)
'''


def run(folder, guardrails, *, arms, num_rows=400, write=None, **suite):
    """Runs arms under a plan with these guardrails; returns the report and the prepared run."""
    plan = {**builders.SUITE["plan"], "guardrails": guardrails, **suite.pop("plan", {})}
    experiment = builders.write_experiment(
        folder, arms=arms, suite={**builders.SUITE, "plan": plan, **suite}, **(write or {}), num_rows=num_rows
    )
    (folder / "variants_under_test.py").write_text(builders.CODE + CODE)
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain(), prepared


def decision(report, arm):
    (found,) = [row for row in report["decisions"] if row["arm"] == arm]
    return found


def of(report, arm, name):
    (found,) = [
        row for row in report["analysis"]["guardrails"] if row["name"] == name and row["comparison"]["arm"] == arm
    ]
    return found


@pytest.fixture
def by_x(monkeypatch):
    """Rows in three groups: `few` (the first 5 rows), `low` (x below 0.15) and `high` (the others)."""
    made = builders.rows

    def rows(num_rows, *, seed=7):
        given = made(num_rows, seed=seed)
        for index, row in enumerate(given):
            row["group"] = "few" if index < 5 else "low" if row["x"] < 0.15 else "high"
        return given

    monkeypatch.setattr(builders, "rows", rows)


ARMS = {"control": builders.variant(flip_every=5), "favouring": builders.variant("favouring", spared=0.15)}


@pytest.mark.parametrize("severity", ["critical", "advisory"])
def test_better_on_average_but_worse_in_a_segment_is_rejected_naming_it(tmp_path, by_x, severity):
    rule = {"kind": "segments", "metric": "accuracy", "margin": 0.05, "severity": severity}
    report, _ = run(tmp_path, [rule], arms={**ARMS, "better": builders.variant()})
    (average,) = [row for row in report["analysis"]["comparisons"] if row["arm"] == "favouring"]
    assert average["ci_low"] > 0
    found = of(report, "favouring", "accuracy by segment")
    assert (found["verdict"], found["where"]) == ("breach", "low")
    assert {part["name"]: part["verdict"] for part in found["parts"]} == {"high": "non_inferior", "low": "breach"}
    assert found["not_judged"] == ["few (5 of 30 rows)"]
    decided = decision(report, "favouring")
    assert decided["decision"] == {"critical": "reject", "advisory": "promote"}[severity]
    words = "guardrail accuracy by segment, in 'low'"
    assert words in decided["reasons"][1]
    assert "beyond its margin of 0.05" in decided["reasons"][1]
    assert decision(report, "better")["decision"] == "promote"
    printed = io.StringIO()
    verdict.show(RunReport.model_validate_json(json.dumps(report)), Console(file=printed, width=200))
    assert words in printed.getvalue()


def test_better_but_over_the_latency_ratio_is_rejected(tmp_path):
    rules = [
        {"kind": "latency", "quantity": name, "max_ratio": most, "num_batches": 100}
        for name, most in (("batch_p50", 3.0), ("row_mean", 30.0))  # a mean includes every pause of a busy host
    ]
    arms = {
        "control": builders.variant(flip_every=5, delay_s=0.003),
        "slow": builders.variant(delay_s=0.018),
        "better": builders.variant(delay_s=0.003),
    }
    report, prepared = run(tmp_path, rules, arms=arms, num_rows=200)
    slow, better = (of(report, arm, "batch_p50") for arm in ("slow", "better"))
    assert (slow["verdict"], better["verdict"]) == ("breach", "non_inferior")
    assert 4 < slow["comparison"]["estimate"] < 7
    assert 0.5 < better["comparison"]["estimate"] < 2
    assert decision(report, "slow")["decision"] == "reject"
    assert "times the control's" in decision(report, "slow")["reasons"][1]
    assert "beyond its ratio of 3" in decision(report, "slow")["reasons"][1]
    assert decision(report, "better")["decision"] == "promote"
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    rows = reader.read_table(prepared.store, files, "latency").to_pylist()
    assert {arm: sum(row["arm"] == arm for row in rows) for arm in arms} == {"control": 0, "slow": 100, "better": 100}
    plain, _ = run(tmp_path / "plain", [], arms=arms, num_rows=200)
    assert plain["scores_digest"] == report["scores_digest"]  # timing does not change scores
    # Analysing the run again finds the times in the ledger.
    again = analysis.reanalysed(CommittedRun(prepared.store, prepared.run.run_id), prepared.run.experiment.suite.plan)
    assert again.plain()["guardrails"] == report["analysis"]["guardrails"]


def test_times_come_along_with_units_that_are_taken_over_and_only_beside_the_same_control(tmp_path):
    rules = [{"kind": "latency", "quantity": "batch_p50", "max_ratio": 50.0}]
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant()}
    first, _ = run(tmp_path, rules, arms=arms, num_rows=200)
    more, _ = run(tmp_path, rules, arms={**arms, "worse": builders.variant(flip_every=2)}, num_rows=200)
    assert more["reused"]["num_arms"] == 2
    assert of(more, "better", "batch_p50") == of(first, "better", "batch_p50")
    other, _ = run(tmp_path, rules, arms={**arms, "control": builders.variant(flip_every=3)}, num_rows=200)
    assert other["reused"]["num_arms"] == 0


def test_a_variant_that_cannot_be_timed_is_held_with_the_reason(tmp_path):
    rules = [{"kind": "latency", "quantity": "batch_p50", "max_ratio": 50.0}]
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant("late")}
    report, _ = run(tmp_path, rules, arms=arms, num_rows=200)
    assert of(report, "better", "batch_p50")["verdict"] == "not_testable"
    decided = decision(report, "better")
    assert decided["decision"] == "hold"
    assert "could not be timed together: PredictionError" in decided["reasons"][1]


def test_a_gap_between_groups_that_grows_is_rejected(tmp_path, by_x):
    rule = {"kind": "group_gap", "metric": "accuracy", "column": "group", "margin": 0.1}
    report, _ = run(tmp_path, [rule], arms={**ARMS, "better": builders.variant()})
    found = of(report, "favouring", "gap of accuracy by group")
    assert (found["verdict"], found["where"]) == ("breach", "low and high")
    means = {part["name"]: part["estimate"] for part in found["parts"]}
    assert means["high"] == 1.0
    assert 0.3 < means["low"] < 0.7
    assert decision(report, "favouring")["decision"] == "reject"
    assert decision(report, "better")["decision"] == "promote"


def test_the_four_fifths_rule_holds_every_arm_by_itself(tmp_path, by_x):
    rule = {"kind": "selection_ratio", "positive": 1, "column": "group"}
    arms = {
        "control": builders.variant(cut=0.9),
        "even": builders.variant(cut=-1.0, flip_every=2),
        "far": builders.variant(cut=0.1),
    }
    report, _ = run(tmp_path, [rule], arms=arms)
    even, far = (of(report, arm, "selection of 1 by group") for arm in ("even", "far"))
    assert (far["verdict"], far["where"]) == ("breach", "low and high")
    assert (
        0.2 < far["comparison"]["estimate"] < 0.5
    )  # two thirds of the rows with x below 0.15 have x below 0.1, and none of the others
    assert "of low and high" in decision(report, "far")["reasons"][1]
    assert decision(report, "far")["decision"] == "reject"
    assert even["verdict"] in ("non_inferior", "undecided")
    # A bootstrap says nothing about a group in which no row is selected.
    seldom, _ = run(tmp_path, [rule], arms={"control": builders.variant(cut=0.9), "seldom": builders.variant(cut=0.5)})
    assert of(seldom, "seldom", "selection of 1 by group")["verdict"] == "not_testable"
    assert decision(seldom, "seldom")["decision"] == "hold"


def test_larger_weights_than_the_ratio_allows_are_a_reject(tmp_path):
    rules = [{"kind": "size", "quantity": "num_parameters", "max_ratio": 1.5}]
    report, _ = run(tmp_path, rules, arms={"control": builders.variant(flip_every=5), "better": builders.variant()})
    found = of(report, "better", "num_parameters")
    assert found["verdict"] == "not_testable"
    assert decision(report, "better")["decision"] == "hold"
    assert "num_parameters of 'better' and 'control' is not known" in decision(report, "better")["reasons"][1]


@pytest.mark.parametrize(("believed", "expected"), [(0.1, "hold"), (0.5, "promote")])
def test_an_improvement_that_is_too_good_asks_for_a_leak_check(tmp_path, believed, expected):
    rules = [{"kind": "suspicious_improvement", "max_improvement": believed}]
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant()}
    report, _ = run(tmp_path, rules, arms=arms)
    decided = decision(report, "better")
    assert decided["decision"] == expected
    if expected == "hold":
        assert "too good to be true" in decided["reasons"][1]
        assert "look for a leak" in decided["next_step"]


def test_thirty_rows_hold_and_say_how_many_would_do(tmp_path):
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant(flip_every=7)}
    report, _ = run(tmp_path, [], arms=arms, num_rows=30)
    decided = decision(report, "better")
    assert decided["decision"] == "hold"
    assert "more rows would show whether the arm is better" in decided["next_step"]
