"""Store: named, immutable objects in a folder, in memory or in a bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from assay.evaluator.errors import StoreError


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing.

    Attributes:
        key: The object's key, relative to the store, with `/` between its parts.
        size_bytes: Its size.
    """

    key: str
    size_bytes: int


class Store(Protocol):
    """Where datasets, weights and the ledger lie. Keys are relative, their parts divided by `/`.

    An object appears whole or not at all, and never changes once it is there; `replace` is the one exception, for
    small objects that only inform.
    """

    uri: str
    """What `open_store` takes to reach the same objects."""

    def get(self, key: str) -> pa.Buffer:
        """The object's bytes.

        Raises:
            FileNotFoundError: There is no such object.
        """
        ...

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Stores a new object, durably. False, and nothing changed, if the key is taken."""
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Stores an object that may change, such as a progress report: the last one wins."""
        ...

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with the prefix, in the order of their keys."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""
        ...


def prove_put_if_absent(store: Store, *, key: str, content: bytes) -> None:
    """Makes the store show that it never overwrites: some S3 servers ignore the condition and answer 200.

    Args:
        store: The store to prove.
        key: An object that has to be there anyway; it is put twice.
        content: What that object holds.

    Raises:
        StoreError: The second put was accepted.
    """
    store.put_if_absent(key, content)
    if store.put_if_absent(key, content):
        raise StoreError(
            f"{store.uri}: the store accepted a second object under the key '{key}', so it cannot keep a ledger; "
            "use a server that honours If-None-Match on put"
        )
