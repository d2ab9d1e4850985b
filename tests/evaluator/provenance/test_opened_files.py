"""A recording names the files that decide what code answers, and nothing that only the machine decides."""

import importlib
import os
import pickle
import sys
import threading
from pathlib import Path

import pytest

from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.provenance.opened_files import OpenedFiles, digests, opened_by, recording


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project next to a data folder."""
    project = tmp_path / "project"
    for name in ("project/model.pkl", "project/part/rules.txt", "project/plugin.py", "data/table.bin", "cache/shard"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(name) if name.endswith("pkl") else f"x = '{name}'".encode())
    monkeypatch.syspath_prepend(project)
    monkeypatch.chdir(project)
    return project


def recorded(project: Path, read) -> dict[str, str]:
    files = OpenedFiles()
    with recording(files):
        read(project)
    return digests(files, without=[str(project.parent / "cache")], relative_to=[str(project)])


def by_thread(project: Path) -> None:
    thread = threading.Thread(target=(project / "model.pkl").read_bytes)
    thread.start()
    thread.join()


def by_a_computed_name(project: Path) -> None:
    importlib.import_module("plug" + "in")
    del sys.modules["plugin"]


@pytest.mark.parametrize(
    ("read", "names"),
    [
        pytest.param(lambda folder: pickle.loads((folder / "model.pkl").read_bytes()), ["model.pkl"], id="absolute"),
        pytest.param(lambda _: Path("part/rules.txt").read_text(), ["part/rules.txt"], id="relative"),
        pytest.param(lambda _: os.close(os.open("model.pkl", os.O_RDONLY)), ["model.pkl"], id="descriptor"),
        pytest.param(lambda _: os.close(os.open(b"model.pkl", os.O_RDONLY)), ["model.pkl"], id="bytes"),
        pytest.param(lambda _: Path("model.pkl").open("r+b").close(), ["model.pkl"], id="in-place"),
        pytest.param(by_thread, ["model.pkl"], id="thread"),
        pytest.param(by_a_computed_name, ["plugin.py"], id="import"),
        pytest.param(lambda folder: (folder.parent / "data" / "table.bin").read_bytes(), None, id="elsewhere"),
        pytest.param(lambda folder: (folder.parent / "cache" / "shard").read_bytes(), [], id="left-out"),
        pytest.param(lambda _: Path("log.txt").open("a").close(), [], id="written"),
        pytest.param(lambda _: os.close(os.open("model.pkl", os.O_WRONLY)), [], id="written-by-descriptor"),
        pytest.param(lambda folder: (folder / "new").write_text("") or (folder / "new").read_text(), [], id="own"),
        pytest.param(lambda _: Path("/proc/self/status").read_text(), [], id="system"),
        pytest.param(lambda _: importlib.reload(importlib.import_module("colorsys")), [], id="library"),
        pytest.param(lambda _: Path(pytest.__file__).read_text(), [], id="installed"),
        pytest.param(lambda folder: list(folder.iterdir()), [], id="listing"),
    ],
)
def test_a_recording_names_what_was_read(project, read, names):
    if names is None:
        names = [str(project.parent / "data" / "table.bin")]
    found = recorded(project, read)
    assert list(found) == names
    for name in names:
        assert found[name] == sha256_digest((project / name).read_bytes())


def test_a_module_that_comes_from_its_cache_is_named_by_its_source(project, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    by_a_computed_name(project)
    assert list((project / "__pycache__").iterdir())
    assert list(recorded(project, by_a_computed_name)) == ["plugin.py"]


def test_nothing_is_recorded_outside_a_recording(project):
    files = OpenedFiles()
    with recording(files):
        pass
    (project / "model.pkl").read_bytes()
    assert files == OpenedFiles()


def test_a_removed_working_folder_does_not_stop_the_code(project, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError):
        recorded(project, lambda _: Path("model.pkl").read_bytes())
    assert list(recorded(project, lambda folder: (folder / "model.pkl").read_bytes())) == ["model.pkl"]


def test_a_project_in_a_folder_of_the_system_is_the_users_own(monkeypatch, project):
    monkeypatch.setattr("assay.evaluator.provenance.opened_files._SYSTEM_FOLDERS", (str(project.parent),))
    assert list(recorded(project, lambda folder: (folder / "model.pkl").read_bytes())) == ["model.pkl"]
    assert recorded(project, lambda folder: (folder.parent / "data" / "table.bin").read_bytes()) == {}


def test_what_code_opened_is_kept_for_the_next_arm_with_the_same_code():
    assert opened_by("sha256:a", ["here"]) is opened_by("sha256:a", ["here"])
    assert opened_by("sha256:a", ["here"]) is not opened_by("sha256:b", ["here"])
    assert opened_by("sha256:a", ["here"]) is not opened_by("sha256:a", ["in another checkout"])


def test_a_cache_of_another_tool_is_no_file_of_the_code(project):
    cache = project / "__pycache__" / "plugin.cpython-311-pytest-9.1.1.pyc"
    cache.parent.mkdir()
    cache.write_bytes(b"cached")
    assert recorded(project, lambda _: cache.read_bytes()) == {}
