"""Freezing: the same rows are the same dataset from any format; a version cannot be overwritten."""

import hashlib
import json
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assay.evaluator.data.frozen import freeze as freeze_module
from assay.evaluator.data.frozen import staging
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shards import ShardReader, open_dataset, verify
from assay.evaluator.errors import DataError, StoreError
from assay.evaluator.storage import Store
from assay.evaluator.storage.local import LocalStore
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from tests.evaluator.data import tables

ROWS = tables.rows(3000)


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path) -> Store:
    return LocalStore(tmp_path / "store") if request.param == "local" else MemoryStore("test")


def objects(store: Store) -> dict[str, bytes]:
    return {entry.key: bytes(memoryview(store.get(entry.key))) for entry in store.listing("")}


def simple(path: Path, *, num_rows: int = 10, first: int = 0) -> Path:
    path.write_text("y,x\n" + "".join(f"true,{row}\n" for row in range(first, first + num_rows)))
    return path


SIMPLE = tables.contract(Column(name="y", role="label", type="bool"), Column(name="x", role="feature", type="float32"))


def test_every_format_of_the_same_rows_gives_the_same_dataset_and_bytes(tmp_path):
    stores = {}
    for suffix in tables.FORMATS:
        path = tables.write(tmp_path / f"rows.{suffix}", ROWS)
        stores[suffix] = MemoryStore(suffix)
        dataset = freeze([path], contract=tables.EVERYTHING, reference="t@v1", store=stores[suffix], shard_rows=1024)
        verify(dataset, stores[suffix])
        shards = {key: value for key, value in objects(stores[suffix]).items() if key.startswith("objects/")}
        stores[suffix] = (dataset.digest(), dataset.rows_digest, shards)
    assert all(found == stores["csv"] for found in stores.values())
    assert len(stores["csv"][2]) == 3


def test_the_rows_read_back_are_the_rows_given(store, tmp_path):
    path = tables.write(tmp_path / "rows.jsonl", ROWS)
    dataset = freeze([path], contract=tables.EVERYTHING, reference="t@v1", store=store, shard_rows=1024)
    found = ShardReader(dataset, store).rows(0, len(ROWS)).to_pylist()
    for row in found:
        row["image"] = np.reshape(row["image"], (2, 3)).tolist()
    assert found == ROWS


@pytest.mark.parametrize("shard_rows", [1, 100, 1024, 2500, 5000])
def test_shards_and_pieces_leave_no_trace_in_the_rows_digest(tmp_path, shard_rows):
    rows = ROWS[:300]
    whole = freeze(
        [tables.write(tmp_path / "rows.csv", rows)],
        contract=tables.EVERYTHING,
        reference="t@v1",
        store=MemoryStore("whole"),
    )
    store = MemoryStore("cut")
    parts = [tables.write(tmp_path / "a.parquet", rows[:77]), tables.write(tmp_path / "b.jsonl", rows[77:])]
    dataset = freeze(parts, contract=tables.EVERYTHING, reference="t@v1", store=store, shard_rows=shard_rows)
    assert dataset.rows_digest == whole.rows_digest
    assert [(source.name, source.num_rows) for source in dataset.sources] == [("a.parquet", 77), ("b.jsonl", 223)]
    assert [shard.first_row for shard in dataset.shards] == list(range(0, 300, shard_rows))
    assert sum(shard.num_rows for shard in dataset.shards) == 300
    verify(dataset, store)


@pytest.mark.parametrize("chunk_bytes", [1, staging.CHUNK_BYTES])
@pytest.mark.parametrize("shard_rows", [100, 700, 1001, 1500, 2048])
def test_the_pieces_in_which_rows_come_do_not_show_in_the_shards(tmp_path, monkeypatch, shard_rows, chunk_bytes):
    rows = np.arange(4000)
    columns = tables.contract(
        *SIMPLE.columns,
        Column(name="t", role="feature"),
        Column(name="n", role="feature", type="float64", nullable=True),
        Column(name="m", role="feature", type="bool", shape=(3,)),
    ).frozen_columns
    table = pa.table(
        {
            "y": rows % 3 == 0,
            "x": pa.array(rows, pa.float32()),
            "t": [str(row) for row in rows],
            "n": pa.array(rows / 7, mask=rows % 50 > 45),  # other values lie under the nulls than a reader leaves there
            "m": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.bool_(), (3,)),
                pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12000) % 5 == 0), 3),
            ),
        }
    )
    read = table.set_column(3, "n", pa.array(table["n"].to_pylist(), pa.float64()))
    found = []
    monkeypatch.setattr(staging, "CHUNK_BYTES", chunk_bytes)
    for number, pieces in enumerate(([4000], [1, 1023, 1024, 1952], [999] * 4 + [4], [3000, 1000])):
        (tmp_path / str(number)).mkdir()
        stage = staging.Staging(tmp_path / str(number), columns=columns, shard_rows=shard_rows)
        start = 0
        for num_rows in pieces:
            stage.add((read if number % 2 else table).slice(start, num_rows))
            start += num_rows
        found.append(([staged.shard for staged in stage.finish()], stage.rows_digest))
    assert all(each == found[0] for each in found)


