"""The A/A arm: how much the control differs from itself is noise, and no smaller improvement is promoted."""

import sys

import pytest

from assay.cluster import pipeline
from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.prepare.resolve import read_experiment
from assay.cluster.report.record import document
from assay.manifests import ManifestError
from tests import builders

CODE = """
import pathlib

import torch

class Wrong(torch.nn.Module):
    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, x):
        is_wrong = (x * 7919) % 1 < self.share
        towards_one = torch.where(is_wrong, 0.5 - x, x - 0.5)
        return torch.stack([-towards_one, towards_one], dim=1)

def wrong(share):
    return Wrong(share)

def drifting():
    # The predictions depend on whether it was loaded before, which no seed can fix.
    mark = pathlib.Path(__file__).with_name("loaded")
    is_first = not mark.exists()
    mark.write_text("yes")
    return Wrong(0.3 if is_first else 0.2)
"""


def variant(function: str, **parameters) -> dict:
    entrypoint = f"variants_that_drift:{function}"
    given = {"predictor": "torch", "entrypoint": entrypoint, "output": "logits", "inputs": ["x"]}
    return {**builders.variant(**parameters), **given}


def run(folder, arms, **fields) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "variants_that_drift.py").write_text(CODE)
    sys.modules.pop("variants_that_drift", None)  # it was imported from another folder
    ready = pipeline.prepare(str(builders.write_experiment(folder, arms=arms, **fields)))
    pipeline.run(ready, in_process=True, on_progress=lambda arm, units: None)
    return document(ready.store, ready.run.run_id).plain()


def of(report: dict, arm: str) -> tuple[dict, dict]:
    compared = {row["arm"]: row for row in report["analysis"]["comparisons"] if row["reference"] == "control"}
    return compared[arm], next(row for row in report["decisions"] if row["arm"] == arm)


def test_an_improvement_below_what_the_control_differs_from_itself_is_held(tmp_path):
    arms = {"control": variant("drifting"), "better": variant("wrong", share=0.25)}
    comparison, decision = of(run(tmp_path / "alone", arms), "better")
    assert (comparison["ci_low"] > 0, decision["decision"]) == (True, "promote")  # there is no other reason to hold it

    report = run(tmp_path / "twice", arms, aa=True)
    again, decision = of(report, "control-again")
    comparison, held = of(report, "better")
    assert 0 < comparison["ci_low"] < comparison["estimate"] < again["estimate"]
    assert (held["decision"], decision["decision"], report["gate"], report["winner"]) == ("hold", "hold", "hold", None)
    words = f"but the improvement does not exceed the noise floor: the control differs from itself by {again['estimate']:.4g}"
    assert words in held["reasons"][0]
    assert "'control-again', the A/A arm" in held["reasons"][0]
    assert "raise 'repeats' in the suite" in held["next_step"]
    assert decision["reasons"][0].startswith("A/A arm, the control 'control' scored a second time")


def test_a_control_without_noise_holds_nobody_and_is_no_candidate(assay, tmp_path):
    arms = {"control": builders.ARMS["control"], "better": builders.variant()}
    report = run(tmp_path / "better", arms, aa=True)
    assert [arm["arm"] for arm in report["arms"]] == ["control", "better", "control-again"]
    assert of(report, "better")[1]["decision"] == "promote"
    comparison, decision = of(report, "control-again")
    assert (comparison["estimate"], decision["decision"]) == (0.0, "hold")
    assert (report["gate"], report["winner"]["arm"]) == ("promote", "better")

    worse = {"control": builders.ARMS["control"], "worse": builders.variant(flip_every=2)}
    assert run(tmp_path / "worse", worse, aa=True)["gate"] == "reject"  # because the only candidate is rejected
    answer = assay("gate", "experiment.yaml", folder=tmp_path / "worse")
    assert (answer.returncode, "scored a second time" in answer.stdout) == (4, True)


