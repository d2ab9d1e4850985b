"""`assay report --timing`: where the time of a run was spent."""

import json

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from tests import builders

DELAY_S = 0.02
NUM_BATCHES = 7


@pytest.fixture
def experiment(tmp_path) -> str:
    """A run in which one arm sleeps and two arms are reused from an earlier run."""
    names = ("control", "better")
    arms = {name: builders.ARMS[name] for name in names}
    slow = {**arms, "slow": builders.variant(delay_s=DELAY_S)}
    for each in (arms, slow):
        experiment = builders.write_experiment(tmp_path, arms=each)
        pipeline.run(pipeline.prepare(str(experiment)), in_process=True, on_progress=lambda arm, units: None)
    return str(experiment)


def answer(*options: str) -> str:
    outcome = CliRunner().invoke(main.app, ["report", *options])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_time_is_told_per_arm_and_per_slot_and_none_twice(experiment):
    timing = json.loads(answer(experiment, "--timing", "--json"))
    arms = {row["arm"]: row for row in timing["arms"]}
    assert arms["slow"]["num_rows_evaluated"] == 200
    assert arms["slow"]["num_units_evaluated"] == 7
    assert NUM_BATCHES * DELAY_S <= arms["slow"]["predict_s"] < arms["slow"]["busy_s"]
    assert NUM_BATCHES * DELAY_S <= arms["slow"]["forward_s"] <= arms["slow"]["predict_s"]
    assert arms["slow"]["write_s"] > 0
    assert arms["slow"]["rows_per_s"] == pytest.approx(200 / arms["slow"]["busy_s"])
    assert arms["better"]["num_units_reused"] == 7
    assert (arms["better"]["num_units_evaluated"], arms["better"]["busy_s"], arms["better"]["predict_s"]) == (
        0,
        0,
        None,
    )
    (slot,) = timing["slots"]
    assert slot["busy_s"] == arms["slow"]["busy_s"]
    assert 0.5 < slot["busy_fraction"] <= 1.01  # the only slot did nothing else
    assert slot["busy_s"] / slot["span_s"] == slot["busy_fraction"]
    assert slot["bytes_fetched"] > 0


def test_time_in_the_terminal_names_arms_slots_and_the_reused(experiment):
    text = answer(experiment, "--timing")
    assert "seconds per arm" in text
    assert "in-process" in text
    assert "7 of 7" in text
