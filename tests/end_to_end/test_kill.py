"""After SIGKILL of the driver, the resumed run has the undisturbed digest and repeats no published unit."""

import os
import signal
import time
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests import builders
from tests.forked import AssayProcess

NUM_UNITS = 7  # 200 rows in units of 32
NUM_ARMS = 4


def slow_arms(log: Path) -> dict[str, dict]:
    return {
        name: builders.variant(**{**each["parameters"], "delay_s": 0.016, "log": str(log)})
        for name, each in builders.ARMS.items()
    }


def start(experiment: Path) -> AssayProcess:
    return AssayProcess("run", experiment.name, "--in-process", "--json", folder=experiment.parent)


def kill_when(process: AssayProcess, reached, *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while process.poll() is None and not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert process.poll() is None, process.wait()
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait().returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> str:
    """The scores digest of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prepared = pipeline.prepare(str(builders.write_experiment(folder, arms=slow_arms(folder / "calm.log"))))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()["scores_digest"]


@pytest.mark.forked
@pytest.mark.parametrize("num_published", [0, 9, NUM_UNITS * NUM_ARMS], ids=lambda n: f"after_{n}_units")
def test_a_killed_run_goes_on_and_ends_with_the_same_digest(tmp_path, num_published, expected):
    log = tmp_path / "batches.log"
    experiment = builders.write_experiment(tmp_path, arms=slow_arms(log))
    ledger = tmp_path / "ledger" / "v2"

    def published() -> list[Path]:
        return sorted(ledger.glob("data/scores/*/*/*.parquet"))

    process = start(experiment)
    if num_published == 0:
        kill_when(process, lambda: any(ledger.glob("runs/*.json")))
    else:
        kill_when(process, lambda: len(published()) >= num_published)
    assert not list(ledger.glob("commits/*"))
    before = {path: path.stat().st_mtime_ns for path in published()}
    log.unlink(missing_ok=True)

    resumed = start(experiment).wait()
    assert resumed.returncode == 0, resumed.stderr
    prepared = pipeline.prepare(str(experiment))
    report = document(prepared.store, prepared.run.run_id).plain()
    assert report["scores_digest"] == expected
    assert {path: path.stat().st_mtime_ns for path in published() if path in before} == before
    num_batches_left = len(builders.evaluated_batches(log))
    assert num_batches_left == NUM_ARMS * NUM_UNITS - len(before)  # a unit is one batch
    assert prepared.run.run_id in resumed.stdout
