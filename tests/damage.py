"""Six ways in which a stored file can be damaged, in a folder, in memory or in a bucket; and forged unit files."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint, repeats
from assay.evaluator.ledger.checksum import CHECKSUM_METADATA, with_checksum
from assay.evaluator.ledger.receipt import RECEIPT_METADATA
from assay.evaluator.ledger.stored_scores import from_stored
from assay.evaluator.ledger.writer import parquet_bytes
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


def forged(
    content: bytes,
    *,
    table: Callable[[pa.Table], pa.Table] = lambda table: table,
    receipt: Callable[[dict[str, Any]], None] = lambda receipt: None,
) -> bytes:
    """A unit file that somebody has edited who knows how Assay writes them: its checksum fits.

    Args:
        content: The file.
        table: Changes the stored columns.
        receipt: Changes the receipt in place.
    """
    changed = table(pq.read_table(pa.BufferReader(content)))
    metadata = dict(changed.schema.metadata)
    document = json.loads(metadata[RECEIPT_METADATA])
    receipt(document)
    metadata |= {RECEIPT_METADATA: json.dumps(document).encode(), **CHECKSUM_METADATA}
    return with_checksum(parquet_bytes(changed.replace_schema_metadata(metadata))).to_pybytes()


def with_perfect_scores(table: pa.Table) -> pa.Table:
    """Stored rows in which every score is 1."""
    perfect = [[(name, 1.0) for name, _ in row] for row in table["scores"].to_pylist()]
    return with_column(table, "scores", perfect)


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    """Stored rows with other values in one column."""
    place = table.column_names.index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, [pa.array(values, field.type)])


def consistent(content: bytes, table: Callable[[pa.Table], pa.Table]) -> bytes:
    """A forged unit file whose receipt was computed again from the changed rows: nothing in it contradicts the rest."""
    rows = from_stored(table(pq.read_table(pa.BufferReader(content))))

    def receipt(document: dict[str, Any]) -> None:
        document["scores_digest"] = fingerprint.rows_digest(rows)
        document["facts"]["score_sums"] = {name: total for name, (total,) in repeats.sums([rows]).items()}

    return forged(content, table=table, receipt=receipt)
