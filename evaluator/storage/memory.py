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
        if key not in self._objects:
            raise FileNotFoundError(key)
        return pa.py_buffer(self._objects[key])

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

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """A snapshot of the keys with that prefix."""
        for key in sorted(self._objects):
            if key.startswith(prefix):
                yield StoredObject(key, len(self._objects[key]))

    def exists(self, key: str) -> bool:
        """Whether the key is taken."""
        return key in self._objects
