"""Whatever is killed at whatever moment: no process of the run is left, and the run commits with the same digest."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.cluster.workers.process_tree import children
from tests import builders
from tests.cluster.workers import arms
from tests.forked import AssayProcess

NUM_UNITS = 7  # 200 rows in units of 32


def slow(folder: Path) -> Path:
    """An experiment whose workers live for some seconds."""
    delayed = {
        name: arms.arm("hostile:slowly", **{**each["parameters"], "delay_s": 0.1})
        for name, each in builders.ARMS.items()
    }
    shutil.copy(arms.VARIANTS / "hostile.py", folder)
    return builders.write_experiment(folder, arms=delayed, num_rows=200, resources={"max_slots": 1})


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> str:
    """The scores digest of an undisturbed run."""
    prepared = pipeline.prepare(str(slow(tmp_path_factory.mktemp("calm"))))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return digest(prepared)


def digest(prepared) -> str:
    return document(prepared.store, prepared.run.run_id).plain()["scores_digest"]


def started(folder: Path, **variables: str) -> AssayProcess:
    variables = {"TMPDIR": arms.temporary(folder), **variables}
    return AssayProcess("run", "experiment.yaml", "--json", folder=folder, variables=variables)


def stored(folder: Path) -> int:
    return len(list(folder.glob("ledger/v2/data/scores/*/*/*.parquet")))


def until(reached, process: AssayProcess | None = None, *, within_s: float = 120) -> None:
    """Waits until something is the case."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert process is None or process.poll() is None, process.wait()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def roles(folder: Path) -> dict[str, int]:
    """The processes of a run with one slot: its guard, its zygote and its worker, as far as they are there."""
    pids = arms.processes_of(folder).keys()
    parents = {child: pid for pid in pids for child in children(pid) if child in pids}
    for guard in pids - parents.keys():
        for zygote in [pid for pid, parent in parents.items() if parent == guard]:
            workers = [pid for pid, parent in parents.items() if parent == zygote]
            return {"guard": guard, "zygote": zygote, **({"worker": workers[0]} if workers else {})}
    return {}


def kill_one(folder: Path, role: str) -> float:
    """Kills a process of a run; the seconds until the next unit is stored."""
    until(lambda: role in roles(folder))
    pid = roles(folder)[role]
    before, at = stored(folder), time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: stored(folder) > before + 1)  # the next one may have been scored before
    return time.monotonic() - at


@pytest.mark.forked
@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(("worker",), id="worker"),
        pytest.param(("worker", "zygote", "guard"), id="each", marks=pytest.mark.extended),
    ],
)
def test_a_run_whose_processes_are_killed_commits_the_same_scores(tmp_path, expected, killed):
    experiment = slow(tmp_path)
    process = started(tmp_path)
    for role in killed:
        number = stored(tmp_path)
        until(lambda number=number: stored(tmp_path) > number + 1, process)
        print(f"{role} killed: {kill_one(tmp_path, role):.2f} s until another two units were stored")
    ended = process.wait()
    assert ended.returncode == 0, ended.stderr
    prepared = pipeline.prepare(str(experiment))
    assert digest(prepared) == expected
    events = document(prepared.store, prepared.run.run_id).plain()["events"]
    assert [each["kind"] for each in events].count("worker_lost") == len(killed)
    assert arms.gone(tmp_path) == {}
    assert arms.left_folders(tmp_path) == []


def waiting(folder: Path) -> Path:
    """An experiment with an arm that leaves a daemon, and one that waits while the file `waits` exists."""
    file = folder / "waits"
    harmful = {"daemon": arms.arm("hostile:acts", kind="daemon"), "waits": arms.arm("hostile:waits", file=str(file))}
    (control, *_) = arms.INNOCENT
    return arms.write(folder, {control: arms.INNOCENT[control], **harmful} | arms.INNOCENT, max_slots=1)


def moved(experiment: Path, alone: dict[str, str]) -> set[str]:
    """The innocent arms that did not end as when they are alone; two look at their working directory, which is another."""
    prepared = pipeline.prepare(str(experiment))
    rows = {row["arm"]: row for row in document(prepared.store, prepared.run.run_id).plain()["arms"]}
    return {name for name in ("computes", "torch") if rows[name]["scores_digest"] not in alone[name]}


def check_end(folder: Path, number: signal.Signals, code: int, alone: dict[str, str], **variables: str) -> None:
    """Ends the driver while an arm waits for ever; the next run commits as if nothing had happened."""
    experiment = waiting(folder)
    (folder / "waits").touch()
    process = started(folder, **variables)
    until(lambda: stored(folder) >= 4 and "worker" in roles(folder), process)
    at = time.monotonic()
    os.kill(process.pid, number)
    ended = process.wait(30)
    took_s = time.monotonic() - at
    assert ended.returncode == code, ended.stderr
    assert arms.gone(folder) == {}
    print(f"{number.name}: ended after {took_s:.2f} s, its processes after {time.monotonic() - at:.2f} s")
    left = arms.left_folders(folder)
    assert number == signal.SIGKILL or left == []
    (folder / "waits").unlink()
    again = started(folder, **variables).wait()
    assert again.returncode == 0, again.stderr
    assert moved(experiment, alone) == set()
    assert arms.gone(folder) == {}


ENDS = pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGKILL, -9, id="kill"),
        pytest.param(signal.SIGTERM, 1, id="term"),
    ],
)


@pytest.mark.forked
@pytest.mark.extended
@ENDS
def test_a_driver_that_is_ended_leaves_no_process(tmp_path, alone, number, code):
    check_end(tmp_path, number, code, alone)


@pytest.mark.ray
@pytest.mark.extended
@ENDS
def test_a_driver_on_ray_that_is_ended_leaves_no_process(tmp_path, local_ray, alone, number, code):
    import ray

    check_end(tmp_path, number, code, alone, RAY_ADDRESS=ray.get_runtime_context().gcs_address)


@pytest.mark.ray
def test_an_actor_that_is_killed_leaves_no_process_and_the_run_commits_the_same_scores(tmp_path, local_ray, expected):
    experiment = slow(tmp_path)
    prepared = pipeline.prepare(str(experiment))
    run = threading.Thread(
        target=pipeline.run, args=(prepared,), kwargs={"in_process": False, "on_progress": lambda arm, units: None}
    )
    run.start()
    until(lambda: stored(tmp_path) >= 3)
    before = arms.processes_of(tmp_path)
    guard = roles(tmp_path)["guard"]
    actor = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
    at, number = time.monotonic(), stored(tmp_path)
    os.kill(actor, signal.SIGKILL)
    until(lambda: not arms.processes_of(tmp_path).keys() & before.keys(), within_s=10)
    print(f"actor killed: its processes were gone after {time.monotonic() - at:.2f} s")
    until(lambda: stored(tmp_path) > number + 1)
    print(f"actor killed: {time.monotonic() - at:.2f} s until another two units were stored")
    print(f"worker killed on Ray: {kill_one(tmp_path, 'worker'):.2f} s until another two units were stored")
    run.join(120)
    assert digest(prepared) == expected
    assert arms.gone(tmp_path) == {}
