"""One host, many processes: each shard is fetched once, verified once per run, and never trusted if incomplete."""

import ctypes
import fcntl
import multiprocessing
import os
import resource
import signal
import time
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shard_cache import ShardCache
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy, open_dataset
from assay.evaluator.errors import DamageError
from assay.evaluator.storage import open_store
from assay.evaluator.storage.local import LocalStore
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from tests.child import exit_code_of
from tests.evaluator.data import tables
from tests.seaweed import BUCKET

NUM_ROWS = 1000
SHARD_ROWS = 100
NUM_SHARDS = 10
spawn = multiprocessing.get_context("spawn")


class FarStore:
    """A store that is not a local folder, and records each object that is read from it."""

    def __init__(self, location: str, log: Path, delay_s: float = 0.0) -> None:
        self._store = open_store(location)
        self.uri = self._store.uri
        self._log, self._delay_s = log, delay_s

    def get(self, key: str) -> pa.Buffer:
        with self._log.open("a") as file:
            file.write(key + "\n")
        time.sleep(self._delay_s)
        return self._store.get(key)

    @property
    def got(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


def frozen(store, folder: Path, *, text: bool = False) -> Dataset:
    kind = "string" if text else "int64"
    columns = tables.contract(Column(name="y", role="label", type="int64"), Column(name="x", role="feature", type=kind))
    rows = [{"y": row, "x": f"the words of row {row} " * 20 if text else row * row} for row in range(NUM_ROWS)]
    path = tables.write(folder / "rows.jsonl", rows)
    return freeze([path], contract=columns, reference="t@v1", store=store, shard_rows=SHARD_ROWS)


@pytest.fixture
def near(tmp_path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def dataset(near, tmp_path) -> Dataset:
    return frozen(near, tmp_path)


@pytest.fixture
def far(near, tmp_path) -> FarStore:
    return FarStore(near.uri, tmp_path / "got")


def cache(dataset, store, tmp_path, *, run_id: str = "run", bound_bytes: int = 1 << 30) -> ShardCache:
    return ShardCache(dataset, store, run_id=run_id, bound_bytes=bound_bytes, folder=tmp_path / "cache")


def files(tmp_path) -> list[Path]:
    return sorted((tmp_path / "cache" / "shards").iterdir())


def read_all(reader: ShardReader) -> pa.Table:
    return pa.concat_tables([reader.rows(shard.first_row, shard.num_rows) for shard in reader.dataset.shards])


def test_rows_are_those_of_a_plain_reader_and_are_not_copied(dataset, near, far, tmp_path):
    expected = read_all(ShardReader(dataset, near))
    for store in (near, far):
        reader = cache(dataset, store, tmp_path)
        assert read_all(reader).equals(expected)
        buffer = reader.fetch(dataset.shards[3])
        x = columns_as_numpy(reader.table(buffer), dataset.columns)["x"]
        assert buffer.address < x.__array_interface__["data"][0] < buffer.address + buffer.size
        assert not buffer.is_mutable
        assert not reader.problem


def test_the_objects_of_a_folder_are_used_where_they_lie_and_read_once_a_run(dataset, near, tmp_path):
    readers = [cache(dataset, near, tmp_path) for _ in range(3)]
    tables_read = [read_all(reader) for reader in readers]
    assert tables_read[0].equals(tables_read[2])
    assert files(tmp_path) == []
    assert [reader.reads().shards_fetched for reader in readers] == [NUM_SHARDS, 0, 0]
    other_run = cache(dataset, near, tmp_path, run_id="other")
    read_all(other_run)
    assert other_run.reads().bytes_fetched == sum(shard.size_bytes for shard in dataset.shards)


def test_what_comes_from_elsewhere_is_fetched_once_for_all_readers_and_runs(dataset, far, tmp_path):
    for run_id in ("run", "run", "other"):
        read_all(cache(dataset, far, tmp_path, run_id=run_id))
    assert sorted(far.got) == sorted(shard.key for shard in dataset.shards)


def read_in_process(location, log, folder, barrier, answers) -> None:
    dataset, _ = open_dataset(f"{location}/t@v1")
    reader = cache(dataset, FarStore(location, log, delay_s=0.05), folder)
    barrier.wait()
    rows = read_all(reader)
    answers.put((rows["x"].to_numpy().sum(), reader.reads(), reader.problem))


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_processes_that_want_the_same_shards_at_once_fetch_each_once(request, tmp_path, kind):
    location = str(tmp_path / "store")
    if kind == "s3":
        request.getfixturevalue("s3")
        location = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    dataset = frozen(open_store(location), tmp_path)
    barrier, answers = spawn.Barrier(2), spawn.Queue()
    arguments = (location, tmp_path / "got", tmp_path, barrier, answers)
    processes = [spawn.Process(target=read_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    got = (tmp_path / "got").read_text().splitlines()
    assert sorted(got) == sorted(shard.key for shard in dataset.shards)
    assert {(total, problem) for total, _, problem in found} == {(sum(row * row for row in range(NUM_ROWS)), "")}
    assert sum(reads.shards_fetched for _, reads, _ in found) == NUM_SHARDS
    assert sum(reads.bytes_fetched for _, reads, _ in found) == sum(shard.size_bytes for shard in dataset.shards)


def write_half_and_hang(location, folder, started) -> None:
    dataset, _ = open_dataset(f"{location}/t@v1")
    reader = cache(dataset, FarStore(location, folder / "got"), folder)
    rename = Path.rename

    def hang(path, target):
        os.truncate(path, path.stat().st_size // 2)
        os.truncate(path, 2 * path.stat().st_size)  # the size that it should have, half of it zeros
        started.set()
        time.sleep(600)
        return rename(path, target)

    Path.rename = hang
    reader.rows(0, 10)


def test_a_process_killed_while_it_fetches_leaves_nothing_that_is_trusted_or_held(dataset, near, far, tmp_path):
    started = spawn.Event()
    process = spawn.Process(target=write_half_and_hang, args=(near.uri, tmp_path, started))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (left,) = files(tmp_path)
    assert left.suffix == ".tmp"
    shard = dataset.shards[0]
    reader = cache(dataset, far, tmp_path, bound_bytes=shard.size_bytes)
    assert reader.rows(0, 10)["x"].to_pylist() == [row * row for row in range(10)]
    assert far.got == [shard.key] * 2
    assert [path.suffix for path in files(tmp_path)] == [".arrow"]  # the bound has room for one
    assert not reader.problem


@pytest.mark.parametrize("text", [False, True])
def test_a_damaged_copy_is_fetched_again(near, far, tmp_path, text):
    dataset = frozen(near, tmp_path, text=text)
    expected = read_all(ShardReader(dataset, near))
    read_all(cache(dataset, far, tmp_path))
    path = files(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    for run_id in ("run", "other"):  # the same run sees that the file changed, another run verifies anyway
        before = path.stat()
        path.write_bytes(content)
        if run_id == "other":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert read_all(cache(dataset, far, tmp_path, run_id=run_id)).equals(expected)
        assert path.read_bytes() != content
    assert len(far.got) == NUM_SHARDS + 2


def test_a_damaged_object_of_a_folder_is_named(dataset, near, tmp_path):
    reader = cache(dataset, near, tmp_path)
    read_all(reader)
    path = near.path(dataset.shards[4].key)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for run_id in ("run", "other"):
        with pytest.raises(DamageError, match="shard 4 of t@v1 is damaged"):
            cache(dataset, near, tmp_path, run_id=run_id).rows(400, 1)
    path.unlink()
    with pytest.raises(DamageError, match="shard 4 of t@v1 is missing"):
        cache(dataset, near, tmp_path).rows(400, 1)


def test_a_damaged_object_from_elsewhere_is_named_and_not_kept(dataset, near, far, tmp_path):
    path = near.path(dataset.shards[4].key)
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(2):
        with pytest.raises(DamageError, match="shard 4 of t@v1 is damaged"):
            cache(dataset, far, tmp_path).rows(400, 1)
    assert files(tmp_path) == []


@pytest.mark.parametrize("is_near", [True, False])
def test_compressed_shards_are_kept_plain_and_decompressed_once(near, far, tmp_path, is_near):
    dataset = frozen(near, tmp_path, text=True)
    store = near if is_near else far
    expected = read_all(ShardReader(dataset, near))
    first, second = cache(dataset, store, tmp_path), cache(dataset, store, tmp_path, run_id="other")
    for reader in (first, second):
        assert read_all(reader).equals(expected)
        buffer = reader.fetch(dataset.shards[0])
        texts = reader.table(buffer)["x"].chunk(0).buffers()[-1]
        assert buffer.address < texts.address < buffer.address + buffer.size
    assert len(files(tmp_path)) == NUM_SHARDS
    assert sum(path.stat().st_size for path in files(tmp_path)) > 2 * sum(s.size_bytes for s in dataset.shards)
    assert [reader.reads().shards_fetched for reader in (first, second)] == [NUM_SHARDS, 0]


def test_the_bound_holds_and_what_is_needed_latest_goes_first(dataset, far, tmp_path):
    size_bytes = max(shard.size_bytes for shard in dataset.shards)
    reader = cache(dataset, far, tmp_path, bound_bytes=4 * size_bytes)
    kept = []
    for shard in dataset.shards:
        reader.rows(shard.first_row, shard.num_rows)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 4 * size_bytes
        digests = {path.name.partition(".")[0] for path in files(tmp_path)}
        kept.append([each.index for each in dataset.shards if each.blake3.removeprefix("blake3:") in digests])
    # Shard 0 is needed first by the next arm; the one read last is needed last.
    assert kept == [
        [0], [0, 1], [0, 1, 2], [0, 1, 2, 3],
        [0, 1, 2, 4], [0, 1, 2, 5], [0, 1, 2, 6], [0, 1, 2, 7], [0, 1, 2, 8], [0, 1, 2, 9],
    ]  # fmt: skip
    before = len(far.got)
    read_all(reader)
    assert len(far.got) - before == NUM_SHARDS - 4  # least recently used first would have fetched all ten


def test_shards_that_a_slower_process_still_needs_stay(dataset, far, tmp_path):
    size_bytes = max(shard.size_bytes for shard in dataset.shards)
    fast, slow = (cache(dataset, far, tmp_path, bound_bytes=4 * size_bytes) for _ in range(2))
    for index, shard in enumerate(dataset.shards):
        fast.rows(shard.first_row, 1)
        if index:
            slow.rows(dataset.shards[index - 1].first_row, 1)
    assert len(far.got) == NUM_SHARDS
    slow.close()
    assert list((tmp_path / "cache" / "places").iterdir()) == [Path(fast._place.name)]


def test_shards_of_other_datasets_go_before_ones_own(dataset, far, near, tmp_path):
    texts = frozen(LocalStore(tmp_path / "other"), tmp_path, text=True)
    other = cache(texts, FarStore(str(tmp_path / "other"), tmp_path / "got"), tmp_path)
    other.rows(0, 1)
    (foreign,) = files(tmp_path)
    size_bytes = max(shard.size_bytes for shard in dataset.shards)
    reader = cache(dataset, far, tmp_path, bound_bytes=foreign.stat().st_size + size_bytes)
    reader.rows(0, 1)
    assert foreign.exists()
    reader.rows(100, 1)
    assert not foreign.exists()
    assert len(files(tmp_path)) == 2


def test_a_shard_that_another_process_holds_is_not_removed(dataset, far, tmp_path):
    size_bytes = max(shard.size_bytes for shard in dataset.shards)
    reader = cache(dataset, far, tmp_path, bound_bytes=2 * size_bytes)
    reader.rows(0, 200)
    held = tmp_path / "cache" / "locks" / dataset.shards[1].blake3.removeprefix("blake3:")
    with held.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        reader.rows(200, 1)
    digests = {path.name.partition(".")[0] for path in files(tmp_path)}
    assert held.name in digests
    assert len(digests) == 2


@pytest.mark.parametrize("bound_bytes", [0, 100])
def test_without_room_shards_are_read_from_the_store_and_the_reason_is_said(dataset, far, tmp_path, bound_bytes):
    reader = cache(dataset, far, tmp_path, bound_bytes=bound_bytes)
    assert len(read_all(reader)) == NUM_ROWS
    assert "not enough space for a shard" in reader.problem
    assert f"resources.shard_cache_bytes ({bound_bytes})" in reader.problem
    assert len(far.got) == NUM_SHARDS
    assert files(tmp_path) == []


def read_without_disk(location, folder, answers) -> None:
    dataset, _ = open_dataset(f"{location}/t@v1")
    reader = cache(dataset, FarStore(location, folder / "got"), folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the kernel refuses larger files from now on
    total = sum(int(np.sum(reader.rows(row, 100)["x"].to_numpy())) for row in range(0, NUM_ROWS, 100))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    answers.put((total, reader.problem))


def test_a_disk_that_takes_no_more_is_no_failure(dataset, near, far, tmp_path):
    answers = spawn.Queue()
    process = spawn.Process(target=read_without_disk, args=(near.uri, tmp_path, answers))
    process.start()
    total, problem = answers.get(timeout=60)
    process.join()
    assert total == sum(row * row for row in range(NUM_ROWS))
    assert "File too large" in problem
    assert len(far.got) == NUM_SHARDS
    assert files(tmp_path) == []


@pytest.mark.parametrize("spoiled", ["open to others", "a link", "a file"])
def test_a_folder_that_others_could_change_is_not_used(dataset, near, tmp_path, spoiled):
    folder = tmp_path / "cache"
    if spoiled == "a file":
        folder.touch()
    elif spoiled == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    reader = cache(dataset, near, tmp_path)
    assert len(read_all(reader)) == NUM_ROWS
    assert "cache" in reader.problem


def test_what_nobody_used_for_a_day_is_removed_when_a_cache_is_opened(dataset, far, tmp_path):
    read_all(cache(dataset, far, tmp_path))
    (tmp_path / "cache" / "shards" / "half.tmp").touch()
    old = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(old) > 3 * NUM_SHARDS
    yesterday = time.time() - 100_000
    used = files(tmp_path)[0]
    for path in old:
        os.utime(path, (yesterday, yesterday))
    os.utime(used, (time.time(), yesterday))
    cache(dataset, far, tmp_path)
    assert files(tmp_path) == [used]
    assert list((tmp_path / "cache" / "locks").iterdir()) == []
    run = tmp_path / "cache" / "verified" / "run"
    assert list(run.iterdir()) == []
    os.utime(run, (yesterday, yesterday))
    cache(dataset, far, tmp_path)
    assert run.exists()  # unused files were removed within the last hour
    os.utime(tmp_path / "cache" / "tidied", (time.time() - 4_000, time.time() - 4_000))
    cache(dataset, far, tmp_path)
    assert not run.exists()


def test_what_comes_ahead_need_not_be_waited_for(dataset, near, tmp_path):
    far = FarStore(near.uri, tmp_path / "got", delay_s=0.3)
    reader = cache(dataset, far, tmp_path)
    reader.prefetch(0, 150)
    deadline = time.monotonic() + 30
    while len(files(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    reader.rows(0, 150)
    assert far.got == [shard.key for shard in dataset.shards[:2]]
    assert reader.waited_s < 0.3


def test_an_error_ahead_is_met_by_whoever_needs_the_rows(dataset, near, tmp_path):
    near.path(dataset.shards[0].key).unlink()
    reader = cache(dataset, near, tmp_path)
    reader.prefetch(0, 150)
    with pytest.raises(DamageError, match="shard 0 of t@v1 is missing"):
        reader.rows(0, 1)
    assert len(reader.rows(100, 50)) == 50


def test_a_closed_cache_still_reads(dataset, near, tmp_path):
    reader = cache(dataset, near, tmp_path)
    reader.close()
    assert len(read_all(reader)) == NUM_ROWS


def shards_of(kind: str, dataset, near, far, tmp_path) -> ShardCache:
    """A cache that gets its shards as `kind` says."""
    if kind == "no folder":
        (tmp_path / "cache").write_text("")  # not a folder
    if kind == "copy that does not fit":
        return cache(dataset, far, tmp_path, bound_bytes=1)
    return cache(dataset, near if kind == "object" else far, tmp_path)


@pytest.mark.parametrize("kind", ["object", "copy", "copy that does not fit", "no folder"])
def test_nobody_can_write_to_the_memory_of_a_shard(dataset, near, far, tmp_path, kind):
    reader = shards_of(kind, dataset, near, far, tmp_path)
    for _ in range(2):  # the first read fetches it, the second one finds it
        buffer = reader.fetch(dataset.shards[3])
        place = buffer.address + buffer.size // 2
        assert exit_code_of(partial(ctypes.memset, place, 1, 1)) == -signal.SIGSEGV
        assert reader.table(buffer)["y"].to_pylist() == list(range(300, 400))
    assert bool(reader.problem) is (kind in ("copy that does not fit", "no folder"))
