"""A store that counts what is read from another store."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from assay.evaluator.storage import Store, StoredObject


class CountingStore:
    """Passes every operation on.

    Attributes:
        whole: How often each object was read as a whole.
        parts: Per object of which parts were read, the length of each part.
        listed: How often each prefix was listed.
        asked: How often it was asked whether each object exists.
        written: How often each object was put or replaced.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.uri = store.uri
        self.whole: Counter[str] = Counter()
        self.parts: dict[str, list[int]] = {}
        self.listed: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    @property
    def num_reads(self) -> int:
        """How often an object or a part of one was read."""
        return self.whole.total() + sum(map(len, self.parts.values()))

    @property
    def num_calls(self) -> int:
        """How often the store was called."""
        return self.num_reads + self.listed.total() + self.asked.total() + self.written.total()

    def of(self, part_of_key: str) -> dict[str, int]:
        """How often each object whose key contains this text was read as a whole."""
        return {key: count for key, count in self.whole.items() if part_of_key in key}

    def get(self, key: str) -> pa.Buffer:
        self.whole[key] += 1
        return self._store.get(key)

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        return self._counted(key, self._store.get_range(key, start, length))

    def get_end(self, key: str, length: int) -> pa.Buffer:
        return self._counted(key, self._store.get_end(key, length))

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        self.written[key] += 1
        return self._store.put_if_absent(key, content)

    def replace(self, key: str, content: bytes) -> None:
        self.written[key] += 1
        self._store.replace(key, content)

    def remove(self, key: str, content: pa.Buffer) -> None:
        self._store.remove(key, content)

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:
        return self._store.move_unread(key, to, size_bytes=size_bytes)

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:
        return self._store.strays(prefix)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        self.listed[prefix] += 1
        return self._store.listing(prefix)

    def exists(self, key: str) -> bool:
        self.asked[key] += 1
        return self._store.exists(key)

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:
        return self._store.remove_leftovers(older_than_s=older_than_s)

    def _counted(self, key: str, part: pa.Buffer) -> pa.Buffer:
        self.parts.setdefault(key, []).append(part.size)
        return part
