"""A store in this process's memory: a working fake, for tests."""

from collections.abc import Iterator
from threading import Lock
from typing import ClassVar, Self

import pyarrow as pa

from assay.evaluator.storage.store import StoredObject


class MemoryStore:
    """Objects in a dictionary, lost when the process ends."""

    _named: ClassVar[dict[str, "MemoryStore"]] = {}

    def __init__(self, name: str) -> None:
        self.uri = f"memory://{name}"
        self._objects: dict[str, bytes] = {}
        self._lock = Lock()

    @classmethod
    def named(cls, name: str) -> "Self | MemoryStore":
        """The store with this name; the same store for every call."""
        return cls._named.setdefault(name, cls(name))

    def get(self, key: str) -> pa.Buffer:
        """The object's bytes."""
        return self._content(key)

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the object."""
        return pa.py_buffer(memoryview(self._content(key))[start : start + length])

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the object."""
        content = self._content(key)
        return content.slice(max(0, content.size - length))

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Stores a copy if the key is free."""
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = bytes(memoryview(content))
            return True

    def replace(self, key: str, content: bytes) -> None:
        """Stores a copy, whether or not the key is taken."""
        self._objects[key] = content

    def remove(self, key: str, content: pa.Buffer) -> None:
        """Removes the object if it still has this content."""
        with self._lock:
            if self._objects.get(key) == content.to_pybytes():
                del self._objects[key]

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:  # noqa: ARG002
        """Nothing: whatever has a key is an object, and is read without a cost."""
        return False

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Nothing: whatever has a key is an object."""
        return iter(())

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """A snapshot of the keys with that prefix."""
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield StoredObject(key, len(self._objects[key]))

    def exists(self, key: str) -> bool:
        """Whether the key is taken."""
        return key in self._objects

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:  # noqa: ARG002
        """Nothing: there are no incomplete objects."""
        return ()

    def _content(self, key: str) -> pa.Buffer:
        if key not in self._objects:
            raise FileNotFoundError(key)
        return pa.py_buffer(self._objects[key])
