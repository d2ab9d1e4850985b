"""Six ways in which a stored file can be damaged, in a folder, in memory or in a bucket.""" ""

import random
from pathlib import Path
from typing import Any

from assay.evaluator.storage import Store

WAYS = ("bit_flip", "truncated", "empty", "foreign", "copied", "deleted")
FOREIGN = b"This is a note that somebody left in the wrong folder.\n"


def damage(store: Store, key: str, way: str, *, generator: random.Random, other: str | None = None) -> None:
    """Damages one object.

    Args:
        store: The store.
        key: The object's key.
        way: One of `WAYS`.
        generator: Draws the flipped bit.
        other: The key of another valid object of the same kind, for `copied`.
    """
    content = store.get(key).to_pybytes()
    if way == "deleted":
        delete(store, key)
    elif way == "copied":
        assert other is not None
        overwrite(store, key, store.get(other).to_pybytes())
    elif way == "bit_flip":
        overwrite(store, key, flipped(content, generator.randrange(8 * len(content))))
    else:
        overwrite(store, key, {"truncated": content[: len(content) // 2], "empty": b"", "foreign": FOREIGN}[way])


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit flipped, counted from the first byte's lowest bit."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def overwrite(store: Store, key: str, content: bytes) -> None:
    """Stores other content under a key, as somebody with access to the store could."""
    delete(store, key)
    assert store.put_if_absent(key, content)


def delete(store: Store, key: str) -> None:
    """Removes an object, as somebody with access to the store could."""
    inner: Any = store
    if store.uri.startswith("s3://"):
        inner._client.delete_object(**inner._object(key))
    elif store.uri.startswith("memory://"):
        del inner._objects[key]
    else:
        Path(store.uri, key).unlink()
