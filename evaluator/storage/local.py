"""A folder as a store: files are written to a temporary name, synced, and linked to their final name."""

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from assay.evaluator.errors import DamageError, NoObjectError, StoreError
from assay.evaluator.storage.file_errors import described, file_errors, shown
from assay.evaluator.storage.store import A_FOLDER, ABANDONED_S, StoredObject

_ASIDE = ".tmp"
_ASIDE_NAME = re.compile(r"[0-9a-f]{32}")
MAPPED_BYTES = 1 << 20
"""Smaller parts are read, because a page of a mapped file that cannot be read kills the process."""
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK})
_KINDS = {
    stat.S_IFDIR: A_FOLDER,
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link that leads nowhere",
    stat.S_IFREG: "a file",
}


class LocalStore:
    """Objects are files below one folder. Incomplete files are in `.tmp` and are never listed.

    Links to folders and files are followed. Whatever the file system reports, other than that an object does not exist,
    is a `StoreError`; anything but a file in the place of an object is a `NoObjectError`, except that `exists` takes a
    folder for no object: in a bucket, too, a key may begin with another one and a slash.
    """

    def __init__(self, folder: str | Path) -> None:
        with file_errors("opened", folder):
            self._folder = Path(folder).absolute()
            _require_folder(self._folder)
        self.uri = str(self._folder)
        self._is_tidied = False

    def get(self, key: str) -> pa.Buffer:
        """The file's bytes; those of a large file are mapped into memory."""
        return self._part(key, lambda size: (0, size))

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the file, of which only this part is read."""
        return self._part(key, lambda size: (min(start, size), max(0, min(length, size - start))))

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the file, of which only this part is read."""
        return self._part(key, lambda size: (max(0, size - length), min(length, size)))

    def path(self, key: str) -> Path:
        """The path of the object's file, whether or not it exists.

        Raises:
            StoreError: The key leads out of the store.
        """
        if key.startswith("/") or ".." in key.split("/"):
            raise StoreError(
                f"{self.uri}: the key '{key}' leads out of the store; a key has no '..' and no leading '/'"
            )
        return self._folder / key

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Links a complete, synced file to its final name. Linking fails if the name is taken."""
        final = self.path(key)
        with self._written_aside(content, final) as aside, file_errors("written", final):
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(aside, final)
            except FileExistsError:
                _require_file(final)
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                raise StoreError(
                    f"{final}: the file cannot be linked to this name: {error.strerror}; "
                    "use a folder on a file system that supports hard links"
                ) from error
            with file_errors("synced", final.parent):
                _sync_folder(final.parent)
        return True

    def replace(self, key: str, content: bytes) -> None:
        """Renames a complete file over the old one."""
        final = self.path(key)
        with self._written_aside(content, final) as aside, file_errors("written", final):
            final.parent.mkdir(parents=True, exist_ok=True)
            aside.replace(final)

    def remove(self, key: str, content: pa.Buffer) -> None:
        """Renames the file, which is atomic, and looks at what was renamed: it is put back if it is another one."""
        final, taken = self.path(key), self._folder / _ASIDE / secrets.token_hex(16)
        with file_errors("removed", final), suppress(FileNotFoundError):
            before = final.lstat()
            if not self.get(key).equals(content):
                return
            if _renamed(final, taken, before):
                taken.unlink()

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:
        """Renames a folder, pipe, socket, device or link that leads to no file, or a file of this size."""
        final = self.path(key)
        with file_errors("moved", final), suppress(FileNotFoundError):
            before = final.lstat()
            if final.is_file() and final.stat().st_size != size_bytes:
                return False
            return _renamed(final, self.path(to), before)
        return False

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Every file below the prefix's folder whose key starts with the prefix.

        Raises:
            StoreError: A folder or a file's size cannot be read: the listing would be incomplete.
            DamageError: A folder is a link to another folder of the store.
        """
        objects = list[StoredObject]()
        for start, _, files in self._walk(prefix):
            for name in files:
                size_bytes = _size_bytes(f"{self.uri}/{start}{name}") if f"{start}{name}".startswith(prefix) else None
                if size_bytes is not None:
                    objects.append(StoredObject(f"{start}{name}", size_bytes))
        yield from sorted(objects, key=lambda entry: entry.key)

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Every folder, pipe, socket, device and link that leads nowhere."""
        for start, folders, files in self._walk(prefix):
            yield from ((f"{start}{name}", A_FOLDER) for name in folders)
            for name in files:
                path, kind = f"{self.uri}/{start}{name}", ""
                # `os.path` is several times faster than `Path`.
                if f"{start}{name}".startswith(prefix) and not os.path.isfile(path):  # noqa: PTH113
                    with file_errors("listed", path), suppress(FileNotFoundError):
                        kind = _kind(Path(path))
                if kind:
                    yield f"{start}{name}", kind

    def _walk(self, prefix: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Every folder that may have such keys: the start of its keys, the folders in it, and all other names in it."""
        top = self.path(prefix.rpartition("/")[0])
        with file_errors("listed", top):
            self._refuse_links_inside(str(top))
            for folder, folders, files in os.walk(
                top, onerror=lambda error: _raise_unless_gone(error, top), followlinks=True
            ):
                start = f"{folder[len(self.uri) :].lstrip('/')}/".lstrip(
                    "/"
                )  # texts: a ledger may have a million files
                found = [name for name in folders if name != _ASIDE and f"{start}{name}/".startswith(prefix)]
                folders[:] = [name for name in found if self._is_entered(f"{folder}/{name}")]
                yield start, found, files

    def _is_entered(self, folder: str) -> bool:
        """Whether the files of a folder are listed: not if it is a link to one of the folders that it is in.

        Raises:
            DamageError: It is a link to another folder of this store, whose files would be taken for those of both.
        """
        if not os.path.islink(folder):  # noqa: PTH114  # a `Path` would take longer to make than this takes
            return True
        # Path.resolve raises a RuntimeError if links form a loop.
        if os.path.realpath(folder) in map(os.path.realpath, Path(folder).parents):
            return False
        self._refuse_links_inside(folder)
        return True

    def _refuse_links_inside(self, folder: str) -> None:
        root, target = os.path.realpath(self.uri), os.path.realpath(folder)
        is_inside = target.startswith(f"{root}{os.sep}") and target != f"{root}{folder[len(self.uri) :]}"
        if is_inside and Path(target).is_dir():
            raise DamageError(
                f"{shown(folder)}: this is a link to another folder of the same store, {shown(target)}; remove the link, "
                "then run again"
            )

    def exists(self, key: str) -> bool:
        """Whether the file exists."""
        return self._status(key) is not None

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:
        """Removes temporary files of this age that no living process has locked."""
        folder, removed = self._folder / _ASIDE, list[StoredObject]()
        with file_errors("listed", folder):
            try:
                paths = sorted(path for path in folder.iterdir() if _ASIDE_NAME.fullmatch(path.name))
            except FileNotFoundError:
                return ()
        for path in paths:
            with file_errors("removed", path):
                size_bytes = _removed_bytes(path, older_than_s=older_than_s)
            if size_bytes is not None:
                removed.append(StoredObject(f"{_ASIDE}/{path.name}", size_bytes))
        return tuple(removed)

    def _status(self, key: str) -> os.stat_result | None:
        """The status of an object's file; None if there is none."""
        path = self.path(key)
        with file_errors("read", path):
            try:
                status = path.stat()
            except FileNotFoundError:
                if not path.is_symlink():
                    _require_folder(path.parent)
                    return None
                status = path.lstat()
            except OSError as error:
                if error.errno != errno.ELOOP or not path.is_symlink():
                    raise
                status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                return None
            if not stat.S_ISREG(status.st_mode):
                _require_file(path)
            return status

    def _part(self, key: str, part: Callable[[int], tuple[int, int]]) -> pa.Buffer:
        """The part of an object that begins and is as long as a function of its size says."""
        content = self._small_part(key, part)
        if content is not None:
            return content
        status, path = self._status(key), self.path(key)
        with file_errors("read", path):
            if status is None and path.is_dir():
                _require_file(path)
        if status is None:
            raise FileNotFoundError(key)
        start, length = part(status.st_size)
        with file_errors("read", path):
            if length >= MAPPED_BYTES:
                return mapped(path).slice(start, length)
            with path.open("rb", buffering=0) as file:
                return pa.py_buffer(os.pread(file.fileno(), length, start))

    def _small_part(self, key: str, part: Callable[[int], tuple[int, int]]) -> pa.Buffer | None:
        """The part, if it is small and nothing is unusual. This costs half of looking at the path first."""
        if ".." in key or key.startswith("/"):
            return None
        try:
            descriptor = os.open(f"{self.uri}/{key}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            status = os.fstat(descriptor)
            start, length = part(status.st_size)
            if not stat.S_ISREG(status.st_mode) or length >= MAPPED_BYTES:
                return None
            content = os.pread(descriptor, length, start)
            return pa.py_buffer(content) if len(content) == length else None
        except OSError:
            return None
        finally:
            os.close(descriptor)

    @contextmanager
    def _written_aside(self, content: bytes | pa.Buffer, final: Path) -> Iterator[Path]:
        """A complete, synced and locked file in `.tmp`, which is gone afterwards, whether or not it was used.

        Errors name the final path, which is the one that whoever reads them knows.
        """
        folder = self._folder / _ASIDE
        path = folder / secrets.token_hex(16)
        if not self._is_tidied:
            self._is_tidied = True
            with suppress(StoreError):  # what is left over harms nothing but the free space
                self.remove_leftovers(older_than_s=ABANDONED_S)
        try:
            with file_errors("written", final):
                folder.mkdir(parents=True, exist_ok=True)
                file = _opened_new(path, final)
            with file_errors("written", final), file:
                with suppress(OSError):  # a file system without locks: its age alone protects the file
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(memoryview(content))
                file.flush()
                os.fsync(file.fileno())
                yield path
        finally:
            with suppress(OSError):  # if even this fails, `remove_leftovers` removes it later
                path.unlink()


def _opened_new(path: Path, final: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except PermissionError as error:
        raise StoreError(
            f"{shown(final)}: cannot be written, because it is first written to the folder {shown(path.parent)}: "
            f"{described(error)}"
        ) from error


def mapped(path: Path) -> pa.Buffer:
    """A file's bytes, mapped into memory. They stay readable after the file is unlinked."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _kind(path: Path) -> str:
    """What is at a path, for messages."""
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = path.lstat().st_mode
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def _require_folder(path: Path) -> None:
    """Refuses a path on which something else is where a folder must be. Folders that do not exist are none."""
    nearest = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise StoreError(
            f"{shown(nearest)}: this is {_kind(nearest)}, but a store must be a folder; move it away, or choose another path"
        )


def _require_file(path: Path) -> None:
    """Refuses anything but a file in the place of an object."""
    if not path.is_file():
        kind = _kind(path)
        raise NoObjectError(
            f"{shown(path)}: this is {kind}, but must be a file; move it away, then run again", kind=kind
        )


def _renamed(path: Path, to: Path, before: os.stat_result) -> bool:
    """Renames a file, unless another one has taken its place since it was looked at: that one is put back."""
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)
    now = to.lstat()
    same = ("st_dev", "st_ino", "st_size", "st_mtime_ns")  # a new file may get the number of a removed one
    if any(getattr(now, name) != getattr(before, name) for name in same):
        with suppress(FileExistsError):
            os.link(to, path, follow_symlinks=False)
        to.unlink()
        return False
    _sync_folder(path.parent)
    return True


def _raise_unless_gone(error: OSError, top: Path) -> None:
    """Raises what went wrong with a folder, unless it does not exist, or was removed since its own folder was read."""
    place = Path(error.filename or top)
    with file_errors("listed", place):
        if not isinstance(error, FileNotFoundError):
            raise error
        _require_folder(place)


def _size_bytes(path: str) -> int | None:
    """The size of a listed file; 0 if it is a link that cannot be followed; None if it was removed since."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  # a `Path` would take longer to make than this takes
    except OSError as error:
        with file_errors("listed", path):
            if Path(path).is_symlink():
                return 0
            if isinstance(error, FileNotFoundError):
                return None
            raise


def _removed_bytes(path: Path, *, older_than_s: float) -> int | None:
    """Removes a temporary file of this age unless a process holds its lock. Returns its size; None if it is still there."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            age_s = time.time() - max(status.st_mtime, status.st_ctime)  # a file that was renamed may have an old mtime
            if age_s < older_than_s:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            except OSError:  # a file system without locks
                if age_s < ABANDONED_S:
                    return None
            path.unlink()
    except FileNotFoundError:  # its writer, or another process that tidies, was faster
        return None
    return status.st_size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