def test_it_is_never_promoted_where_equal_arms_are(tmp_path):
    suite = {**builders.SUITE, "policy": {**builders.SUITE["policy"], "promote_on": "non_inferiority"}}
    suite["plan"] = {**suite["plan"], "margins": {"control-again": 0.1, "again": 0.1}}
    arms = {"control": builders.ARMS["control"], "again": builders.ARMS["again"]}
    report = run(tmp_path, arms, aa=True, suite=suite)
    assert (of(report, "again")[1]["decision"], of(report, "control-again")[1]["decision"]) == ("promote", "hold")


def test_it_is_scored_even_where_an_earlier_run_has_the_control(tmp_path):
    run(tmp_path, builders.ARMS)
    report = run(tmp_path, builders.ARMS, aa=True)
    reused = {arm["arm"]: arm["num_units_reused"] for arm in report["arms"]}
    assert (reused["control"] > 0, reused["control-again"]) == (True, 0)


def test_the_first_of_its_kind_may_be_promoted_beside_itself(tmp_path):
    suite = {**builders.SUITE, "policy": {**builders.SUITE["policy"], "bootstrap": True}}
    report = run(tmp_path, {"control": builders.ARMS["control"]}, aa=True, suite=suite)
    assert {row["arm"]: row["decision"] for row in report["decisions"]} == {
        "control": "promote",
        "control-again": "hold",
    }
    assert report["gate"] == "promote"


def test_a_race_does_not_drop_it(tmp_path):
    race = {"alpha": 0.1, "margin": 0.0, "first_units": 4, "growth": 2}
    arms = {"control": builders.variant(flip_every=2), "better": builders.variant()}
    arms["worst"] = builders.variant(flip_every=1)
    report = run(tmp_path, arms, aa=True, race=race, num_rows=1600)
    assert {arm["arm"]: arm["status"] for arm in report["arms"]} == {
        "control": "complete",
        "better": "complete",
        "worst": "eliminated",
        "control-again": "complete",
    }


def test_it_comes_behind_a_sweep_and_only_once(tmp_path):
    sweep = {"base": builders.variant(), "grid": {"parameters.cut": [0.4, 0.6]}}
    path = builders.write_experiment(tmp_path, arms={"control": builders.variant()}, sweep=sweep, aa=True)
    expanded = read_experiment(str(path)).expanded()
    names = [arm.name for arm in expanded.arms]
    assert (names[0], len(names), names[-1]) == ("control", 4, "control-again")
    assert expanded.expanded() == expanded  # a run records the expanded experiment
    without = builders.write_experiment(tmp_path, arms={"control": builders.variant()}, sweep=sweep)
    assert read_experiment(str(without)).expanded().digest() != expanded.digest()


def test_its_name_must_be_free(tmp_path):
    path = builders.write_experiment(tmp_path, arms={**builders.ARMS, "control-again": builders.variant()}, aa=True)
    with pytest.raises(ManifestError, match="as 'control-again', but another arm has that name; rename it"):
        read_experiment(str(path))


def test_where_it_failed_nobody_knows_the_noise_and_nothing_is_promoted(tmp_path, monkeypatch):
    load = ArmScorer.load

    def only_once(scorer, arm, **options):
        if arm == "control-again":
            raise MemoryError("gone")
        load(scorer, arm, **options)

    monkeypatch.setattr(ArmScorer, "load", only_once)
    report = run(tmp_path, {"control": builders.ARMS["control"], "better": builders.variant()}, aa=True)
    decisions = {row["arm"]: row for row in report["decisions"]}
    assert decisions["better"]["decision"] == decisions["control-again"]["decision"] == "hold"
    assert "it is unknown, because the A/A arm 'control-again' has no score" in decisions["better"]["reasons"][0]
    assert (
        "it could not be measured: unit 0: the variant cannot be loaded: MemoryError: gone"
        in decisions["control-again"]["reasons"][0]
    )
