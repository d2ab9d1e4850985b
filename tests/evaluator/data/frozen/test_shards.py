"""Reading back: the right rows from the right shards, every byte verified, copies only where necessary."""

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy, open_dataset, verify
from assay.evaluator.errors import DamageError, DataError, StoreError
from assay.evaluator.storage.local import LocalStore
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from tests.evaluator.data import tables

NUM_ROWS = 1000
SHARD_ROWS = 300
ROWS = tables.rows(NUM_ROWS)


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def dataset(store, tmp_path) -> Dataset:
    path = tables.write(tmp_path / "rows.parquet", ROWS)
    return freeze([path], contract=tables.EVERYTHING, reference="t@v1", store=store, shard_rows=SHARD_ROWS)


@pytest.mark.parametrize(
    ("first_row", "num_rows"),
    [(0, 1), (299, 1), (300, 1), (250, 100), (290, 700), (0, 1000), (999, 1)],
)
def test_rows_are_found_in_one_shard_or_over_many(dataset, store, first_row, num_rows):
    found = ShardReader(dataset, store).rows(first_row, num_rows)
    assert found["id"].to_pylist() == [row["id"] for row in ROWS[first_row : first_row + num_rows]]


@pytest.mark.parametrize(("first_row", "num_rows"), [(-1, 2), (1000, 1), (999, 2), (5, 0)])
def test_rows_that_are_not_there_are_refused(dataset, store, first_row, num_rows):
    with pytest.raises(DataError, match=r"t@v1: the dataset has no such rows.*rows 0 to 999"):
        ShardReader(dataset, store).rows(first_row, num_rows)


@pytest.mark.parametrize("left_bytes", [0, 100])
def test_a_mapped_shard_that_shrinks_before_it_is_verified_is_an_error_and_kills_nothing(
    dataset, store, monkeypatch, left_bytes
):
    monkeypatch.setattr("assay.evaluator.storage.local.MAPPED_BYTES", 1)
    monkeypatch.setattr("assay.evaluator.data.frozen.shards.MAPPED_BYTES", 1)
    get = store.get

    def shrinking(key: str) -> pa.Buffer:
        buffer = get(key)
        os.truncate(store.path(key), left_bytes)
        return buffer

    monkeypatch.setattr(store, "get", shrinking)
    with pytest.raises(DamageError, match=r"shard 0 of t@v1 is damaged"):
        ShardReader(dataset, store).fetch(dataset.shards[0])


def test_a_fault_of_the_disk_under_a_mapped_shard_is_named(dataset, store, monkeypatch):
    monkeypatch.setattr("assay.evaluator.data.frozen.shards.MAPPED_BYTES", 1)

    def fails(path: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr("assay.evaluator.fingerprint.blake3_of_file", fails)
    with pytest.raises(StoreError, match=r"arrow: cannot be read: Input/output error; check the disk"):
        ShardReader(dataset, store).fetch(dataset.shards[0])


def test_a_shard_is_fetched_once_for_batches_in_order(dataset, store):
    fetched = []

    class Counting(ShardReader):
        def fetch(self, shard) -> pa.Buffer:
            fetched.append(shard.index)
            return super().fetch(shard)

    reader = Counting(dataset, store)
    for first_row in range(0, NUM_ROWS - 64, 64):
        reader.rows(first_row, 64)
    assert fetched == [0, 1, 2, 3]


def test_columns_come_as_arrays_of_their_shape_and_type(dataset, store):
    rows = ShardReader(dataset, store).rows(280, 40)
    arrays = columns_as_numpy(rows, dataset.columns)
    for column in dataset.columns:
        expected = np.array([row[column.name] for row in ROWS[280:320]])
        assert arrays[column.name].shape == (40, *column.shape)
        assert arrays[column.name].dtype == (object if column.type == "string" else column.type)
        np.testing.assert_array_equal(arrays[column.name], expected)
    assert list(columns_as_numpy(rows.select(["vector", "id"]), dataset.columns)) == ["id", "vector"]


def test_numbers_are_not_copied(tmp_path):
    columns = tables.contract(
        Column(name="y", role="label", type="int64"), Column(name="v", role="feature", type="float32", shape=(2, 2))
    )
    path = tables.write(tmp_path / "rows.jsonl", [{"y": row, "v": [[row, 1], [2, 3]]} for row in range(500)])
    store = MemoryStore("views")
    dataset = freeze([path], contract=columns, reference="t@v1", store=store)
    reader = ShardReader(dataset, store)
    buffer = reader.fetch(dataset.shards[0])
    arrays = columns_as_numpy(reader.table(buffer).slice(100, 64), dataset.columns)
    for array in arrays.values():
        address = array.__array_interface__["data"][0]
        assert buffer.address < address < buffer.address + buffer.size
        assert not array.flags.writeable
    assert arrays["v"][5].tolist() == [[105, 1], [2, 3]]


def shard_file(store: LocalStore, dataset: Dataset, index: int) -> Path:
    return Path(store.uri, dataset.shards[index].key)


@pytest.mark.parametrize("position", [0, 0.3, 0.5, -1])
def test_a_flipped_byte_is_found(dataset, store, position):
    path = shard_file(store, dataset, 1)
    content = bytearray(path.read_bytes())
    content[int(position * len(content)) if position >= 0 else -1] ^= 1
    path.write_bytes(content)
    reader = ShardReader(dataset, store)
    reader.rows(0, 300)
    with pytest.raises(DamageError) as caught:
        reader.rows(299, 2)
    for word in (dataset.shards[1].key, "shard 1 of t@v1", "damaged", dataset.shards[1].blake3, "found", "restore"):
        assert word in str(caught.value)
    assert str(caught.value).count("blake3:") == 2
    with pytest.raises(DamageError, match="shard 1 of t@v1 is damaged"):
        verify(dataset, store)


def test_a_shard_cut_short_is_found(dataset, store):
    path = shard_file(store, dataset, 2)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamageError, match="shard 2 of t@v1 is damaged"):
        ShardReader(dataset, store).rows(600, 1)


