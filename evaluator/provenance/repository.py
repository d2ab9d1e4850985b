"""Repository: the state of the git working copy that a run's code came from."""

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
    """The state of a working copy according to git. Unknown fields are None, and `problem` gives the reason.

    Attributes:
        commit: The commit's hash.
        branch: The branch's name; None if HEAD is detached.
        is_dirty: Whether files differ from the commit. New files count; ignored files do not.
        diff_digest: `sha256:<hex>` of the difference; None if there is none.
        problem: Why a field is unknown; empty if all are known.
    """

    commit: str | None
    branch: str | None
    is_dirty: bool | None
    diff_digest: str | None
    problem: str = ""


def capture(
    folder: str | Path = ".", *, without: Sequence[str | Path] = (), timeout_s: float = 10.0
) -> RepositoryState:
    """Reads the state of the repository around a folder without changing anything in it.

    Args:
        folder: Any folder of the working copy.
        without: Folders to leave out, such as those that runs write to. They need not be in the working copy.
        timeout_s: Seconds for all git commands and digests together. Digesting a large new file can take long.
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
            pathspecs = _all_but(without, top)
            difference = git.bytes(*_DIFF, *pathspecs)
            new_files = git.bytes("ls-files", "--others", "--exclude-standard", "-z", *pathspecs)
        is_dirty = bool(difference or new_files)
        diff_digest = _digest(difference, new_files, top=top, deadline=git.deadline) if is_dirty else None
    except (subprocess.TimeoutExpired, _OutOfTime):
        problem = f"the state of the repository could not be read within {timeout_s:g} s"
    except OSError as error:
        problem = f"git cannot be started: {error}"
    except subprocess.CalledProcessError as error:
        stderr = error.stderr.decode(errors="replace").strip().splitlines()
        problem = stderr[0] if stderr else f"git ended with exit code {error.returncode}"
    return RepositoryState(commit, branch, is_dirty, diff_digest, problem)


def patch(folder: str | Path = ".", *, without: Sequence[str | Path] = (), timeout_s: float = 10.0) -> bytes:
    """The patch with which `git apply` turns a checkout of the commit into the working copy.

    New files are included; ignored files are not.

    Args:
        folder: Any folder of the working copy, which is not changed.
        without: Folders to leave out, as for `capture`.
        timeout_s: Seconds for all git commands together.

    Raises:
        SourceError: A git command fails or takes too long.
    """
    git = _Git(folder, deadline=time.monotonic() + timeout_s)
    try:
        top = git.lines("rev-parse", "--show-toplevel")[0]
        git, pathspecs = _Git(top, deadline=git.deadline), _all_but(without, top)
        with tempfile.TemporaryDirectory() as aside:
            git.use_index_copy(aside)
            git.use_objects_aside(aside)
            git.bytes("add", "--intent-to-add", "--all", *pathspecs)
            return git.bytes(*_DIFF, *pathspecs)
    except (subprocess.SubprocessError, OSError) as error:
        stderr = getattr(error, "stderr", None)
        reason = stderr.decode(errors="replace").strip().splitlines()[0] if stderr else str(error)
        raise SourceError(
            f"{Path(folder).absolute()}: the patch of the uncommitted changes cannot be made: {reason}"
        ) from error


_OPTIONS = ("git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
# Each option overrides a user's setting that would change the text of the difference or run another program.
_DIFF = (
    *("diff", "HEAD", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--diff-algorithm=myers", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--unified=3"),
)
_PIECE_BYTES = 1 << 20


class _Git:
    """Runs git in one folder, with one deadline for all commands."""

    def __init__(self, folder: str | Path, *, deadline: float) -> None:
        self._folder, self.deadline = folder, deadline
        # When Assay is run by a git hook, GIT_DIR and GIT_INDEX_FILE may point to another repository.
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self._environ |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def use_index_copy(self, folder: str) -> None:
        """Makes git use a copy of its index, because `git diff` refreshes the index even with GIT_OPTIONAL_LOCKS=0."""
        index = Path(self._folder, self.lines("rev-parse", "--git-path", "index")[0])
        if index.is_file():  # it does not exist before the first `git add`
            # copy2 keeps the modification time, by which git recognises files that may have changed since.
            self._environ["GIT_INDEX_FILE"] = shutil.copy2(index, folder)

    def use_objects_aside(self, folder: str) -> None:
        """Makes git write objects into this folder, including the empty object that represents a new file."""
        self._environ["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(
            Path(self._folder, self.lines("rev-parse", "--git-path", "objects")[0]).absolute()
        )
        self._environ["GIT_OBJECT_DIRECTORY"] = folder

    def bytes(self, *arguments: str) -> bytes:
        return subprocess.run(  # noqa: S603  # fixed arguments, no shell
            [*_OPTIONS, *arguments],
            cwd=self._folder,
            env=self._environ,
            input=b"",
            capture_output=True,
            check=True,
            timeout=max(self.deadline - time.monotonic(), 0.001),
        ).stdout

    def lines(self, *arguments: str) -> list[str]:
        return self.bytes(*arguments).decode(errors="surrogateescape").splitlines()


def _all_but(without: Sequence[str | Path], top: str) -> list[str]:
    """The pathspecs of the whole working copy without some folders."""
    excluded = [Path(each).resolve() for each in without]
    names = [each.relative_to(Path(top).resolve()) for each in excluded if each.is_relative_to(Path(top).resolve())]
    return ["--", ".", *(f":(exclude,top,literal){name.as_posix()}" for name in names)]


def _digest(difference: bytes, new_files: bytes, *, top: str, deadline: float) -> str:
    """Digests the difference of tracked files, then the name and content of each new file, sorted by name."""
    digest = hashlib.sha256(difference)
    for name in sorted(name for name in new_files.split(b"\0") if name):
        digest.update(b"\0" + name + b"\0" + _content_digest(Path(top) / os.fsdecode(name), deadline=deadline))
    return f"sha256:{digest.hexdigest()}"


def _content_digest(path: Path, *, deadline: float) -> bytes:
    """The sha256 of a file, or of a link's target path; empty for a nested repository or an unreadable file."""
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
