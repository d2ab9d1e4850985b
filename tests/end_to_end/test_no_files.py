"""Folders, pipes, sockets, devices and dead links where a ledger's files must be: named, set aside, and fatal to nobody."""

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from assay.cluster.cli.main import app
from assay.evaluator.errors import OutageError, StoreError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import open_store
from assay.evaluator.storage.local import LocalStore
from assay.manifests.errors import AssayError
from assay.manifests.ledger_layout import commit_key, log_key, progress_key, run_key, unit_key
from tests import builders
from tests.unfinished import ARMS, NUM_ROWS, Unfinished, prepare, run


def folder_with_files(path: Path) -> None:
    path.mkdir()
    (path / "x.parquet").write_text("x")


def bound_socket(path: Path) -> None:
    name = path.parent / "s"  # a path may be too long for a socket's name
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(name.name)
    os.chdir(here)
    name.rename(path)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty folder": (Path.mkdir, "a folder"),
    "folder": (folder_with_files, "a folder"),
    "pipe": (os.mkfifo, "a named pipe"),
    "socket": (bound_socket, "a socket"),
    "dead link": (lambda path: path.symlink_to("gone"), "a symbolic link that leads nowhere"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
}


def put_in_place(kind: str, path: Path) -> str:
    """Replaces a file by something else, and returns what that is."""
    path.unlink(missing_ok=True)
    KINDS[kind][0](path)
    return KINDS[kind][1]


def invoked(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, list(arguments))
    if isinstance(outcome.exception, AssayError):
        return outcome.exception.exit_code, str(outcome.exception)
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome.exit_code, outcome.output


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory) -> Unfinished:
    folder = tmp_path_factory.mktemp("unfinished")
    return Unfinished(builders.write_experiment(folder, arms=ARMS, num_rows=NUM_ROWS))


@pytest.fixture
def resumed(unfinished) -> Unfinished:
    for name in ("data", "set-aside"):
        shutil.rmtree(Path(unfinished.store.uri, "v2", name), ignore_errors=True)
    unfinished.restore()
    return unfinished


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str]:
    """A folder with an experiment whose run is committed; the run's id."""
    folder = tmp_path_factory.mktemp("whole")
    prepared = prepare(builders.write_experiment(folder, arms=ARMS, num_rows=64))
    run(prepared)
    return folder, prepared.run.run_id


@pytest.fixture
def ledger(whole, tmp_path) -> Path:
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "ledger"


def test_whatever_is_in_a_units_place_is_set_aside_by_name_and_scored_again(resumed):
    places = {}
    for kind, key in zip(KINDS, resumed.units, strict=True):
        places[key] = put_in_place(kind, resumed.store.path(key))
    run(resumed.prepared)
    events = [event for event in resumed.events() if event["kind"] == "set_aside"]
    assert len(events) == len(places)
    for key, words in places.items():
        (message,) = (event["message"] for event in events if f"'{key}'" in event["message"])
        assert f"is {words}, but must be a file; moved to '" in message
        assert os.path.lexists(resumed.store.path(message.split("moved to '")[1].partition("'")[0]))
    assert resumed.tables() == resumed.expected
    assert verify_ledger(resumed.store).problems == ()


def test_a_file_of_impossible_size_in_a_units_place_is_set_aside_unread(resumed):
    zeros, end = unit_key(resumed.run_id, "better", 0), unit_key(resumed.run_id, "better", 1)
    resumed.store.path(zeros).unlink()
    with resumed.store.path(zeros).open("wb") as file:
        file.truncate(40 << 30)
    with resumed.store.path(end).open("wb") as file:  # its end is that of the unit
        file.truncate((40 << 30) - len(resumed.kept[end]))
        file.seek(0, os.SEEK_END)
        file.write(resumed.kept[end])
    run(resumed.prepared)
    resumed.check(damaged=[zeros, end])
    sizes = [each.size_bytes for each in resumed.store.listing("v2/set-aside/")]
    assert sizes == [40 << 30, 40 << 30]


def test_no_unit_has_an_impossible_size_by_its_footer(resumed, monkeypatch):
    monkeypatch.setattr("assay.evaluator.ledger.unit_file._LARGE_BYTES", 0)
    run(resumed.prepared)
    resumed.check(damaged=[])


def test_a_link_to_a_damaged_file_is_set_aside_and_the_file_stays(resumed, tmp_path):
    key = resumed.units[0]
    target = tmp_path / "elsewhere"
    target.write_bytes(resumed.kept[key][:-9])
    resumed.store.path(key).unlink()
    resumed.store.path(key).symlink_to(os.path.relpath(target, resumed.store.path(key).parent))
    run(resumed.prepared)
    resumed.check(damaged=[key])
    assert target.exists()


