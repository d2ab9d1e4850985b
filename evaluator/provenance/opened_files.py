"""Opened files: what a variant's code reads through Python's `open` while it is loaded and scores its first batch.

A recording sees imports by computed names, too, since Python opens a module to import it. It cannot see files that native
code opens by itself (safetensors, memory maps, DuckDB, SQLite): name those in a variant's `weights` or `code`.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.evaluator.provenance.code_files import (
    assays_folders,
    code_file_digest,
    is_in_library,
    is_installed,
    name_under,
)

_SYSTEM_FOLDERS = ("/dev", "/etc", "/proc", "/run", "/sys", "/usr")
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_is_hooked = False
_recordings: list["OpenedFiles"] = []
_by_code: dict[tuple[str, tuple[str, ...]], "OpenedFiles"] = {}


@dataclass
class OpenedFiles:
    """The files that were opened in one or several recordings, by their absolute paths.

    Attributes:
        read: Opened for reading, or for reading and writing in place.
        written: Opened for writing: what the process has made itself decides nothing.
    """

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


def opened_by(code_digest: str, folders: Iterable[str]) -> OpenedFiles:
    """What some code has opened in this process so far, whoever had it loaded: a loader with a cache opens a file once.

    Args:
        code_digest: The digest of the code.
        folders: Where it is imported from: equal code in another checkout opens the files of that checkout.
    """
    return _by_code.setdefault((code_digest, tuple(folders)), OpenedFiles())


@contextmanager
def recording(files: OpenedFiles) -> Iterator[None]:
    """Adds every file that this process opens to `files` until the context is left.

    Files of other threads are recorded, too: a variant's code may have some. The hook that this needs cannot be removed
    from a process; outside a recording it returns at once.
    """
    global _is_hooked  # noqa: PLW0603
    if not _is_hooked:
        sys.addaudithook(_on_event)
        _is_hooked = True
    _recordings.append(files)
    try:
        yield
    finally:
        _recordings.remove(files)


def digests(files: OpenedFiles, *, without: Iterable[str], relative_to: Iterable[str]) -> dict[str, str]:
    """The sha256 of each recorded file that may decide a variant's answers, by its name.

    Left out are files of the system, of Python and of installed packages, Assay's own, files that the process has written
    itself, and files that are gone again. Assay's version is part of the environment that a run records.

    Args:
        files: What was recorded.
        without: Files and folders to leave out: objects of the dataset, the ledger, caches, and weights.
        relative_to: Folders that names are relative to, so that another checkout has the same names: where entrypoints
            are imported from. Other files have their absolute path as name.
    """
    excluded = [Path(folder).resolve() for folder in (*without, *assays_folders())]
    roots = [Path(folder).resolve() for folder in relative_to]
    found = {}
    for path in files.read - files.written:
        file = Path(path).resolve()
        if "__pycache__" in file.parts:
            with suppress(ValueError, NotImplementedError):
                file = Path(importlib.util.source_from_cache(str(file)))
            if "__pycache__" in file.parts:  # of another tool, such as pytest, which names them in its own way
                continue
        is_own = any(file.is_relative_to(root) for root in roots)
        is_of_system = not is_own and any(file.is_relative_to(folder) for folder in _SYSTEM_FOLDERS)
        if is_of_system or is_installed(file) or is_in_library(file) or any(map(file.is_relative_to, excluded)):
            continue
        with suppress(OSError):
            if file.is_file():
                found[name_under(file, roots)] = code_file_digest(file)
    return dict(sorted(found.items()))


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if not _recordings or event != "open":
        return
    path, mode, flags = arguments
    is_written = bool(set("wax") & set(mode)) if isinstance(mode, str) else bool((flags or 0) & _WRITE_FLAGS)
    if not isinstance(path, (str, bytes)):  # a descriptor that is open already
        return
    absolute = os.fsdecode(path)
    if not absolute.startswith("/"):
        try:
            absolute = f"{os.getcwd()}/{absolute}"  # noqa: PTH109  # every `open` comes through here
        except OSError:  # the working directory was removed; the file is not there either
            return
    for files in _recordings:
        (files.written if is_written else files.read).add(absolute)
