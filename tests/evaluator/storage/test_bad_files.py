"""Whatever the file system reports is an error of Assay's with place and remedy, and a listing is never shorter."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from assay.cluster.prepare.resolve import read_text
from assay.evaluator.data.check.files import check_files
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.errors import DamageError, NoObjectError, StoreError
from assay.evaluator.predictors.weights_files import weights_files
from assay.evaluator.storage.local import LocalStore
from assay.manifests.contract_column import Column
from assay.manifests.errors import AssayError
from tests.end_to_end.test_disk_full import OWN_MOUNTS, is_permitted
from tests.evaluator.data import tables

OPERATIONS: dict[str, Callable[[LocalStore], object]] = {
    "get": lambda store: store.get("log/1"),
    "end": lambda store: store.get_end("log/1", 2),
    "exists": lambda store: store.exists("log/1"),
    "put": lambda store: store.put_if_absent("log/2", b"two"),
    "large": lambda store: store.put_if_absent("large", b"x" * 100_000),
    "replace": lambda store: store.replace("log/1", b"another"),
    "list": lambda store: list(store.listing("log/")),
    "tidy": lambda store: store.remove_leftovers(older_than_s=0),
}


@pytest.fixture
def store(tmp_path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    store.put_if_absent("log/1", b"one")
    return store


def outcome(operation: str, store: LocalStore) -> str:
    """What an operation returned, or its error as text: never anything but an error of Assay's."""
    try:
        return f"returned {OPERATIONS[operation](store)!r}"
    except AssayError as error:
        return f"{type(error).__name__}: {error}"
    except FileNotFoundError:
        return "absent"
    except BaseException as error:  # noqa: BLE001  # what must not happen, for the message of the test
        return f"raw {error!r}"


def in_child(operation: str, store: LocalStore, *, prepare: Callable[[], object]) -> str:
    """The outcome of an operation in a child process, after what must not happen to this one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        prepare()
        os.write(writing, outcome(operation, store).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def as_nobody() -> None:
    """Gives up the rights of root, for which permissions do not apply."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@pytest.fixture
def opened_to_others(tmp_path) -> Iterator[None]:
    """Lets a user without rights reach the folder of the test."""
    above = [
        each for each in (tmp_path, *tmp_path.parents) if each.stat().st_uid == os.getuid() and each != Path("/tmp")
    ]
    modes = {each: each.stat().st_mode for each in above if len(each.parts) > 2}
    for each, mode in modes.items():
        each.chmod(mode | 0o055)
    yield
    for each, mode in modes.items():
        each.chmod(mode)


@pytest.mark.forked
@pytest.mark.parametrize(
    ("operation", "closed", "mode", "words"),
    [
        ("list", "log", 0o000, "log: cannot be listed: Permission denied; let this user have access to it"),
        ("get", "log", 0o000, "log/1: cannot be read: Permission denied; let this user have access"),
        ("exists", "log", 0o000, "log/1: cannot be read: Permission denied"),
        ("end", "log/1", 0o000, "log/1: cannot be read: Permission denied"),
        ("put", ".tmp", 0o555, "log/2: cannot be written, because it is first written to the folder /"),
        ("put", "log", 0o555, "log/2: cannot be written: Permission denied; let this user have access"),
        ("replace", "log", 0o555, "log/1: cannot be written: Permission denied"),
        ("tidy", ".tmp", 0o000, ".tmp: cannot be listed: Permission denied"),
    ],
)
def test_what_this_user_may_not_do_is_named(store, opened_to_others, operation, closed, mode, words):
    for path in (Path(store.uri), *Path(store.uri).rglob("*")):
        path.chmod(0o777)
    Path(store.uri, closed).chmod(mode)
    said = in_child(operation, store, prepare=as_nobody)
    Path(store.uri, closed).chmod(0o777)
    assert said.startswith("StoreError: ")
    assert words in said


@pytest.mark.forked
@pytest.mark.parametrize(
    ("operation", "what"), [("get", "read"), ("put", "written"), ("list", "listed"), ("tidy", "listed")]
)
def test_too_many_open_files_are_named(store, operation, what):
    if operation == "get":  # a small file is opened, too
        assert store.get("log/1").to_pybytes() == b"one"

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))

    said = in_child(operation, store, prepare=prepare)
    assert f"cannot be {what}: Too many open files; raise the limit on open files (ulimit -n)" in said


