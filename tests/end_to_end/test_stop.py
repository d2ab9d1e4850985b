"""A stopped run commits the complete arms, says what is missing, and resumes when it is run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.commit import analysis
from assay.cluster.drive import driver, progress
from assay.cluster.errors import RunError, StoppedError
from assay.cluster.report.record import document
from assay.evaluator.ledger import reader, writer
from assay.manifests.ledger_layout import progress_key
from assay.manifests.progress import Progress
from tests import builders
from tests.forked import AssayProcess

NUM_UNITS = 7


def delayed(delay_s: float) -> dict[str, dict]:
    """The arms, each of which sleeps `delay_s` seconds per batch."""
    return {
        name: {**each, "parameters": {**each["parameters"], "delay_s": delay_s}} for name, each in builders.ARMS.items()
    }


SLOW = delayed(0.02)  # long enough that a busy machine does not end the run before the signal comes


def run(experiment) -> dict:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def told(prepared) -> Progress:
    return Progress.model_validate_json(prepared.store.get(progress_key(prepared.run.run_id)).to_pybytes())


def terminated(folder: Path, *, after_units: int) -> subprocess.CompletedProcess:
    """Runs `assay run` in its own process and sends it SIGTERM once the ledger has `after_units` units."""
    process = AssayProcess("run", "experiment.yaml", "--in-process", "--json", folder=folder)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("ledger/v2/data/scores/*/*/*.parquet"))) < after_units:
        assert process.poll() is None, process.wait()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGTERM)
    return process.wait(60)


@pytest.mark.forked
def test_sigterm_commits_the_arms_that_are_whole_and_the_next_run_does_the_others(tmp_path):
    expected = run(builders.write_experiment(tmp_path / "calm", arms=SLOW))
    experiment = builders.write_experiment(tmp_path / "stopped", arms=SLOW)
    first = pipeline.prepare(str(experiment))
    ended = terminated(tmp_path / "stopped", after_units=2 * NUM_UNITS + 1)
    assert ended.returncode == 1
    assert "was stopped: SIGTERM" in ended.stderr
    assert "run the same command again" in ended.stderr
    report = document(first.store, first.run.run_id).plain()
    status = {arm["arm"]: arm["status"] for arm in report["arms"]}
    assert status["control"] == status["better"] == "complete"
    assert status["again"] == "stopped"
    assert {row["arm"]: row["decision"] for row in report["decisions"]}["again"] == "hold"
    assert told(first).state == "stopped"

    second = run(experiment)
    assert second["supersedes"] == first.run.run_id
    assert second["scores_digest"] == expected["scores_digest"]
    assert {arm["arm"]: arm["num_units_reused"] for arm in second["arms"]}["better"] == NUM_UNITS


@pytest.mark.forked
def test_sigterm_before_a_variant_is_whole_commits_nothing_and_the_next_run_goes_on(tmp_path):
    experiment = builders.write_experiment(tmp_path, arms=delayed(0.02))
    ended = terminated(tmp_path, after_units=2)
    assert ended.returncode == 1
    assert "before any variant could be compared: SIGTERM" in ended.stderr
    prepared = pipeline.prepare(str(experiment))
    assert not reader.is_committed(prepared.store, prepared.run.run_id)
    report = run(experiment)
    assert report["run_id"] == prepared.run.run_id
    assert "resumed" in {event["kind"] for event in report["events"]}


def test_a_spent_budget_stops_the_run_and_a_larger_one_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "_TICK_S", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)
    experiment = builders.write_experiment(
        tmp_path, arms=delayed(0.02), budget={"price": 0.5}, prices={"cpu_hour": 3600.0}
    )
    prepared = pipeline.prepare(str(experiment))
    with pytest.raises(StoppedError, match=r"budget exhausted: budget.price is 0.5"):
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    spent = told(prepared).spent
    assert spent.price >= 0.5
    assert spent.price == pytest.approx(spent.cpu_s)  # the price is 1 per second
    num_records = len(list((tmp_path / "ledger/v2/runs").iterdir()))
    with pytest.raises(StoppedError, match=r"nothing was started: budget exhausted: .*raise the budget"):
        pipeline.run(pipeline.prepare(str(experiment)), in_process=True, on_progress=lambda arm, units: None)
    assert len(list((tmp_path / "ledger/v2/runs").iterdir())) == num_records
    builders.write_experiment(tmp_path, arms=delayed(0.02), budget={"price": 100.0}, prices={"cpu_hour": 3600.0})
    assert {arm["status"] for arm in run(experiment)["arms"]} == {"complete"}
    assert told(pipeline.prepare(str(experiment))).spent.price > spent.price


def test_sigterm_after_the_last_unit_waits_for_the_commit(tmp_path, monkeypatch):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    carried_out = analysis.analysed

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return carried_out(*arguments, **options)

    monkeypatch.setattr(analysis, "analysed", interrupted)
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    assert reader.is_committed(prepared.store, prepared.run.run_id)
    assert told(prepared).state == "committed"


def test_a_driver_that_comes_second_does_not_take_a_commit_with_fewer_arms_for_its_own(tmp_path, monkeypatch):
    experiment = builders.write_experiment(tmp_path)
    prepared = pipeline.prepare(str(experiment))
    commit = writer.commit

    def second(store, run, files, **known):
        if not reader.is_committed(store, run.run_id):  # the other driver's commit, in which an arm was stopped
            (written,) = [file for file in files if file.table == "arms"]
            arms = reader.read_table(store, [written], "arms").to_pylist()
            stopped = [{**row, "status": "stopped"} if row["arm"] == "again" else row for row in arms]
            commit(store, run, [writer.write_table(store, "arms", stopped, run_id=run.run_id)])
        return commit(store, run, files, **known)

    monkeypatch.setattr(writer, "commit", second)
    with pytest.raises(RunError, match="another driver committed it first, with fewer arms"):
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)


def test_ctrl_c_is_answered_in_words(tmp_path, monkeypatch, capsys):
    def pressed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "prepare", pressed)
    monkeypatch.setattr(sys, "argv", ["assay", "run", str(tmp_path / "experiment.yaml")])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 130
    assert "interrupted; published units are kept" in capsys.readouterr().err
