"""A folder as a store: files are written to a temporary name, synced, and linked to their final name."""

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from assay.evaluator.errors import StoreError
from assay.evaluator.storage.store import StoredObject

_ASIDE = ".tmp"
_MAPPED_BYTES = 1 << 20


class LocalStore:
    """Objects are files below one folder. Incomplete files are in `.tmp` and are never listed."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).absolute()
        nearest = next(path for path in (self._folder, *self._folder.parents) if os.path.lexists(path))
        if os.path.isfile(nearest):  # noqa: PTH113  # Path.is_file raises without permission
            raise StoreError(f"{nearest}: this is a file, but a store must be a folder; choose another path")
        self.uri = str(self._folder)

    def get(self, key: str) -> pa.Buffer:
        """The file's bytes; those of a large file are mapped into memory."""
        content = self._small(key)
        return self._content(key) if content is None else content

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the mapped file, of which only this part is read."""
        content = self._content(key)
        return content.slice(min(start, content.size), max(0, min(length, content.size - start)))

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the mapped file, of which only this part is read."""
        content = self._content(key)
        return content.slice(max(0, content.size - length))

    def path(self, key: str) -> Path:
        """The path of the object's file, whether or not it exists."""
        return self._folder / key

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Links a complete, synced file to its final name. Linking fails if the name is taken."""
        final = self._folder / key
        aside = self._write_aside(content)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            os.link(aside, final)
        except FileExistsError:
            return False
        except OSError as error:
            raise StoreError(
                f"{final}: the file cannot be linked to this name: {error.strerror}; "
                "use a folder on a file system that supports hard links"
            ) from error
        finally:
            aside.unlink()
        _sync_folder(final.parent)
        return True

    def replace(self, key: str, content: bytes) -> None:
        """Renames a complete file over the old one."""
        final = self._folder / key
        aside = self._write_aside(content)
        final.parent.mkdir(parents=True, exist_ok=True)
        aside.replace(final)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Every file below the prefix's folder whose key starts with the prefix."""
        top = self._folder / prefix.rpartition("/")[0]
        objects = []
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name != _ASIDE]
            start = folder[len(self.uri) + 1 :]  # strings: a ledger may have a million files
            for name in files:
                key = f"{start}/{name}".lstrip("/")
                if key.startswith(prefix):
                    objects.append(StoredObject(key, os.stat(f"{folder}/{name}").st_size))  # noqa: PTH116
        yield from sorted(objects, key=lambda entry: entry.key)

    def exists(self, key: str) -> bool:
        """Whether the file exists."""
        return (self._folder / key).is_file()

    def _content(self, key: str) -> pa.Buffer:
        path = self.path(key)
        if path.is_dir():
            raise FileNotFoundError(key)
        return mapped(path)

    def _small(self, key: str) -> pa.Buffer | None:
        """The bytes of an ordinary small file, without a `Path`, which costs more than reading; None: look closely."""
        if ".." in key:
            return None
        try:
            descriptor = os.open(f"{self.uri}/{key}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size >= _MAPPED_BYTES:
                return None
            content = os.read(descriptor, status.st_size)
            return pa.py_buffer(content) if len(content) == status.st_size else None
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _write_aside(self, content: bytes | pa.Buffer) -> Path:
        folder = self._folder / _ASIDE
        path = folder / secrets.token_hex(16)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(memoryview(content))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)  # an incomplete file would keep a full disk full
            raise StoreError(f"{folder}: cannot write to this folder: {error.strerror}") from error
        return path


def mapped(path: Path) -> pa.Buffer:
    """A file's bytes, mapped into memory. They stay readable after the file is unlinked."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