@pytest.mark.forked
def test_a_file_that_is_too_large_for_the_limit_is_named_and_leaves_nothing(store):
    said = in_child("large", store, prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
    assert "cannot be written: File too large; raise the limit on the size of files (ulimit -f)" in said
    assert list(Path(store.uri, ".tmp").iterdir()) == []


CONTRACT = tables.contract(Column(name="x", role="feature", type="int64"), Column(name="y", role="label", type="int64"))
READERS: dict[str, Callable[[Path], object]] = {
    "freeze": lambda path: freeze([path], contract=CONTRACT, reference="t@v1", store=LocalStore("/tmp")),
    "check": lambda path: check_files([path], contract=CONTRACT),
    "weights": lambda path: weights_files([str(path)], store_at=LocalStore),
    "folder of weights": lambda path: weights_files([str(path.parent)], store_at=LocalStore),
    "manifest": lambda path: read_text(str(path)),
}


@pytest.mark.forked
@pytest.mark.parametrize("closed", ["sub", "sub/x.csv"])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_a_user_names_and_cannot_read_is_named(store, opened_to_others, reader, closed):
    path = Path(store.uri, "sub", "x.csv")
    path.parent.mkdir()
    path.write_text("x\n1\n")
    if closed == "sub" and reader == "folder of weights":
        path.parent.joinpath("deeper").mkdir()
        path, closed = path.parent / "deeper" / "w.bin", "sub/deeper"
        path.write_text("w")
        path = path.parent  # its folder is read, too
    Path(store.uri, closed).chmod(0)
    OPERATIONS["read"] = lambda _: READERS[reader](path)
    said = in_child("read", store, prepare=as_nobody)
    Path(store.uri, closed).chmod(0o777)
    assert said.partition(":")[0] in ("DataError", "VariantError", "InvalidInput"), said
    assert closed in said
    assert "cannot be read: Permission denied; let this user have access to it" in said


ON_A_DISK = """
import subprocess, sys
from assay.evaluator.storage.local import LocalStore
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "small", sys.argv[1]], check=True)
store = LocalStore(sys.argv[1])
store.put_if_absent("log/1", b"one")
for options, key in (("size=100k", "large"), ("ro", "log/2")):
    subprocess.run(["mount", "-o", f"remount,{options}", sys.argv[1]], check=True)
    try:
        store.put_if_absent(key, b"x" * 200_000)
    except Exception as error:
        print(type(error).__name__, error)
print([entry.key for entry in store.listing("")], store.get("log/1").to_pybytes())
"""


@pytest.mark.skipif(not is_permitted(), reason="needs user and mount namespaces")
def test_a_full_and_a_read_only_disk_are_named_and_can_be_read(tmp_path):
    command = [*OWN_MOUNTS, sys.executable, "-c", ON_A_DISK, str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert (
        "cannot be written: No space left on device; make room on this disk, then run the same command again" in said[0]
    )
    assert "cannot be written: Read-only file system; mount the file system for writing, or choose another" in said[1]
    assert said[2] == "['log/1'] b'one'"


def file_for_folder(folder: Path) -> None:
    (folder / "log/1").unlink()
    (folder / "log").rmdir()
    (folder / "log").write_text("no folder")


def link_for_folder(folder: Path) -> None:
    (folder / "log").rename(folder / "elsewhere")
    (folder / "log").symlink_to("gone")


def circle_for_folder(folder: Path) -> None:
    (folder / "log").rename(folder / "elsewhere")
    (folder / "log").symlink_to("log")


STRANGE_FOLDERS = {
    "file": (file_for_folder, "log: this is a file, but a store must be a folder|Not a directory|File exists"),
    "dead link": (
        link_for_folder,
        "log: this is a symbolic link that leads nowhere, but a store must be a folder|File exists",
    ),
    "link to itself": (circle_for_folder, "Too many levels of symbolic links; remove the symbolic link|File exists"),
}


@pytest.mark.parametrize("operation", ["get", "end", "exists", "put", "replace", "list"])
@pytest.mark.parametrize("kind", STRANGE_FOLDERS)
def test_something_else_in_the_place_of_a_folder_is_never_an_empty_folder(store, kind, operation):
    change, words = STRANGE_FOLDERS[kind]
    change(Path(store.uri))
    said = outcome(operation, store)
    assert said.startswith("StoreError: ")
    assert any(each in said for each in words.split("|"))
    assert "move it away" in said or "move away" in said or "remove the symbolic link" in said


STRANGE_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (lambda path: path.mkdir(), "a folder"),
    "pipe": (os.mkfifo, "a named pipe"),
    "dead link": (lambda path: path.symlink_to("gone"), "a symbolic link that leads nowhere"),
    "link to itself": (lambda path: path.symlink_to("2"), "a symbolic link that leads nowhere"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
}


@pytest.mark.parametrize("kind", STRANGE_FILES)
def test_something_else_in_the_place_of_a_file_is_named_and_breaks_no_listing(store, kind):
    make, words = STRANGE_FILES[kind]
    make(Path(store.uri, "log/2"))
    assert [entry.key for entry in store.listing("log/")] == ["log/1"] + ["log/2"] * (kind != "folder")
    with pytest.raises(DamageError, match=f"log/2: this is {words}, but must be a file; move it away"):
        store.put_if_absent("log/2", b"two")
    for read in (store.get, store.exists, lambda key: store.get_end(key, 1)):
        if kind == "folder" and read == store.exists:
            assert not read("log/2")  # in a bucket, too, an object's name may begin with another's and a slash
            continue
        with pytest.raises(NoObjectError, match=f"log/2: this is {words}"):
            read("log/2")
    assert list(store.strays("log/")) == [("log/2", words)]
    assert store.move_unread("log/2", "aside/log/2.0", size_bytes=None)
    assert not store.move_unread("log/2", "aside/log/2.1")
    assert os.path.lexists(Path(store.uri, "aside/log/2.0"))
    assert store.put_if_absent("log/2", b"two")
    assert list(store.strays("log/")) == []
    assert not store.move_unread("log/2", "aside/log/2.1", size_bytes=2)
    assert store.move_unread("log/2", "aside/log/2.1", size_bytes=3)


@pytest.mark.parametrize("is_relative", [True, False])
def test_a_link_to_a_file_is_removed_and_the_file_stays(store, tmp_path, is_relative):
    target = tmp_path / "elsewhere"
    target.write_bytes(b"damaged")
    link = Path(store.uri, "log/2")
    link.symlink_to("../../elsewhere" if is_relative else target)
    store.remove("log/2", store.get("log/2"))
    assert not link.is_symlink()
    assert target.read_bytes() == b"damaged"
    assert list(Path(store.uri, ".tmp").iterdir()) == []


@pytest.mark.parametrize("call", ["remove", "move_unread"])
def test_what_has_taken_the_place_since_it_was_looked_at_is_put_back(store, monkeypatch, call):
    path, rename = Path(store.uri, "log/1"), Path.rename

    def late(self: Path, to: Path) -> Path:
        if self == path:
            path.unlink()
            path.write_bytes(b"new")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", late)
    if call == "remove":
        store.remove("log/1", store.get("log/1"))
    else:
        assert not store.move_unread("log/1", "aside", size_bytes=3)
    assert path.read_bytes() == b"new"
    assert [each.key for each in store.listing("")] == ["log/1"]


def test_links_are_followed_and_those_that_lead_back_are_not(store):
    folder = Path(store.uri)
    (folder / "log/self").symlink_to(".")
    (folder / "log/up").symlink_to("../..")
    disk = folder.with_name("disk")
    (disk / "sub").mkdir(parents=True)
    (disk / "sub/3").write_bytes(b"three")
    (folder / "log/more").symlink_to(disk)
    (disk / "back").symlink_to(folder / "log")
    assert [entry.key for entry in store.listing("log/")] == ["log/1", "log/more/sub/3"]
    assert store.get("log/more/sub/3").to_pybytes() == b"three"


def test_a_link_to_another_folder_of_the_store_is_named(store):
    """The files of one arm must not be taken for those of another."""
    Path(store.uri, "other").symlink_to("log")
    for prefix in ("", "other/", "ot"):
        with pytest.raises(DamageError, match=r"/other: this is a link to another folder of the same store, /.*/log; "):
            list(store.listing(prefix))
    assert [entry.key for entry in store.listing("log/")] == ["log/1"]


def test_folders_that_the_prefix_excludes_are_not_looked_into(store):
    folder = Path(store.uri, "other")
    folder.mkdir()
    (folder / "loop").symlink_to("loop")
    assert [entry.key for entry in store.listing("lo")] == ["log/1"]


@pytest.mark.parametrize("key", ["a" * 300, "a/" * 3000 + "a", "a\0b", "\ud800"])
def test_impossible_names_are_named(store, key):
    for call in (
        store.get,
        store.exists,
        lambda key: store.put_if_absent(key, b""),
        lambda key: list(store.listing(f"{key}/")),
    ):
        with pytest.raises(StoreError, match=r"use a shorter path or shorter names|not a possible path") as refused:
            call(key)
        str(refused.value).encode()


@pytest.mark.parametrize("key", ["../secret", "log/../../secret", "/etc/passwd", ".."])
def test_no_key_leads_out_of_the_store(store, key):
    Path(store.uri).with_name("secret").write_text("secret")
    for call in (store.get, store.exists, store.path, lambda key: store.replace(key, b"")):
        with pytest.raises(StoreError, match="leads out of the store"):
            call(key)


FAULTS = {errno.EIO: "check the disk or the network file system", errno.ESTALE: "the network file system has lost it"}


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize(
    ("function", "operations"),
    [
        ("scandir", ["list"]),
        ("stat", ["exists", "list"]),
        ("pread", ["get"]),
        ("fsync", ["put", "replace"]),
        ("link", ["put"]),
    ],
)
def test_a_fault_of_the_disk_is_named(store, monkeypatch, code, function, operations):
    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, function, fails)
    for operation in operations:
        said = outcome(operation, store)
        assert said.startswith("StoreError: /")
        assert f"{os.strerror(code)}; {FAULTS[code]}" in said


def test_a_fault_in_the_midst_of_a_listing_is_no_shorter_list(store, monkeypatch):
    real = os.scandir

    class Breaking:
        def __init__(self, path: str) -> None:
            self.entries = real(path)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *args: object) -> None:
            self.entries.close()

        def __next__(self) -> os.DirEntry[str]:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "scandir", Breaking)
    said = outcome("list", store)
    assert "log: cannot be listed: Stale file handle; the network file system has lost it" in said


