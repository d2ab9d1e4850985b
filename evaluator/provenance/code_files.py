"""Files of code: whose they are, what they are called, and their digest, the same in every checkout."""

import hashlib
import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from assay.evaluator.provenance.file_digests import file_digest

_CACHE = "__pycache__"
_SITE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_LIBRARY = tuple(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib"))


def is_installed(file: Path) -> bool:
    """Whether a file is in a folder that packages are installed into."""
    return not _SITE_FOLDERS.isdisjoint(file.parts)


def is_in_library(file: Path) -> bool:
    """Whether a file is part of Python's own library."""
    resolved = file.resolve()
    return not is_installed(resolved) and any(resolved.is_relative_to(folder) for folder in _LIBRARY)


def assays_folders() -> list[Path]:
    """The folders of Assay's own packages, wherever they are."""
    root = Path(__file__).resolve().parents[2]
    return [root / name for name in ("cluster", "evaluator", "manifests", "stats")]


def files_under(folder: Path) -> list[Path]:
    """Every file in a folder at any depth, sorted, without Python's caches. Links are followed, each folder once.

    Raises:
        OSError: A folder cannot be listed.
    """

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # no folder, no files
            raise error

    files, seen = [], set[str]()
    for within, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        folders[:] = [name for name in folders if name != _CACHE]
        if os.path.realpath(within) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(within))
        files += [Path(within, name) for name in names]
    return sorted(file for file in files if file.is_file())


def name_under(file: Path, folders: Iterable[Path]) -> str:
    """The path of a file relative to the first of the folders that contains it, otherwise its own path.

    Bytes of the path that are not UTF-8 are escaped, because names are stored as JSON.
    """
    relative = next((file.relative_to(folder) for folder in folders if file.is_relative_to(folder)), file)
    return os.fsencode(relative.as_posix()).decode(errors="backslashreplace")


def code_file_digest(file: Path) -> str:
    """`sha256:<hex>` of a file; of Python source with normalised line endings, which differ between checkouts.

    Raises:
        OSError: The file cannot be read.
    """
    if file.suffix != ".py":
        return file_digest(file)
    content = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
