"""Experiments whose arms are the files in `variants`, and what is left of their processes."""

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests import builders

VARIANTS = Path(__file__).parents[2] / "variants"
INNOCENT = {
    "looks": {**builders.variant(), "entrypoint": "innocent:looks"},
    "computes": {**builders.variant(), "entrypoint": "innocent:computes"},
    "torch": {**builders.variant(), "entrypoint": "innocent:build", "predictor": "torch", "inputs": ["x"]},
    "again": {**builders.variant(), "entrypoint": "innocent:looks"},
}
"""The arms that do no harm. The first one is the control."""

SUITE = {**builders.SUITE, "plan": {**builders.SUITE["plan"], "control": "looks"}}


def arm(entrypoint: str, *, load: bool = False, **parameters: object) -> dict:
    """A callable variant of one of the files in `variants`."""
    return {**builders.variant(**parameters), "entrypoint": entrypoint, **({"load": True} if load else {})}


def interleaved(others: dict[str, dict]) -> dict[str, dict]:
    """Innocent arms before, between and after others: the last one is the control's twin."""
    (*first, last), names = INNOCENT, list(others)
    every = -(-len(names) // len(first))
    arms: dict[str, dict] = {}
    for number, name in enumerate(first):
        arms |= {name: INNOCENT[name]} | {each: others[each] for each in names[number * every : (number + 1) * every]}
    return arms | {last: INNOCENT[last]}


@dataclass(frozen=True)
class Ended:
    """What a run has left.

    Attributes:
        report: Its report as plain data.
        seconds: How long it took.
    """

    report: dict
    seconds: float

    def arm(self, name: str) -> dict:
        """An arm's row of the report."""
        return next(each for each in self.report["arms"] if each["arm"] == name)

    def innocent(self) -> dict[str, str]:
        """The status, or the reason of a failure, and the digest of the scores of each innocent arm."""
        rows = {name: self.arm(name) for name in INNOCENT}
        return {name: f"{row['status']} {row['reason']} {row['scores_digest']}" for name, row in rows.items()}

    def outcomes(self) -> dict[str, str]:
        """The status of every other arm, and why it failed: all that its events say."""
        events: dict[str, str] = {}
        for each in self.report["events"]:
            events[each["arm"]] = events.get(each["arm"], "") + "\n" + each["message"]
        rows = {row["arm"]: row for row in self.report["arms"] if row["arm"] not in INNOCENT}
        return {
            name: row["status"] if row["status"] == "complete" else f"{row['reason']}{events.get(name, '')}"
            for name, row in rows.items()
        }


def write(folder: Path, arms: dict[str, dict], *, num_rows: int = 64, **resources: object) -> Path:
    """Writes an experiment with the files in `variants` beside it; its dataset has two units."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in VARIANTS.glob("*.py"):
        shutil.copy(each, folder)
    resources = {"max_attempts": 1, **resources}
    return builders.write_experiment(folder, arms=arms, suite=SUITE, num_rows=num_rows, resources=resources)


def ran(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Runs an experiment in workers whose temporary folders `left_folders` finds."""
    monkeypatch.setattr(tempfile, "tempdir", temporary(experiment.parent))
    started = time.monotonic()
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=False, on_progress=lambda arm, units: None)
    return Ended(document(prepared.store, prepared.run.run_id).plain(), time.monotonic() - started)


def temporary(folder: Path) -> str:
    """The folder for temporary files of a run in this folder; its path is short, because those of sockets must be."""
    link = folder / "tmp"
    if not link.is_symlink():
        link.symlink_to(tempfile.mkdtemp(prefix="aw-", dir="/tmp"))
    return str(link.readlink())


def left_folders(folder: Path) -> list[str]:
    """The temporary folders of workers that a run in this folder has left. Removes the folder that they were in."""
    place = Path(temporary(folder))
    left = [each.name for each in place.glob("assay-worker-*")]
    shutil.rmtree(place)
    (folder / "tmp").unlink()
    return left


def processes_of(folder: Path) -> dict[int, str]:
    """The processes of a run in this folder: its path is in their command line or in their environment."""
    found: dict[int, str] = {}
    places = [str(folder).encode(), *([temporary(folder).encode()] if (folder / "tmp").is_symlink() else [])]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                texts = command + (entry / "environ").read_bytes()
                if any(place in texts for place in places):
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[-200:]
    return found


def gone(folder: Path, *, within_s: float = 10.0) -> dict[int, str]:
    """The processes of a run in this folder that are still there after so many seconds."""
    until = time.monotonic() + within_s
    while (left := processes_of(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def in_a_child(work: Callable[[], object]) -> int:
    """The exit code of a forked process that does this work: whatever it sets is gone with it."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def num_open() -> int:
    """The number of descriptors that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
