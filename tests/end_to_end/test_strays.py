"""Files that are not Assay's, and damaged records of other runs, are named and stop nobody."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli.main import app
from assay.cluster.report.record import document
from assay.evaluator.ledger import reader
from assay.evaluator.storage import open_store
from assay.manifests.ledger_layout import commit_key, run_key
from tests import builders

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}
STRAYS = (
    ".nfs0001",
    ".DS_Store",
    "x.txt",
    "empty.json",
    "empty.parquet",
    "somebody.parquet",
    "u000001 copy.parquet",
    "folder/x.json",
    "\udcff.json",
)
FOLDERS = (
    "",
    "runs/",
    "commits/",
    "data/",
    "data/scores/",
    "index/",
    "calibrations/",
    "calibrations/someone/",
    "tables/",
    "tables/t/",
)


def committed(folder: Path, *, name: str) -> pipeline.Prepared:
    path = builders.write_experiment(folder, arms=ARMS, num_rows=64, name=name)
    prepared = pipeline.prepare(str(path))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


def events(prepared: pipeline.Prepared) -> list[tuple[str, str]]:
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    rows = reader.read_table(prepared.store, files, "events").to_pylist()
    return [(row["kind"], row["message"]) for row in rows]


def digest(prepared: pipeline.Prepared) -> str:
    return document(prepared.store, prepared.run.run_id).plain()["scores_digest"]


def scatter(folder: Path, names: Sequence[str] = STRAYS) -> None:
    """Puts stray files into a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            continue
        path.write_text("" if name.startswith("empty") else "not Assay's")
        if name == "somebody.parquet":
            pq.write_table(pa.table({"x": [1]}), path)


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, str, str]:
    """A folder with a committed run; the run's id and digest."""
    folder = tmp_path_factory.mktemp("first")
    prepared = committed(folder, name="first")
    return folder, prepared.run.run_id, digest(prepared)


