"""Shards: frozen rows read back, every byte verified, nothing copied that need not be."""

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
from assay.manifests.column import FrozenColumn
from assay.manifests.dataset import Dataset, Shard
from assay.manifests.errors import did_you_mean


def open_dataset(location: str, *, patient: bool = False) -> tuple[Dataset, Store]:
    """Opens a frozen dataset by `STORE/name@version` or `STORE/name@sha256:...`.

    Args:
        location: Where it is. A digest may be cut to 12 of its digits or more.
        patient: Whether its store waits through an outage.

    Returns:
        Its manifest, and the store that has its shards.

    Raises:
        DataError: There is no such dataset, or no such version; those that are there are named.
        DamageError: The manifest is damaged.
    """
    uri, reference = split_uri(location)
    name, at, version = reference.partition("@")
    if not (name and at and version):
        raise DataError(
            "not the place of a dataset",
            place=location,
            bound="STORE/name@version or STORE/name@sha256:...",
            remedy=f"write it like {uri}/{name or 'digits'}@v1",
        )
    store = open_store(uri, patient=patient)
    if ":" in version:
        return dataset_of_digest(store, name, version), store
    dataset = stored_dataset(store, reference)
    if dataset is not None:
        return dataset, store
    versions = [found.partition("@")[2] for found in references(store, name=name)]
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
        or "the store holds no dataset: freeze one, or correct the path of the store",
    )


@dataclass(frozen=True)
class Reads:
    """What was read from a store, by any thread.

    Attributes:
        shards_fetched: Shards whose bytes were read from the store and verified.
        bytes_fetched: Their bytes.
        fetch_s: Seconds spent on that, and on keeping what was fetched.
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
    """Reads rows of a dataset by their global index; keeps the shard it fetched last."""

    def __init__(self, dataset: Dataset, store: Store) -> None:
        self.dataset = dataset
        self.store = store
        self._last: tuple[int, pa.Table] | None = None
        self.waited_s = 0.0
        """Seconds that the last call of `rows` waited for the bytes of shards."""
        self._reads, self._counting = Reads(), Lock()

    def fetch(self, shard: Shard) -> pa.Buffer:
        """The bytes of a shard, verified.

        Raises:
            DamageError: They are missing, or are not those that were frozen.
        """
        started = time.perf_counter()
        place = f"{self.store.uri}/{shard.key}: shard {shard.index} of {self.dataset.reference}"
        remedy = "restore the object from a copy, or freeze the same rows into a new store"
        try:
            buffer = self.store.get(shard.key)
        except FileNotFoundError:
            raise DamageError(
                f"{place} is missing; expected {shard.size_bytes:,} bytes, {shard.blake3}; {remedy}"
            ) from None
        found = fingerprint.blake3_digest(buffer)
        if (buffer.size, found) != (shard.size_bytes, shard.blake3):
            raise DamageError(
                f"{place} is damaged; expected {shard.size_bytes:,} bytes, {shard.blake3}; "
                f"found {buffer.size:,} bytes, {found}; {remedy}"
            )
        self.count(Reads(1, buffer.size, fetch_s=time.perf_counter() - started))
        return buffer

    def count(self, reads: Reads) -> None:
        """Adds to what `reads` gives."""
        with self._counting:
            self._reads += reads

    def reads(self) -> Reads:
        """What was read since this was asked last."""
        with self._counting:
            found, self._reads = self._reads, Reads()
        return found

    def table(self, buffer: pa.Buffer) -> pa.Table:
        """The rows of a shard's bytes; what is not compressed is not copied."""
        return pa.ipc.open_file(pa.BufferReader(buffer)).read_all()

    def rows(self, first_row: int, num_rows: int) -> pa.Table:
        """Some rows in the frozen order, from as many shards as they lie in.

        Args:
            first_row: The global index of the first.
            num_rows: How many.

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
        """The shards that some rows lie in.

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
            self._last = None  # lets the old one go before the new one comes
            started = time.perf_counter()
            buffer = self.fetch(shard)
            self.waited_s += time.perf_counter() - started
            self._last = shard.index, self.table(buffer)
        return self._last[1]


def columns_as_numpy(table: pa.Table, columns: Iterable[FrozenColumn]) -> dict[str, np.ndarray]:
    """The columns of a table as arrays, read-only views where Arrow's memory allows it.

    Args:
        table: Some columns of the dataset, shape (rows,).
        columns: The dataset's columns; those that the table has not are left out.

    Returns:
        By name: tensors as (rows, *shape), numbers and bools as (rows,), texts as (rows,) of `str` objects. Where a
        row has no value: NaN in its column's own float type, None among texts.
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
    """Reads every shard again, and compares bytes, schema, order and rows with what the manifest says.

    Args:
        dataset: Its manifest.
        store: Where its shards are.
        on_shard: Called after each shard.

    Raises:
        DamageError: Something is not as it was frozen; every shard that is damaged is named.
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
            f"{store.uri}: the shards of {dataset.reference} are whole, but not the rows of its manifest; "
            f"expected {dataset.num_rows} rows, {dataset.rows_digest}; found {first_row} rows, {digest.digest()}"
        )
    misfits = _misfits(dataset)
    if misfits:
        raise DamageError(
            f"{store.uri}/{manifest_key(dataset.reference)}: the manifest contradicts itself: {'; '.join(misfits)}"
        )


def _verified(reader: ShardReader, shard: Shard, *, index: int, first_row: int, schema: pa.Schema) -> pa.Table:
    """The rows of a shard that is what the manifest says in every respect."""
    buffer = reader.fetch(shard)
    place = f"{reader.store.uri}/{shard.key}: shard {shard.index} of {reader.dataset.reference}"
    if fingerprint.sha256_digest(buffer) != shard.sha256:
        raise DamageError(f"{place} has not the sha256 of the manifest: {shard.sha256}")
    table = reader.table(buffer)
    found = (index, first_row, table.num_rows)
    if found != (shard.index, shard.first_row, shard.num_rows) or not table.schema.equals(schema):
        raise DamageError(
            f"{place} does not belong there; "
            f"expected {shard.num_rows} rows from row {shard.first_row} on, found {table.num_rows} from {first_row} on"
        )
    return table


def _misfits(dataset: Dataset) -> list[str]:
    """Where the manifest's own numbers do not fit each other, in words."""
    given = dataset.num_rows if dataset.parent is None else dataset.parent.num_rows
    pairs = (
        ("rows of its sources", sum(source.num_rows for source in dataset.sources), given),
        ("rows that were checked", dataset.check.num_rows, given),
        ("rows of the sample", dataset.num_rows, dataset.parent.sample.rows if dataset.parent else dataset.num_rows),
        ("rows of the profile", dataset.profile.num_rows if dataset.profile else dataset.num_rows, dataset.num_rows),
        ("rows of a shard", {shard.num_rows for shard in dataset.shards[:-1]} or {dataset.shard_rows}, {dataset.shard_rows}),
        ("columns", [column.name for column in dataset.columns], [each.name for each in dataset.contract.frozen_columns]),
    )  # fmt: skip
    return [f"{what}: {found}, expected {expected}" for what, found, expected in pairs if found != expected]
