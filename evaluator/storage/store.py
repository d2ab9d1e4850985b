"""Store: named, immutable objects in a folder, in memory or in a bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from assay.evaluator.errors import StoreError

ABANDONED_S = 86_400.0
"""What an interrupted writer left over is removed without being asked for after this many seconds."""


A_FOLDER = "a folder"
"""The kind of folders among what is no object."""


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing.

    Attributes:
        key: The object's key, relative to the store, with `/` between its parts.
        size_bytes: The object's size in bytes.
    """

    key: str
    size_bytes: int


class Store(Protocol):
    """Holds datasets, weights or a ledger. Keys are relative to the store, with `/` between their parts.

    An object appears completely or not at all, and never changes afterwards. The only exceptions are `replace`, for
    small objects that are informational and not evidence, and `remove`, for damaged objects of which a copy is kept.

    Besides `FileNotFoundError` where it is named, every operation raises only `StoreError` (an `OutageError` if a retry
    may succeed) if the store fails, and `DamageError` if something that is no object is in an object's place. A listing
    that fails is an error, never a shorter listing.
    """

    uri: str
    """The URI with which `open_store` opens the same store."""

    def get(self, key: str) -> pa.Buffer:
        """The object's bytes.

        Raises:
            FileNotFoundError: The object does not exist.
        """
        ...

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """At most `length` bytes of the object from byte `start` on: fewer, or none, if the object ends before.

        Raises:
            FileNotFoundError: The object does not exist.
        """
        ...

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The last `length` bytes of the object, or the whole object if it is shorter.

        Raises:
            FileNotFoundError: The object does not exist.
        """
        ...

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Stores a new object durably and returns True. If the key is taken, changes nothing and returns False."""
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Stores an object that may change, such as a progress report. The last write wins."""
        ...

    def remove(self, key: str, content: pa.Buffer) -> None:
        """Removes the object if it still has this content. Does nothing if it is gone or has another content by now."""
        ...

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:
        """Moves what is in an object's place, and is no object or one of an impossible size, without reading it.

        Args:
            key: The key.
            to: A free key.
            size_bytes: The impossible size in bytes; None: only what is no object is moved.

        Returns:
            Whether it was moved; False if it is gone, or an object of another size, or the store cannot move it.
        """
        ...

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with the prefix, in the order of their keys."""
        ...

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:
        """What is no object, but has a key that starts with the prefix: the key and the kind, such as "a folder".

        Folders belong to it, because one may be in an object's place. A bucket has none of these.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether the key has an object."""
        ...

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:
        """Removes incomplete objects that interrupted writers left, unless a living writer may own them.

        Args:
            older_than_s: The age in seconds from which they are removed.

        Returns:
            What was removed. The keys are not those of objects.
        """
        ...


def prove_put_if_absent(store: Store, *, key: str, content: bytes) -> None:
    """Checks that the store never overwrites an object. Some S3 servers ignore the condition and respond with 200.

    Args:
        store: The store to check.
        key: The key of an object that the store needs anyway; it is put twice.
        content: The object's content.

    Raises:
        StoreError: The store accepted the second put.
    """
    store.put_if_absent(key, content)
    if store.put_if_absent(key, content):
        raise StoreError(
            f"{store.uri}: the store overwrote the object with the key '{key}', so it cannot hold a ledger; "
            "use a server that honours If-None-Match on PUT"
        )