@pytest.fixture
def ledger(first, tmp_path) -> Path:
    shutil.copytree(first[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "ledger"


def invoked(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, list(arguments))
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome.exit_code, outcome.output


def test_files_that_are_not_assays_stop_no_run_and_no_command_and_are_named(first, ledger):
    _, run_id, expected = first
    for folder in FOLDERS:
        scatter(ledger / "v2" / folder)
    scatter(ledger / f"v2/data/scores/{run_id}")
    scatter(ledger / f"v2/data/scores/{run_id}/better")
    for folder in ("", "refs/", "refs/small/", "shards/", "findings/small/v1/"):
        scatter(ledger.parent / "datasets" / folder, STRAYS[:3])  # any .json would be a version, which is damaged
    again = committed(ledger.parent, name="second")
    assert digest(again) == expected
    found = events(again)
    assert any(kind == "reused" for kind, _ in found)
    named = {message.split("'")[1] for kind, message in found if kind == "foreign_file"}
    assert {f"v2/runs/{name}" for name in (".nfs0001", "x.txt", "empty.parquet", "folder/x.json")} <= named
    assert ("reuse_refused", "'v2/runs/empty.json' was changed, or was written by another release of Assay") in {
        (kind, message.partition(" (")[0]) for kind, message in found
    }
    assert again.run.run_id in invoked("ledger", "ls", "--ledger", str(ledger))[1]
    code, said = invoked("ledger", "verify", "--ledger", str(ledger))
    assert code == 1
    for folder in (each for each in FOLDERS if each not in ("calibrations/someone/", "tables/t/")):
        assert f"v2/{folder}x.txt: was not written by Assay" in said
    assert "v2/runs/\\udcff.json: was not written by Assay" in said
    assert invoked("ledger", "show", run_id, "--ledger", str(ledger))[0] == 0
    assert invoked("ledger", "trace", run_id, "better", "accuracy", "--ledger", str(ledger))[0] == 0
    assert invoked("gate", run_id, "--ledger", str(ledger))[0] in (0, 3, 4)
    assert invoked("gate", "calibrate", run_id, "--permutations", "1", "--ledger", str(ledger))[0] == 0
    listed = json.loads(invoked("dataset", "ls", str(ledger.parent / "datasets"), "--json")[1])
    assert [each["reference"] for each in listed] == ["small@v1"]


def of_another_release(content: bytes) -> bytes:
    record = json.loads(content)
    del record["unit_keys"]
    return json.dumps(record).encode()


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "no JSON": lambda content: b"\x00" * len(content),
    "deep": lambda content: b"[" * 100_000,
    "a list": lambda content: b"[]",
    "a number": lambda content: b"1",
    "of another release": of_another_release,
    "other types": lambda content: content.replace(b'"variant_digests": {', b'"variant_digests": [], "x": {'),
    "a circle": lambda content: content.replace(b'"supersedes": null', b'"supersedes": "RUN"'),
}


def _sampled(damages: Iterable[str], *sample: str) -> list[Any]:
    return [pytest.param(each, marks=() if each in sample else pytest.mark.extended) for each in damages]


@pytest.mark.parametrize("damage", _sampled(DAMAGES, "of another release"))
def test_a_damaged_record_of_another_run_stops_nobody_and_is_named(first, ledger, damage):
    _, run_id, expected = first
    path = ledger / run_key(run_id)
    path.write_bytes(DAMAGES[damage](path.read_bytes()).replace(b"RUN", run_id.encode()))
    again = committed(ledger.parent, name="second")
    assert digest(again) == expected
    is_usable = damage == "a circle"
    assert any(kind == "reused" for kind, _ in events(again)) == is_usable
    assert any(kind == "reuse_refused" and run_key(run_id) in message for kind, message in events(again)) != is_usable
    assert any(run_key(run_id) in each for each in invoked("ledger", "verify", "--ledger", str(ledger))[1].splitlines())


@pytest.mark.parametrize("damage", _sampled(("empty", "cut", "no JSON"), "cut"))
def test_a_damaged_commit_record_of_another_run_stops_nobody(first, ledger, damage):
    _, run_id, expected = first
    path = ledger / commit_key(run_id)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again = committed(ledger.parent, name="second")
    assert digest(again) == expected
    refused = [message for kind, message in events(again) if kind == "reuse_refused"]
    assert [message for message in refused if f"'{commit_key(run_id)}' cannot be read" in message]


@pytest.mark.extended
def test_a_link_to_nothing_where_another_runs_record_was_is_named(first, ledger):
    _, run_id, expected = first
    path = ledger / run_key(run_id)
    path.unlink()
    path.symlink_to("gone")
    again = committed(ledger.parent, name="second")
    assert digest(again) == expected
    assert any("a symbolic link that leads nowhere" in message for _, message in events(again))


def test_tidy_removes_what_writers_left_and_lists_unfinished_runs(first, ledger, monkeypatch):
    _, run_id, _ = first
    (ledger / commit_key(run_id)).unlink()
    left = ledger / ".tmp" / ("a" * 32)
    left.write_bytes(b"half")
    assert invoked("ledger", "tidy", "--ledger", str(ledger))[1].endswith(f"{ledger}: 0 incomplete files removed\n")
    monkeypatch.setattr("assay.evaluator.ledger.leftovers.LEFT_AFTER_S", 0.0)
    code, said = invoked("ledger", "tidy", "--ledger", str(ledger), "--json")
    assert code == 0
    stored = list(open_store(str(ledger)).listing(f"v2/data/scores/{run_id}/"))
    assert json.loads(said) == {
        "removed": [{"key": f".tmp/{'a' * 32}", "size_bytes": 4}],
        "unfinished": [
            {"run_id": run_id, "num_files": len(stored), "size_bytes": sum(each.size_bytes for each in stored)}
        ],
    }
    assert not left.exists()
    said = invoked("ledger", "tidy", "--ledger", str(ledger))[1]
    assert f"{run_id}  unfinished, {len(stored)} units" in said
