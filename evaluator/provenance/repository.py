"""Repository: the state of the source tree that a run's code came from."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.evaluator.errors import SourceError


@dataclass(frozen=True)
class RepositoryState:
    """What git says of a working folder. Where it cannot say, the fields are None and `problem` has the reason.

    Attributes:
        commit: The commit's hash.
        branch: The branch's name; None in a detached state.
        is_dirty: Whether files differ from the commit, new files included, ignored ones not.
        diff_digest: `sha256:<hex>` over the difference; None where there is none.
        problem: Why something is not known; empty if all is.
    """

    commit: str | None
    branch: str | None
    is_dirty: bool | None
    diff_digest: str | None
    problem: str = ""


def capture(
    folder: str | Path = ".", *, without: Sequence[str | Path] = (), timeout_s: float = 10.0
) -> RepositoryState:
    """Asks git about the repository around a folder and leaves it untouched.

    Args:
        folder: Any folder of the working copy.
        without: Folders of which nothing is looked at, in the working copy or not: those that runs write to.
        timeout_s: Seconds for all questions together: a large new file takes long to digest.
    """
    git = _Git(folder, deadline=time.monotonic() + timeout_s)
    commit = branch = is_dirty = diff_digest = None
    problem = ""
    try:
        top = git.lines("rev-parse", "--show-toplevel")[0]
        git = _Git(top, deadline=git.deadline)
        commit = git.lines("rev-parse", "--verify", "HEAD")[0]
        branch = next(iter(git.lines("branch", "--show-current")), None)
        with tempfile.TemporaryDirectory() as aside:
            git.use_index_copy(aside)
            looked_at = _all_but(without, top)
            difference = git.bytes(*_DIFF, *looked_at)
            new_files = git.bytes("ls-files", "--others", "--exclude-standard", "-z", *looked_at)
        is_dirty = bool(difference or new_files)
        diff_digest = _digest(difference, new_files, top=top, deadline=git.deadline) if is_dirty else None
    except (subprocess.TimeoutExpired, _OutOfTime):
        problem = f"the state of the repository could not be read within {timeout_s:g} s"
    except OSError as error:
        problem = f"git cannot be started: {error}"
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        problem = said[0] if said else f"git answered {error.returncode}"
    return RepositoryState(commit, branch, is_dirty, diff_digest, problem)


def patch(folder: str | Path = ".", *, without: Sequence[str | Path] = (), timeout_s: float = 10.0) -> bytes:
    """What `git apply` makes the working copy of its commit with; new files are in it, ignored ones are not.

    Args:
        folder: Any folder of the working copy, which is left untouched.
        without: As for `capture`.
        timeout_s: Seconds for all of it.

    Raises:
        SourceError: Git cannot tell it in time.
    """
    git = _Git(folder, deadline=time.monotonic() + timeout_s)
    try:
        top = git.lines("rev-parse", "--show-toplevel")[0]
        git, looked_at = _Git(top, deadline=git.deadline), _all_but(without, top)
        with tempfile.TemporaryDirectory() as aside:
            git.use_index_copy(aside)
            git.use_objects_aside(aside)
            git.bytes("add", "--intent-to-add", "--all", *looked_at)
            return git.bytes(*_DIFF, *looked_at)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None)
        words = said.decode(errors="replace").strip().splitlines()[0] if said else str(error)
        raise SourceError(f"{Path(folder).absolute()}: its uncommitted changes cannot be kept: {words}") from error


_OPTIONS = ("git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
# Each word overrules a setting that would change the difference's text from one user to the next, or run a program.
_DIFF = (
    *("diff", "HEAD", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--diff-algorithm=myers", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--unified=3"),
)
_PIECE_BYTES = 1 << 20


class _Git:
    """Git in one folder, with one deadline for all that is asked."""

    def __init__(self, folder: str | Path, *, deadline: float) -> None:
        self._folder, self.deadline = folder, deadline
        # A hook's GIT_DIR and GIT_INDEX_FILE would point elsewhere.
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self._environ |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def use_index_copy(self, folder: str) -> None:
        """Makes git read a copy of its index: `git diff` writes a refreshed one, whatever GIT_OPTIONAL_LOCKS says."""
        index = Path(self._folder, self.lines("rev-parse", "--git-path", "index")[0])
        if index.is_file():  # there is none before the first `git add`
            self._environ["GIT_INDEX_FILE"] = shutil.copy2(index, folder)  # its time too: git tells racy files by it

    def use_objects_aside(self, folder: str) -> None:
        """Makes git write objects there: even the empty one that stands for a new file."""
        self._environ["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(
            Path(self._folder, self.lines("rev-parse", "--git-path", "objects")[0]).absolute()
        )
        self._environ["GIT_OBJECT_DIRECTORY"] = folder

    def bytes(self, *arguments: str, given: bytes = b"") -> bytes:
        return subprocess.run(  # noqa: S603  # fixed words, no shell
            [*_OPTIONS, *arguments],
            cwd=self._folder,
            env=self._environ,
            input=given,
            capture_output=True,
            check=True,
            timeout=max(self.deadline - time.monotonic(), 0.001),
        ).stdout

    def lines(self, *arguments: str) -> list[str]:
        return self.bytes(*arguments).decode(errors="surrogateescape").splitlines()


def _all_but(without: Sequence[str | Path], top: str) -> list[str]:
    """The whole working copy but some folders, as git's arguments."""
    inside = [Path(each).resolve() for each in without]
    names = [each.relative_to(Path(top).resolve()) for each in inside if each.is_relative_to(Path(top).resolve())]
    return ["--", ".", *(f":(exclude,top,literal){name.as_posix()}" for name in names)]


def _digest(difference: bytes, new_files: bytes, *, top: str, deadline: float) -> str:
    """Over the tracked files' difference, then name and content of each new file in the order of their names."""
    digest = hashlib.sha256(difference)
    for name in sorted(name for name in new_files.split(b"\0") if name):
        digest.update(b"\0" + name + b"\0" + _content_digest(Path(top) / os.fsdecode(name), deadline=deadline))
    return f"sha256:{digest.hexdigest()}"


def _content_digest(path: Path, *, deadline: float) -> bytes:
    """The sha256 of a file, or of where a link points; nothing for a repository within, or a file that cannot be read."""
    digest = hashlib.sha256()
    try:
        if path.is_symlink():
            return hashlib.sha256(os.fsencode(path.readlink())).digest()
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                _check(deadline)
    except OSError:
        return b""
    return digest.digest()


class _OutOfTime(Exception):
    """The deadline has passed."""


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _OutOfTime
