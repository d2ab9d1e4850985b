"""Shards: reads frozen rows back, verifies every byte, and copies only where necessary."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa

from assay.evaluator import fingerprint
from assay.evaluator.data.frozen.references import dataset_of_digest, manifest_key, references, stored_dataset
from assay.evaluator.data.ingest import arrow_schema
from assay.evaluator.data.ingest.chunk import one_array
from assay.evaluator.errors import DamageError, DataError
from assay.evaluator.storage import Store, open_store, split_uri
from assay.evaluator.storage.file_errors import file_errors
from assay.evaluator.storage.local import MAPPED_BYTES, LocalStore
from assay.manifests.column import FrozenColumn
from assay.manifests.dataset import Dataset, Shard
from assay.manifests.errors import did_you_mean

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9_.-]*")
"""A dataset's reference: safe as a part of a key."""


def open_dataset(location: str, *, patient: bool = False) -> tuple[Dataset, Store]:
    """Opens a frozen dataset by `STORE/name@version` or `STORE/name@sha256:...`.

    Args:
        location: The dataset. A digest may be shortened to its first 12 digits or more.
        patient: Whether its store retries through an outage.

    Returns:
        Its manifest, and the store of its shards.

    Raises:
        DataError: There is no such dataset or version; the error names those that exist.
        DamageError: The manifest is damaged.
    """
    uri, reference = split_uri(location)
    name, at, version = reference.partition("@")
    if not (name and at and version) or not (":" in version or _REFERENCE.fullmatch(reference)):
        raise DataError(
            "not the location of a dataset",
            place=location,
            bound="STORE/name@version or STORE/name@sha256:...",
            remedy=f"for example {uri}/{name or 'digits'}@v1",
        )
    store = open_store(uri, patient=patient)
    if ":" in version:
        return dataset_of_digest(store, name, version), store
    dataset = stored_dataset(store, reference)
    if dataset is not None:
        return dataset, store
    versions = [stored.partition("@")[2] for stored in references(store, name=name)]
    if versions:
        raise DataError(
            "the dataset has no such version",
            place=location,
            value=version,
            bound=", ".join(versions),
            remedy=did_you_mean(version, versions) if len(versions) > 1 else "",
        )
    raise DataError(
        "no such dataset in this store",
        place=location,
        value=reference,
        remedy=did_you_mean(reference, references(store))
        or "the store has no datasets: freeze one, or correct the path of the store",
    )


@dataclass(frozen=True)
class Reads:
    """What was read from a store, by any thread.

    Attributes:
        shards_fetched: Shards whose bytes were read from the store and verified.
        bytes_fetched: Their bytes.
        fetch_s: Seconds spent on fetching, verifying and caching.
    """

    shards_fetched: int = 0
    bytes_fetched: int = 0
    fetch_s: float = 0.0

    def __add__(self, other: "Reads") -> "Reads":
        return Reads(
            self.shards_fetched + other.shards_fetched,
            self.bytes_fetched + other.bytes_fetched,
            self.fetch_s + other.fetch_s,
        )