def test_a_folder_that_cannot_be_synced_is_named(store, monkeypatch):
    real = os.fsync

    def fails_on_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fails_on_folders)
    assert "log: cannot be synced: Input/output error; check the disk" in outcome("put", store)


@pytest.mark.forked
def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_holds_is_not(store):
    folder = Path(store.uri, ".tmp")
    reading, writing = os.pipe()
    writer = os.fork()
    if writer == 0:
        os.link = lambda *_: (os.write(writing, b"."), signal.pause())
        store.put_if_absent("key", b"content")
    os.read(reading, 1)
    (left,) = folder.iterdir()
    assert store.remove_leftovers(older_than_s=0) == ()
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    (folder / "x.txt").write_text("not Assay's")
    assert store.remove_leftovers(older_than_s=60) == ()
    (removed,) = store.remove_leftovers(older_than_s=0)
    assert (removed.key, removed.size_bytes) == (f".tmp/{left.name}", len(b"content"))
    assert [path.name for path in folder.iterdir()] == ["x.txt"]


def test_old_leftovers_go_when_a_store_is_first_written_to(store, monkeypatch):
    left = Path(store.uri, ".tmp", "0" * 32)
    left.write_bytes(b"half")
    LocalStore(store.uri).put_if_absent("log/2", b"two")
    assert left.exists()
    monkeypatch.setattr("assay.evaluator.storage.local.ABANDONED_S", 0)
    LocalStore(store.uri).put_if_absent("log/3", b"three")
    assert not left.exists()