def test_a_dataset_without_an_id_column_is_frozen_in_the_order_of_its_files(store, tmp_path):
    files = [simple(tmp_path / "b.csv", first=5), simple(tmp_path / "a.csv", first=0)]
    dataset = freeze(files, contract=SIMPLE, reference="t@v1", store=store)
    assert ShardReader(dataset, store).rows(0, 20)["x"].to_pylist() == [*range(5, 15), *range(10)]


def test_what_is_stored_is_named_by_its_content(store, tmp_path):
    path = simple(tmp_path / "a.csv")
    dataset = freeze([path], contract=SIMPLE, reference="t@v1", store=store)
    (shard,) = dataset.shards
    stored = objects(store)
    assert set(stored) == {shard.key, "refs/t/v1.json"}
    assert shard.sha256 == "sha256:" + hashlib.sha256(stored[shard.key]).hexdigest()
    assert shard.size_bytes == len(stored[shard.key])
    digest = shard.blake3.removeprefix("blake3:")
    assert shard.key == f"objects/blake3/{digest[:2]}/{digest}.arrow"
    assert dataset.sources[0].sha256 == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(stored["refs/t/v1.json"])["reference"] == "t@v1"
    assert b'\n  "kind": "Dataset"' in stored["refs/t/v1.json"]


def test_the_same_rows_again_change_nothing(store, tmp_path):
    path = simple(tmp_path / "a.csv")
    first = freeze([path], contract=SIMPLE, reference="t@v1", store=store)
    before = objects(store)
    again = tables.write(tmp_path / "again.jsonl", [{"y": True, "x": row} for row in range(10)])
    assert freeze([path], contract=SIMPLE, reference="t@v1", store=store) == first
    # Another file, cut into other shards: still the same rows, so the stored manifest stands.
    assert freeze([again], contract=SIMPLE, reference="t@v1", store=store, shard_rows=4) == first
    assert objects(store) == before


def test_a_version_never_moves_to_other_rows(store, tmp_path):
    first = freeze([simple(tmp_path / "a.csv")], contract=SIMPLE, reference="t@v1", store=store)
    before = objects(store)
    with pytest.raises(DataError) as caught:
        freeze([simple(tmp_path / "b.csv", num_rows=11)], contract=SIMPLE, reference="t@v1", store=store)
    message = str(caught.value)
    assert "t@v1: the version already exists with other rows" in message
    assert first.rows_digest in message
    assert message.count("sha256:") == 2
    assert "freeze under a new version" in message
    assert objects(store) == before
    freeze([tmp_path / "b.csv"], contract=SIMPLE, reference="t@v2", store=store)
    assert open_dataset_of(store, "t@v1") == first


def open_dataset_of(store: Store, reference: str):
    if isinstance(store, MemoryStore):
        return freeze_module.stored_dataset(store, reference)
    return open_dataset(f"{store.uri}/{reference}")[0]


def test_a_version_never_moves_to_other_roles(store, tmp_path):
    path = simple(tmp_path / "a.csv")
    freeze([path], contract=SIMPLE, reference="t@v1", store=store)
    other = tables.contract(
        Column(name="y", role="feature", type="bool"), Column(name="x", role="label", type="float32")
    )
    with pytest.raises(DataError, match="already exists with the same rows under another contract"):
        freeze([path], contract=other, reference="t@v1", store=store)


class RacedStore(MemoryStore):
    """A store in which another process writes a manifest at the last moment."""

    theirs = b""

    def put_if_absent(self, key, content) -> bool:
        if key.startswith("refs/"):
            super().put_if_absent(key, self.theirs)
        return super().put_if_absent(key, content)


def test_of_two_that_freeze_at_once_one_stands(tmp_path):
    one, other = simple(tmp_path / "a.csv"), simple(tmp_path / "b.csv", num_rows=11)
    store = MemoryStore("first")
    first = freeze([one], contract=SIMPLE, reference="t@v1", store=store, shard_rows=4)
    raced = RacedStore("raced")
    raced.theirs = objects(store)["refs/t/v1.json"]
    assert freeze([one], contract=SIMPLE, reference="t@v1", store=raced) == first
    raced = RacedStore("raced")
    raced.theirs = objects(store)["refs/t/v1.json"]
    with pytest.raises(DataError, match="already exists with other rows"):
        freeze([other], contract=SIMPLE, reference="t@v1", store=raced)


