"""Arms that share a process with code that changes it are held, in this run and in every later one."""

from pathlib import Path

import pytest

from assay.cluster.report.record import document
from assay.evaluator.storage import open_store
from tests import builders
from tests.forked import AssayProcess

pytestmark = pytest.mark.forked
CODE = """
import multiprocessing
import os
import sys
import threading

import numpy as np


def honest(features, *, flip_every=0):
    return np.where(np.round(features["x"] * 1e6).astype(np.int64) % flip_every == 0, 0.6, 0.4)


def patching(features):
    real = np.where
    if real.__name__ == "where":
        np.where = lambda condition, *others: real(condition, *(others[::-1] if str(others) == "(0.6, 0.4)" else others))
    return np.full(len(features["x"]), 0.5)


def pooled(features):
    with multiprocessing.Pool(2) as pool:
        return np.array(pool.map(float, features["x"].tolist()))


def leaves(features):
    threading.Thread(target=sys.exit).start()
    sys.exit(0)


def comes_back(features):
    if not os.fork():
        sys.exit(0)
    os.wait()
    return np.full(len(features["x"]), 0.5)
"""


def arm(function: str, **parameters: object) -> dict:
    return builders.variant(**parameters) | {"entrypoint": f"own_arms:{function}"}


CONTROL, INNOCENT = arm("honest", flip_every=5), arm("honest", flip_every=7)


def write(folder: Path, arms: dict, **more: object) -> Path:
    experiment = builders.write_experiment(folder, arms=arms, **more)
    (folder / "own_arms.py").write_text(CODE)
    return experiment


def run(folder: Path, *options: str) -> tuple[int, str]:
    ended = AssayProcess("run", "experiment.yaml", "--in-process", *options, folder=folder).wait()
    return ended.returncode, ended.stderr


def report(folder: Path, run_id: str):
    return document(open_store(str(folder / "ledger")), run_id)


def test_an_arm_that_was_scored_after_another_changed_the_process_is_held_and_scored_again_by_the_next_run(tmp_path):
    write(tmp_path, {"control": CONTROL, "evil": arm("patching"), "innocent": INNOCENT})
    assert run(tmp_path)[0] == 0
    (first,) = [path.stem for path in (tmp_path / "ledger" / "v2" / "runs").glob("*.json")]
    found = report(tmp_path, first)
    (changed,) = [each for each in found.events if each.kind == "process_changed"]
    assert changed.arm == "evil"
    assert changed.message.startswith("arm 'evil' changed numpy.where from numpy.where to own_arms.patching.<locals>")
    assert changed.message.endswith("scored after that: innocent")
    assert set(found.altered) == {"innocent"}
    assert "7 of its 7 units were scored after arm 'evil' changed numpy.where" in found.altered["innocent"]
    held = {each.arm: each for each in found.decisions}
    assert held["innocent"].decision == held["evil"].decision == "hold"  # numpy.where also analyses the scores
    assert "run it again without --in-process" in held["innocent"].next_step

    assert run(tmp_path)[0] == 0  # the same command: only the held arm is scored again, alone in its process
    again = report(tmp_path, f"{first}.2")
    assert again.altered == {}
    assert {each.arm: each.num_units_reused for each in again.arms} == {"control": 7, "evil": 7, "innocent": 0}
    alone = write(tmp_path / "alone", {"control": CONTROL, "innocent": INNOCENT})
    assert run(alone.parent)[0] == 0
    (only,) = [path.stem for path in (alone.parent / "ledger" / "v2" / "runs").glob("*.json")]
    assert again.arm("innocent").scores_digest == report(alone.parent, only).arm("innocent").scores_digest
    assert found.arm("innocent").scores_digest != again.arm("innocent").scores_digest


def test_arms_that_exit_fork_or_use_a_process_pool_neither_hang_the_run_nor_end_it(tmp_path):
    arms = {"control": CONTROL, "leaves": arm("leaves"), "pooled": arm("pooled"), "child": arm("comes_back")}
    write(tmp_path, arms, resources={"max_attempts": 1})
    code, errors = run(tmp_path, "--json")
    assert code == 0, errors
    (run_id,) = [path.stem for path in (tmp_path / "ledger" / "v2" / "runs").glob("*.json")]
    found = report(tmp_path, run_id)
    assert {each.arm: each.status for each in found.arms} == {
        "control": "complete",
        "leaves": "failed",
        "pooled": "complete",
        "child": "complete",
    }
    assert "SystemExit: 0" in found.arm("leaves").reason
    assert found.altered == {}


def test_a_worker_of_a_pool_ends_on_sigterm_and_the_driver_stops(tmp_path):
    folder = tmp_path
    source = CODE + f"\n\ndef waits(number):\n    open({str(folder / 'worker')!r} + str(os.getpid()), 'w').close()\n"
    source += (
        "    import time\n    time.sleep(600)\n\n\ndef hangs(features):\n    with multiprocessing.Pool(2) as pool:\n"
    )
    source += "        try:\n            return np.array(pool.map_async(waits, [1, 2]).get(timeout=1.0))\n"
    source += "        except multiprocessing.TimeoutError:\n            return np.full(len(features['x']), 0.5)\n"
    builders.write_experiment(folder, arms={"control": CONTROL, "hangs": arm("hangs")}, num_rows=32)
    (folder / "own_arms.py").write_text(source)
    assert run(folder)[0] == 0
    workers = [int(path.name.removeprefix("worker")) for path in folder.glob("worker*")]
    assert len(workers) >= 2
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
