"""A forecast predicts time and cost from earlier runs, or from a few batches timed here, and writes nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.forecast import forecast
from assay.manifests import Budget, Prices
from tests import builders

NUM_UNITS = 7  # 200 rows in units of 32
DELAY_S = 0.03
SLOW = builders.variant(delay_s=DELAY_S, flip_every=5)
ARMS = {"control": SLOW, "fast": builders.variant(flip_every=3), "broken": builders.variant("raises", above=0.1)}


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def prepared(folder, **fields) -> pipeline.Prepared:
    return pipeline.prepare(str(builders.write_experiment(folder, **fields)))


def run(folder, **fields) -> pipeline.Prepared:
    ready = prepared(folder, **fields)
    pipeline.run(ready, in_process=True, on_progress=lambda arm, units: None)
    return ready


def test_what_no_run_knows_is_probed_here_and_nothing_is_written(tmp_path):
    ready = prepared(tmp_path, arms=ARMS, prices={"cpu_hour": 36.0}, resources={"num_cpus": 2.0})
    before = files(tmp_path)
    found = forecast(ready, in_process=True)
    assert files(tmp_path) == before
    control, fast, broken = found.arms
    assert (control.num_units_left, control.num_rows_left, control.num_units_reused) == (NUM_UNITS, 200, 0)
    assert control.source == "128 rows timed in this process on cpu"
    assert 25 * DELAY_S < control.slot_s < 150 * DELAY_S  # 25 batches, and the probe of the batch size
    assert fast.slot_s < control.slot_s / 2
    assert control.price == pytest.approx(control.slot_s * 2 * 36 / 3600)
    assert "cannot take this batch" in broken.problem
    assert not found.is_complete
    assert (found.num_slots, found.num_waves) == (1, 3)
    assert found.wall_s == pytest.approx(control.slot_s + fast.slot_s)


def test_what_earlier_runs_know_or_have_scored_is_not_probed(tmp_path):
    first = run(tmp_path, arms={"control": SLOW, "fast": builders.variant()})
    arms = {"control": SLOW, "fast": builders.variant(), "new": builders.variant(delay_s=0.0, flip_every=9)}
    ready = prepared(tmp_path, arms=arms)
    found = forecast(ready, in_process=True)
    assert [(arm.num_units_reused, arm.num_units_left) for arm in found.arms] == [(7, 0), (7, 0), (0, 7)]
    assert found.arms[2].source.startswith(f"run {first.run.run_id} on cpu")
    without_reuse = forecast(ready, in_process=True, reuses=False)
    assert without_reuse.arms[0].source == f"run {first.run.run_id} on cpu"
    assert [arm.num_units_left for arm in without_reuse.arms] == [NUM_UNITS] * 3
    assert without_reuse.arms[0].slot_s > 25 * DELAY_S
    run(tmp_path, arms=arms)
    assert forecast(prepared(tmp_path, arms=arms), in_process=True).slot_hours == 0


def test_waves_and_wall_time_follow_from_the_slots_there_may_be(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://a-cluster")  # a forecast does not connect
    arms = dict.fromkeys(("control", "a", "b", "c"), builders.variant(delay_s=0.001))
    ready = prepared(tmp_path, arms=arms, resources={"max_slots": 3, "replicas": 2})
    found = forecast(ready, in_process=False)
    assert (found.num_slots, found.slots_known, found.num_waves) == (3, True, 3)  # 4 arms x 2 replicas
    assert found.wall_s == pytest.approx(found.slot_hours * 3600 / 3)
    unknown = forecast(prepared(tmp_path, arms=arms), in_process=False)
    assert (unknown.num_slots, unknown.slots_known, unknown.num_waves) == (4, False, 1)
    assert unknown.wall_s == pytest.approx(max(arm.slot_s for arm in unknown.arms))


@pytest.mark.parametrize(
    ("price", "exceeds", "warns"), [(1e-9, True, True), (1e9, False, False)], ids=["too little", "enough"]
)
def test_it_says_what_the_budget_will_not_bear(tmp_path, price, exceeds, warns):
    ready = prepared(tmp_path, prices={"cpu_hour": 1.0}, budget={"price": price})
    found = forecast(ready, in_process=True)
    assert found.exceeds.startswith("budget exhausted: budget.price") == exceeds
    assert bool(found.warnings) == warns
    assert Budget(price=price).warn_at == 0.8
    assert Prices().cpu_hour == 0


@pytest.mark.parametrize("as_json", [True, False])
def test_the_verb_answers_in_both_forms(tmp_path, as_json):
    experiment = builders.write_experiment(tmp_path, arms=ARMS, budget={"slot_hours": 1e-9})
    found = CliRunner().invoke(
        main.app, ["run", str(experiment), "--dry-run", "--in-process", *(["--json"] if as_json else [])]
    )
    assert found.exit_code == 0, found.output
    assert not (tmp_path / "ledger").exists()
    if as_json:
        assert [arm["arm"] for arm in json.loads(found.stdout)["arms"]] == list(ARMS)
    else:
        text = " ".join(found.stdout.split())
        assert "the run would not finish: budget exhausted: budget.slot_hours is 1e-09" in text
        assert "a few batches on this machine and device" in text
        assert "these totals lack the arms that could not be timed" in text