@pytest.mark.parametrize("kind", ["empty folder", "pipe", pytest.param("dead link", marks=pytest.mark.extended)])
def test_verify_names_every_place_of_a_file_that_has_none_and_goes_on(whole, ledger, kind):
    run_id = whole[1]
    (table,) = (ledger / f"v2/data/metrics/{run_id}").iterdir()
    unit, other = (ledger / unit_key(run_id, "better", index) for index in (0, 1))
    other.write_bytes(b"damaged")
    keys = {
        log_key(1),
        log_key(2),
        progress_key(run_id),
        "v2/index/log.json",
        "v2/index/runs.json.gz",
        "v2/patches/" + "0" * 64 + ".patch",
        f"v2/calibrations/{run_id}/seed0-n1.json",
        "v2/tables/t/p.parquet",
        "v2/submissions/s/run.json",
        *(path.relative_to(ledger).as_posix() for path in (table, unit)),
    }
    for key in keys:
        (ledger / key).parent.mkdir(parents=True, exist_ok=True)
        words = put_in_place(kind, ledger / key)
    for command in (("verify",), ("verify", "--deep")):
        code, said = invoked("ledger", *command, "--ledger", str(ledger), "--json")
        assert code == 1
        named = {each["key"]: each["problem"] for each in json.loads(said)["problems"]}
        assert {key for key, problem in named.items() if problem.startswith(f"is {words}, but must be")} == keys
        assert "was changed" in named[other.relative_to(ledger).as_posix()]


@pytest.mark.parametrize("key_of", [run_key, commit_key])
@pytest.mark.parametrize("kind", ["empty folder", pytest.param("pipe", marks=pytest.mark.extended)])
def test_a_record_that_is_no_file_is_named_and_other_runs_go_on(whole, ledger, kind, key_of):
    run_id = whole[1]
    words = put_in_place(kind, ledger / key_of(run_id))
    code, said = invoked("ledger", "verify", "--ledger", str(ledger))
    assert (code, f"{key_of(run_id)}: is {words}, but must be a file" in said) == (1, True)
    assert invoked("ledger", "ls", "--ledger", str(ledger))[0] == 0
    for command in (("ledger", "show", run_id), ("gate", run_id)):
        code, said = invoked(*command, "--ledger", str(ledger))
        assert code == 1 or command[1] == "show"
    experiment = ledger.parent / "experiment.yaml"
    code, said = invoked("run", str(experiment), "--in-process")
    assert code == 1
    assert f"{key_of(run_id)}: this is {words}, but must be a file; move it away" in said.replace("\n", "")
    beside = prepare(builders.write_experiment(ledger.parent, arms=ARMS, num_rows=64, name="beside"))
    run(beside)
    assert reader.is_committed(beside.store, beside.run.run_id)


class FaultyDisk(LocalStore):
    """A folder of which some files cannot be read."""

    def __init__(self, folder: Path, faulty: set[str], error: Exception) -> None:
        super().__init__(folder)
        self._faulty, self._error = faulty, error

    def get(self, key: str) -> pa.Buffer:
        if key in self._faulty:
            raise self._error
        return super().get(key)


def test_files_that_a_fault_of_the_disk_makes_unreadable_are_named_and_an_outage_is_an_error(whole, ledger):
    run_id = whole[1]
    faulty = {log_key(1), unit_key(run_id, "better", 0), run_key(run_id)}
    store = FaultyDisk(ledger, faulty, StoreError("/x: cannot be read: Input/output error"))
    named = {each.key: each.problem for each in verify_ledger(store).problems}
    assert {key for key, problem in named.items() if "Input/output error" in problem} == faulty
    with pytest.raises(OutageError):
        verify_ledger(FaultyDisk(ledger, faulty, OutageError("s3://x: does not answer")))


STRAYS = (".nfs0001", ".DS_Store", "x.txt", "000000.json", "u000001 copy.parquet", "x.json", "x.parquet")


def test_strays_in_every_folder_are_named_and_stop_nobody(whole, ledger):
    run_id = whole[1]
    folders = [
        ledger / name
        for name in ("v2/log", "v2/patches", "v2/progress", "v2/submissions/s", "v2/calibrations/r", "v2/tables/t")
    ]
    folders += [path for path in (ledger / "v2").rglob("*") if path.is_dir()]
    keys = set()
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name in STRAYS:
            (folder / name).write_text("not Assay's")
            keys.add((folder / name).relative_to(ledger).as_posix())
    named = {each.key: each.problem for each in verify_ledger(open_store(str(ledger))).problems}
    # Progress is no evidence, and its name may be any run's.
    assert {key for key in keys - named.keys() if not re.fullmatch(r"v2/progress/[a-z0-9]+\.json", key)} == set()
    beside = prepare(builders.write_experiment(ledger.parent, arms=ARMS, num_rows=64, name="beside"))
    run(beside)
    assert reader.is_committed(beside.store, beside.run.run_id)
    assert invoked("gate", run_id, "--ledger", str(ledger))[0] in (0, 3, 4)


@pytest.mark.parametrize("verb", ["ls", "log", "seal", "verify", "tidy", "show r", "trace r a m", "diff r s"])
def test_a_mistyped_path_is_no_empty_ledger(tmp_path, verb):
    for place in (tmp_path / "legder", tmp_path):
        code, said = invoked("ledger", *verb.split(), "--ledger", str(place))
        assert code == 2
        assert f"{place}: there is no ledger here" in said.replace("\n", "")
        assert "--ledger" in said
    assert not (tmp_path / "legder").exists()
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2/FORMAT.json").write_text('{"format": "assay-ledger", "layout": "v2"}')
    if verb == "ls":
        assert invoked("ledger", "ls", "--ledger", str(tmp_path)) == (0, f"no runs in the ledger {tmp_path}\n")
