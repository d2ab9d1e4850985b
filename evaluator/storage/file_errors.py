"""Errors of the file system, turned into Assay's own: what could not be done, where, why, and what to do about it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.evaluator.errors import StoreError

_REMEDIES = {
    errno.EACCES: "let this user have access to it and to every folder above it, or choose another place",
    errno.EPERM: "let this user have access to it, or choose another place",
    errno.EROFS: "mount the file system for writing, or choose another place",
    errno.ENOSPC: "make room on this disk, then run the same command again",
    errno.EDQUOT: "make room in this user's quota, then run the same command again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), then run the same command again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), then run the same command again",
    errno.ENFILE: "close other programs or raise fs.file-max, then run the same command again",
    errno.EIO: "check the disk or the network file system (the kernel's log says more), then run the same command again",
    errno.ESTALE: "the network file system has lost it: run the same command again, or mount the file system anew",
    errno.ETIMEDOUT: "the network file system does not answer: run the same command again later",
    errno.ENAMETOOLONG: "use a shorter path or shorter names",
    errno.ELOOP: "remove the symbolic link that leads back to itself",
    errno.ENOTDIR: "move away the file that is where a folder must be, or correct the path",
    errno.EEXIST: "move away the file that is where a folder must be, or correct the path",
    errno.EISDIR: "move away the folder that is where a file must be, or correct the path",
    errno.ENOENT: "it was removed in the meantime, or a folder above it: run the same command again",
}


def described(error: OSError | ValueError) -> str:
    """The reason and the remedy of a failed call: "No space left on device; make room on this disk, ..."."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "")
    else:  # such as a null byte, which no path can hold
        reason, remedy = f"not a possible path ({error})", "correct the path"
    return f"{reason}; {remedy}" if remedy else reason


def shown(path: str | Path) -> str:
    """A path that can be printed: bytes that are not UTF-8 are escaped."""
    return os.fspath(path).encode(errors="backslashreplace").decode()


@contextmanager
def file_errors(action: str, place: str | Path) -> Iterator[None]:
    """Turns errors of the file system into `StoreError`.

    Args:
        action: What is attempted, as a participle for the message: "read", "written" or "listed".
        place: The file or folder.

    Raises:
        StoreError: The block raised an `OSError`, or a `ValueError` because of an impossible path.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise StoreError(f"{shown(place)}: cannot be {action}: {described(error)}") from error
