"""A ledger's store for verification: one object that cannot be read is noted, and does not end the verification."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pyarrow as pa

from assay.evaluator.errors import DamageError, NoObjectError
from assay.evaluator.ledger.unreadable import damage_of_one_object
from assay.evaluator.storage import Store, StoredObject

_Answer = TypeVar("_Answer")


class ReadableStore:
    """Another store, of which an object that cannot be read is taken for a missing one. Everything else is unchanged.

    A store that does not answer at all is an error still, and so is a listing that fails.

    Attributes:
        unreadable: What is wrong with each object that could not be read, by key, as a phrase that follows the key.
    """

    def __init__(self, store: Store) -> None:
        self._store, self.uri = store, store.uri
        self.unreadable: dict[str, str] = {}

    def get(self, key: str) -> pa.Buffer:
        """The object's bytes."""
        return self._noted(key, lambda: self._store.get(key))

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the object."""
        return self._noted(key, lambda: self._store.get_range(key, start, length))

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the object."""
        return self._noted(key, lambda: self._store.get_end(key, length))

    def exists(self, key: str) -> bool:
        """Whether the key has an object that can be read."""
        try:
            return self._noted(key, lambda: self._store.exists(key))
        except FileNotFoundError:
            return False

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with the prefix."""
        return self._store.listing(prefix)

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:
        """What is no object."""
        return self._store.strays(prefix)

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Stores a new object."""
        return self._store.put_if_absent(key, content)

    def replace(self, key: str, content: bytes) -> None:
        """Stores an object that may change."""
        self._store.replace(key, content)

    def remove(self, key: str, content: pa.Buffer) -> None:
        """Removes an object that still has this content."""
        self._store.remove(key, content)

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:
        """Moves what is no object."""
        return self._store.move_unread(key, to, size_bytes=size_bytes)

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:
        """Removes what interrupted writers left."""
        return self._store.remove_leftovers(older_than_s=older_than_s)

    def _noted(self, key: str, read: Callable[[], _Answer]) -> _Answer:
        try:
            with damage_of_one_object():
                return read()
        except NoObjectError as error:
            self.unreadable[key] = no_file(error.kind)
        except DamageError as error:
            self.unreadable[key] = f"cannot be read: {error}"
        raise FileNotFoundError(key)


def no_file(kind: str) -> str:
    """The problem of an object in whose place something else is, as a phrase that follows the key."""
    return f"is {kind}, but must be a file; move it away"
