"""A store that waits through the outages of another one."""

from collections.abc import Iterator

import pyarrow as pa
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from assay.evaluator.errors import OutageError
from assay.evaluator.storage.store import Store, StoredObject

_PATIENCE_S = 120
_LONGEST_PAUSE_S = 5


class PatientStore:
    """Tries again for two minutes whatever fails because the store behind it is away or in trouble.

    What was tried may have been done, and only its answer lost: `put_if_absent` may then answer False about an object
    of our own, as it may without this.
    """

    def __init__(self, store: Store) -> None:
        """Stands before a store."""
        self._store = store
        self.uri = store.uri

    def get(self, key: str) -> pa.Buffer:
        """The object's bytes."""
        return _again()(self._store.get, key)

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """Stores a new object."""
        return _again()(self._store.put_if_absent, key, content)

    def replace(self, key: str, content: bytes) -> None:
        """Stores an object that may change."""
        return _again()(self._store.replace, key, content)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """The whole listing, which begins anew if it breaks off."""
        return iter(_again()(lambda: list(self._store.listing(prefix))))

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""
        return _again()(self._store.exists, key)


def _again() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(OutageError),
        wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_PAUSE_S),
        stop=stop_after_delay(_PATIENCE_S),
        reraise=True,
    )