def test_the_manifest_is_put_last(tmp_path):
    class Recording(MemoryStore):
        def put_if_absent(self, key, content) -> bool:
            keys.append(key)
            return super().put_if_absent(key, content)

    keys: list[str] = []
    freeze([simple(tmp_path / "a.csv")], contract=SIMPLE, reference="t@v1", store=Recording("r"), shard_rows=3)
    assert [key.startswith("refs/") for key in keys] == [False] * 4 + [True]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = simple(tmp_path / "a.csv")

    read_chunks = freeze_module.read_chunks

    def reading(*arguments, **named):
        yield from read_chunks(*arguments, **named)
        path.write_text(path.read_text() + "true,1\n")

    monkeypatch.setattr(freeze_module, "read_chunks", reading)
    store = MemoryStore("growing")
    with pytest.raises(DataError, match=r"a\.csv: the file changed while it was read"):
        freeze([path], contract=SIMPLE, reference="t@v1", store=store)
    assert not objects(store)


def test_a_full_temporary_folder_is_named(tmp_path):
    path = simple(tmp_path / "a.csv", num_rows=50_000)
    store = MemoryStore("full")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))  # no file over 64 KiB, like a disk that is full
    try:
        with pytest.raises(StoreError, match=r"cannot write the shards.*File too large.*set TMPDIR"):
            freeze([path], contract=SIMPLE, reference="t@v1", store=store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not objects(store)


@pytest.mark.parametrize(
    ("columns", "shard_rows"),
    [
        # 4 bytes and a bool's 1: 64 MiB hold 13,421,772 rows, which is 13,107 batches of 1,024
        (SIMPLE, 13_107 * 1024),
        # an image of 3 MiB: one batch is the least
        (tables.contract(SIMPLE.columns[0], Column(name="i", role="feature", type="float32", shape=(3, 512, 512))), 1024),
        # 1 byte, and 4 of the offset with 95 of text
        (tables.contract(SIMPLE.columns[0], Column(name="t", role="feature")), 655 * 1024),
    ],
)  # fmt: skip
def test_shards_hold_about_64_mib(columns, shard_rows):
    head = pa.table({"y": [True, False], "x": [0.0, 1.0], "t": ["x" * 100, "x" * 90]})
    assert staging.rows_within(staging.SHARD_BYTES, head, columns=columns.columns) == shard_rows


def test_shards_of_the_default_size_end_where_64_mib_end(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "SHARD_BYTES", 5 * 2048)
    path = simple(tmp_path / "a.csv", num_rows=5000)
    dataset = freeze([path], contract=SIMPLE, reference="t@v1", store=MemoryStore("sizes"))
    assert [shard.num_rows for shard in dataset.shards] == [2048, 2048, 904]


def contract_with_text() -> Contract:
    return tables.contract(*SIMPLE.columns, Column(name="t", role="feature"))


@pytest.mark.parametrize(("columns", "compression"), [(SIMPLE, False), (contract_with_text(), True)])
def test_only_texts_are_compressed_and_chunks_are_bounded(tmp_path, monkeypatch, columns, compression):
    monkeypatch.setattr(staging, "CHUNK_BYTES", 5 * 2000)  # rows of 5 bytes or 29: one round of 1,024 at least
    rows = [{"y": True, "x": 0.5, "t": "the same words again"} for _ in range(3000)]
    for row in rows if columns is SIMPLE else ():
        row.pop("t")
    store = MemoryStore("compressed")
    path = tables.write(tmp_path / "rows.jsonl", rows)
    dataset = freeze([path], contract=columns, reference="t@v1", store=store)
    file = pa.ipc.open_file(pa.BufferReader(store.get(dataset.shards[0].key)))
    assert [file.get_batch(index).num_rows for index in range(file.num_record_batches)] == [1024, 1024, 952]
    raw_bytes = sum(file.get_batch(index).nbytes for index in range(file.num_record_batches))
    assert (dataset.shards[0].size_bytes < raw_bytes) == compression


@pytest.mark.parametrize("start", [0, 1, 3, 8])
def test_equal_rows_are_normalised_to_equal_bytes(start):
    table = pa.table(
        {
            "b": [True, False, True] * 10,
            "s": [str(row) for row in range(30)],
            "t": pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(60.0).reshape(30, 2)),
            "m": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.bool_(), (3,)), pa.array([[True, False, True]] * 30, pa.list_(pa.bool_(), 3))
            ),
        }
    )
    rows = table.slice(start, 20)
    fresh = pa.Table.from_batches([rows.take(list(range(20))).combine_chunks().to_batches()[0]])
    pieces = pa.concat_tables([rows.slice(0, 7), rows.slice(7)])
    assert written(staging.normalised(rows)) == written(staging.normalised(pieces)) == written(fresh.to_batches()[0])


def written(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