def test_a_missing_shard_is_named(dataset, store):
    shard_file(store, dataset, 3).unlink()
    with pytest.raises(DamageError, match=r"\.arrow: shard 3 of t@v1 is missing; expected .* bytes, blake3:"):
        ShardReader(dataset, store).rows(900, 10)
    with pytest.raises(DamageError, match="shard 3 of t@v1 is missing"):
        verify(dataset, store)


def test_verify_passes_what_was_frozen(dataset, store):
    verify(dataset, store)


def test_verify_finds_shards_in_another_order(dataset, store):
    first, second, *others = dataset.shards
    swapped = (
        second.model_copy(update={"index": 0, "first_row": 0}),
        first.model_copy(update={"index": 1, "first_row": 300}),
    )
    changed = dataset.model_copy(update={"shards": (*swapped, *others)})
    with pytest.raises(DamageError, match="the shards of t@v1 are intact, but do not contain the rows of its manifest"):
        verify(changed, store)


def test_verify_finds_a_shard_of_another_dataset(dataset, store, tmp_path):
    path = tables.write(tmp_path / "other.csv", [{"y": True, "x": 1}])
    columns = tables.contract(
        Column(name="y", role="label", type="bool"), Column(name="x", role="feature", type="int8")
    )
    other = freeze([path], contract=columns, reference="other@v1", store=store)
    changed = dataset.model_copy(update={"shards": (*other.shards, *dataset.shards[1:])})
    with pytest.raises(DamageError, match="shard 0 of t@v1 is not the shard that belongs there"):
        verify(changed, store)


def test_a_dataset_is_opened_by_store_and_reference(dataset, store):
    opened, found = open_dataset(f"{store.uri}/t@v1")
    assert opened == dataset
    assert ShardReader(opened, found).rows(0, 1)["id"].to_pylist() == ["row 0"]


def test_a_dataset_is_opened_from_memory(tmp_path):
    store = MemoryStore.named("a-store-to-open")
    path = tables.write(tmp_path / "rows.jsonl", ROWS[:3])
    dataset = freeze([path], contract=tables.EVERYTHING, reference="t@v1", store=store)
    assert open_dataset("memory://a-store-to-open/t@v1") == (dataset, store)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("t@v2", ["t@v2", "no such version", "got v2", "allowed: v1"]),
        ("tt@v1", ["no such dataset", "got tt@v1", "did you mean 't@v1'?"]),
        ("digits@2024", ["no such dataset", "known: t@v1"]),
        ("t", ["STORE/name@version"]),
        ("t@", ["STORE/name@version", "t@v1"]),
    ],
)
def test_a_dataset_that_is_not_there_is_named_with_those_that_are(dataset, store, reference, words):
    with pytest.raises(DataError) as caught:
        open_dataset(f"{store.uri}/{reference}")
    for word in words:
        assert word in str(caught.value)


def test_an_empty_store_says_so(tmp_path):
    with pytest.raises(DataError, match="the store has no datasets"):
        open_dataset(f"{tmp_path}/nowhere/t@v1")
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_manifest_is_named(dataset, store):
    path = Path(store.uri, "refs/t/v1.json")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DamageError, match=r"refs/t/v1\.json: the dataset manifest is damaged"):
        open_dataset(f"{store.uri}/t@v1")


def test_missing_values_are_read_back_as_nan_and_none(store, tmp_path):
    columns = tables.contract(
        Column(name="y", role="label", type="bool"),
        Column(name="narrow", role="feature", type="float32", nullable=True),
        Column(name="wide", role="feature", type="float64", nullable=True),
        Column(name="text", role="feature", nullable=True),
        Column(name="day", role="info", type="date", nullable=True),
        Column(name="at", role="info", type="timestamp", nullable=True),
    )
    path = tmp_path / "rows.csv"
    path.write_text("y,narrow,wide,text,day,at\ntrue,0.5,0.25,a,,\nfalse,,,,,\n")
    dataset = freeze([path], contract=columns, reference="n@v1", store=store)
    verify(dataset, store)
    table = ShardReader(dataset, store).rows(0, 2)
    assert table["text"].to_pylist() == ["a", None]
    found = columns_as_numpy(table, dataset.columns[:4])
    assert (found["narrow"].dtype, found["wide"].dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(found["narrow"], [0.5, np.nan])
    np.testing.assert_array_equal(found["wide"], [0.25, np.nan])
    assert found["text"].tolist() == ["a", None]
