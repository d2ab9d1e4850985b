"""A store that retries while another store is unavailable."""

from collections.abc import Iterator

import pyarrow as pa
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from assay.evaluator.errors import OutageError
from assay.evaluator.storage.store import Store, StoredObject

TOTAL_S = 100.0
"""The seconds after which no further attempt begins; an attempt takes 20 s at most, unless it transfers much."""
_MAX_PAUSE_S = 5


class RetryingStore:
    """Retries every operation for up to two minutes if it fails because the wrapped store has an outage.

    A failed attempt may have succeeded on the server, with only its response lost. `put_if_absent` may then return
    False because of our own object; this can also happen without retries.
    """

    def __init__(self, store: Store, *, total_s: float = TOTAL_S) -> None:
        """Wraps a store.

        Args:
            store: The store.
            total_s: The seconds after which no further attempt begins.
        """
        self._store, self._total_s = store, total_s
        self.uri = store.uri

    def get(self, key: str) -> pa.Buffer:
        """The object's bytes."""
        return self._retrying()(self._store.get, key)

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the object."""
        return self._retrying()(self._store.get_range, key, start, length)

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the object."""
        return self._retrying()(self._store.get_end, key, length)

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Stores a new object."""
        return self._retrying()(self._store.put_if_absent, key, content)

    def replace(self, key: str, content: bytes) -> None:
        """Stores an object that may change."""
        return self._retrying()(self._store.replace, key, content)

    def remove(self, key: str, content: pa.Buffer) -> None:
        """Removes an object that still has this content."""
        self._retrying()(self._store.remove, key, content)

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:
        """Moves what is no object."""
        return self._retrying()(lambda: self._store.move_unread(key, to, size_bytes=size_bytes))

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:
        """What is no object."""
        return iter(self._retrying()(lambda: list(self._store.strays(prefix))))

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """The whole listing; it starts from the beginning again if it is interrupted."""
        return iter(self._retrying()(lambda: list(self._store.listing(prefix))))

    def exists(self, key: str) -> bool:
        """Whether the key has an object."""
        return self._retrying()(self._store.exists, key)

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:
        """Removes what interrupted writers left."""
        return self._retrying()(lambda: self._store.remove_leftovers(older_than_s=older_than_s))

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(OutageError),
            wait=wait_random_exponential(multiplier=0.5, max=_MAX_PAUSE_S),
            stop=stop_before_delay(self._total_s),
            reraise=True,
        )