class ShardReader:
    """Reads rows of a dataset by their global index; keeps the last fetched shard."""

    def __init__(self, dataset: Dataset, store: Store) -> None:
        self.dataset = dataset
        self.store = store
        self._last: tuple[int, pa.Table] | None = None
        self.waited_s = 0.0
        """Seconds that the last call of `rows` waited for shards."""
        self._reads, self._counting = Reads(), Lock()

    def fetch(self, shard: Shard) -> pa.Buffer:
        """The bytes of a shard, verified.

        Raises:
            DamageError: They are missing, or are not the bytes that were frozen.
            StoreError: They cannot be read.
        """
        started = time.perf_counter()
        place = f"{self.store.uri}/{shard.key}: shard {shard.index} of {self.dataset.reference}"
        remedy = "restore the object from a copy, or freeze the same rows in a new store"
        try:
            buffer = self.store.get(shard.key)
        except FileNotFoundError:
            raise DamageError(
                f"{place} is missing; expected {shard.size_bytes:,} bytes, {shard.blake3}; {remedy}"
            ) from None
        digest = self._digest(shard, buffer)
        if (buffer.size, digest) != (shard.size_bytes, shard.blake3):
            raise DamageError(
                f"{place} is damaged; expected {shard.size_bytes:,} bytes, {shard.blake3}; "
                f"found {buffer.size:,} bytes, {digest}; {remedy}"
            )
        self.count(Reads(1, buffer.size, fetch_s=time.perf_counter() - started))
        return buffer

    def _digest(self, shard: Shard, buffer: pa.Buffer) -> str:
        """The digest of a shard's bytes. A file that is mapped is read for it, so that a fault of the disk is an error."""
        if not isinstance(self.store, LocalStore) or buffer.size < MAPPED_BYTES:
            return fingerprint.blake3_digest(buffer)
        path = self.store.path(shard.key)
        with file_errors("read", path):
            return fingerprint.blake3_of_file(path)

    def count(self, reads: Reads) -> None:
        """Adds to the counts that `reads` returns."""
        with self._counting:
            self._reads += reads

    def reads(self) -> Reads:
        """What was read since the last call."""
        with self._counting:
            reads, self._reads = self._reads, Reads()
        return reads

    def table(self, buffer: pa.Buffer) -> pa.Table:
        """The rows of a shard's bytes; uncompressed data is not copied."""
        return pa.ipc.open_file(pa.BufferReader(buffer)).read_all()

    def rows(self, first_row: int, num_rows: int) -> pa.Table:
        """Some rows in the frozen order, from all shards that contain them.

        Args:
            first_row: The global index of the first row.
            num_rows: How many rows.

        Raises:
            DataError: The dataset has no such rows.
            DamageError: A shard is missing or damaged.
        """
        self.waited_s = 0.0
        shards = self.shards(first_row, num_rows)
        end = first_row + num_rows
        parts: list[pa.Table] = []
        for shard in shards:
            start = max(first_row, shard.first_row)
            parts.append(self._shard_table(shard).slice(start - shard.first_row, end - start))
        return pa.concat_tables(parts)

    def shards(self, first_row: int, num_rows: int) -> tuple[Shard, ...]:
        """The shards that contain some rows.

        Raises:
            DataError: The dataset has no such rows.
        """
        last_row = first_row + num_rows - 1
        if first_row < 0 or num_rows < 1 or last_row >= self.dataset.num_rows:
            raise DataError(
                "the dataset has no such rows",
                place=self.dataset.reference,
                value=f"rows {first_row} to {last_row}",
                bound=f"rows 0 to {self.dataset.num_rows - 1}",
            )
        shard_rows = self.dataset.shard_rows
        return self.dataset.shards[first_row // shard_rows : last_row // shard_rows + 1]

    def _shard_table(self, shard: Shard) -> pa.Table:
        if self._last is None or self._last[0] != shard.index:
            self._last = None  # frees the old shard before fetching the new one
            started = time.perf_counter()
            buffer = self.fetch(shard)
            self.waited_s += time.perf_counter() - started
            self._last = shard.index, self.table(buffer)
        return self._last[1]


def columns_as_numpy(table: pa.Table, columns: Iterable[FrozenColumn]) -> dict[str, np.ndarray]:
    """The columns of a table as arrays; read-only views where Arrow's memory layout allows it.

    Args:
        table: Some columns of the dataset, shape (rows,).
        columns: The dataset's columns; those that the table lacks are left out.

    Returns:
        By name: tensors of shape (rows, *shape), numbers and bools of shape (rows,), texts as `str` objects of shape
        (rows,). A null is NaN in the column's own float type, or None among texts.
    """
    return {
        column.name: _as_numpy(table[column.name], column) for column in columns if column.name in table.column_names
    }


def _as_numpy(values: pa.ChunkedArray, column: FrozenColumn) -> np.ndarray:
    array = one_array(values)
    if column.shape:
        return array.storage.flatten().to_numpy(zero_copy_only=False).reshape(-1, *column.shape)
    return array.to_numpy(zero_copy_only=False)


def verify(dataset: Dataset, store: Store, *, on_shard: Callable[[], None] = lambda: None) -> None:
    """Reads every shard again, and compares bytes, schema, order and rows with the manifest.

    Args:
        dataset: Its manifest.
        store: The store of its shards.
        on_shard: Called after each shard.

    Raises:
        DamageError: Something differs from what was frozen; every damaged shard is named.
    """
    reader = ShardReader(dataset, store)
    schema = arrow_schema(dataset.columns)
    digest = fingerprint.RowsDigest(schema)
    first_row, damage = 0, []
    for index, shard in enumerate(dataset.shards):
        try:
            table = _verified(reader, shard, index=index, first_row=first_row, schema=schema)
            digest.update(table)
        except DamageError as error:
            damage.append(str(error))
        first_row += shard.num_rows
        on_shard()
    if damage:
        raise DamageError("\n".join(damage))
    expected = (dataset.num_rows, dataset.schema_digest, dataset.rows_digest)
    if (first_row, fingerprint.schema_digest(schema), digest.digest()) != expected:
        raise DamageError(
            f"{store.uri}: the shards of {dataset.reference} are intact, but do not contain the rows of its manifest; "
            f"expected {dataset.num_rows} rows, {dataset.rows_digest}; found {first_row} rows, {digest.digest()}"
        )
    misfits = _misfits(dataset)
    if misfits:
        raise DamageError(
            f"{store.uri}/{manifest_key(dataset.reference)}: the manifest contradicts itself: {'; '.join(misfits)}"
        )


def _verified(reader: ShardReader, shard: Shard, *, index: int, first_row: int, schema: pa.Schema) -> pa.Table:
    """The rows of a shard, after comparing it with the manifest in every respect."""
    buffer = reader.fetch(shard)
    place = f"{reader.store.uri}/{shard.key}: shard {shard.index} of {reader.dataset.reference}"
    if fingerprint.sha256_digest(buffer) != shard.sha256:
        raise DamageError(f"{place} does not have the sha256 in the manifest, {shard.sha256}")
    table = reader.table(buffer)
    position = (index, first_row, table.num_rows)
    if position != (shard.index, shard.first_row, shard.num_rows) or not table.schema.equals(schema):
        raise DamageError(
            f"{place} is not the shard that belongs there; "
            f"expected {shard.num_rows} rows from row {shard.first_row}, found {table.num_rows} rows from row {first_row}"
        )
    return table


def _misfits(dataset: Dataset) -> list[str]:
    """Descriptions of the numbers in the manifest that contradict each other."""
    num_checked = dataset.num_rows if dataset.parent is None else dataset.parent.num_rows
    pairs = (
        ("rows of its sources", sum(source.num_rows for source in dataset.sources), num_checked),
        ("rows that were checked", dataset.check.num_rows, num_checked),
        ("rows of the sample", dataset.num_rows, dataset.parent.sample.rows if dataset.parent else dataset.num_rows),
        ("rows of the profile", dataset.profile.num_rows if dataset.profile else dataset.num_rows, dataset.num_rows),
        ("rows of a shard", {shard.num_rows for shard in dataset.shards[:-1]} or {dataset.shard_rows}, {dataset.shard_rows}),
        ("columns", [column.name for column in dataset.columns], [each.name for each in dataset.contract.frozen_columns]),
    )  # fmt: skip
    return [f"{name}: {actual}, expected {expected}" for name, actual, expected in pairs if actual != expected]
