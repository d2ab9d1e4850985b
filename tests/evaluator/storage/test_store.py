"""All stores give the same guarantees."""

import multiprocessing
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from assay.evaluator.errors import NoObjectError, StoreError
from assay.evaluator.storage import Store, open_store, prove_put_if_absent
from assay.evaluator.storage.local import LocalStore
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests import InvalidInput
from tests.seaweed import BUCKET


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path) -> Store:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    return open_store(str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}")


def test_what_was_put_is_what_is_got(store):
    assert store.put_if_absent("a/b/c", b"content")
    assert store.get("a/b/c").to_pybytes() == b"content"
    assert store.put_if_absent("empty", b"")
    assert store.get("empty").to_pybytes() == b""


@pytest.mark.parametrize(
    ("start", "length", "part"),
    [(0, 3, b"abc"), (2, 4, b"cdef"), (7, 1, b"h"), (6, 100, b"gh"), (8, 5, b""), (50, 5, b"")],  # "abcdefgh" ends at 8
)
def test_a_range_is_the_bytes_from_its_start_as_far_as_the_object_goes(store, start, length, part):
    store.put_if_absent("key", b"abcdefgh")
    assert store.get_range("key", start, length).to_pybytes() == part


@pytest.mark.parametrize(("length", "part"), [(1, b"h"), (3, b"fgh"), (8, b"abcdefgh"), (100, b"abcdefgh")])
def test_the_end_is_the_last_bytes_or_the_whole_object(store, length, part):
    store.put_if_absent("key", b"abcdefgh")
    assert store.get_end("key", length).to_pybytes() == part


def test_an_empty_object_has_no_bytes_in_any_part(store):
    store.put_if_absent("empty", b"")
    assert store.get_range("empty", 0, 5).to_pybytes() == b""
    assert store.get_end("empty", 5).to_pybytes() == b""


def test_a_key_that_is_taken_keeps_its_object(store):
    assert store.put_if_absent("key", b"first")
    assert not store.put_if_absent("key", b"second")
    assert store.get("key").to_pybytes() == b"first"


def test_replace_is_the_one_way_to_change_an_object(store):
    store.replace("progress.json", b"1")
    store.replace("progress.json", b"2")
    assert store.get("progress.json").to_pybytes() == b"2"


def test_an_object_is_removed_only_while_it_has_the_content_that_was_found_damaged(store):
    store.put_if_absent("key", b"damaged")
    store.remove("key", pa.py_buffer(b"other"))
    assert store.get("key").to_pybytes() == b"damaged"
    store.remove("key", pa.py_buffer(b"damaged"))
    assert not store.exists("key")
    store.remove("key", pa.py_buffer(b"damaged"))
    assert store.put_if_absent("key", b"again")
    store.remove("key", pa.py_buffer(b"damaged"))
    assert store.get("key").to_pybytes() == b"again"


def test_several_that_remove_a_damaged_object_at_once_do_not_remove_what_replaced_it(store):
    def repair(key: str) -> None:
        store.remove(key, pa.py_buffer(b"damaged"))
        store.put_if_absent(key, b"intact")

    for number in range(8):
        store.put_if_absent(f"key-{number}", b"damaged")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(repair, [f"key-{number}"] * 4))
        assert store.get(f"key-{number}").to_pybytes() == b"intact"


@pytest.mark.parametrize("key", ["gone", "folder", "folder/gone"])
def test_an_absent_object_is_file_not_found(store, key):
    store.put_if_absent("folder/there", b"x")
    assert not store.exists(key)
    for read in (store.get, lambda key: store.get_range(key, 0, 1), lambda key: store.get_end(key, 1)):
        # On a disk, a folder is where a file should be.
        with pytest.raises(NoObjectError if (store.uri[0], key) == ("/", "folder") else FileNotFoundError):
            read(key)


def test_a_listing_is_sorted_takes_any_prefix_and_knows_sizes(store):
    for key in ("runs/b", "runs/a", "rune", "other/x"):
        store.put_if_absent(key, key.encode())
    found = [(entry.key, entry.size_bytes) for entry in store.listing("run")]
    assert found == [("rune", 4), ("runs/a", 6), ("runs/b", 6)]
    assert [entry.key for entry in store.listing("runs/b")] == ["runs/b"]
    assert list(store.listing("nothing/")) == []


def test_opening_by_uri_reaches_the_same_objects(store):
    store.put_if_absent("key", b"x")
    assert open_store(store.uri).exists("key")


def test_an_unknown_scheme_is_refused():
    with pytest.raises(InvalidInput, match=r"ftp://host: unknown scheme"):
        open_store("ftp://host")


def test_a_store_that_overwrites_is_refused(store):
    class Overwrites(MemoryStore):
        def put_if_absent(self, key, content):
            self.replace(key, bytes(content))
            return True

    prove_put_if_absent(store, key="FORMAT.json", content=b"{}")
    prove_put_if_absent(store, key="FORMAT.json", content=b"{}")
    with pytest.raises(StoreError, match=r"the store overwrote the object with the key 'FORMAT\.json'"):
        prove_put_if_absent(Overwrites("careless"), key="FORMAT.json", content=b"{}")


def _race(folder: str, rounds: int, writer: int, wins) -> None:
    store = LocalStore(folder)
    for number in range(rounds):
        if store.put_if_absent(f"race/{number}", bytes([writer]) * 4096):
            wins.put((number, writer))


def test_of_many_processes_exactly_one_wins_each_key_and_its_bytes_stay(tmp_path):
    context = multiprocessing.get_context("spawn")
    wins = context.Queue()
    writers = [context.Process(target=_race, args=(str(tmp_path), 50, writer, wins)) for writer in range(4)]
    for process in writers:
        process.start()
    won = dict(wins.get(timeout=60) for _ in range(50))
    for process in writers:
        process.join()
    assert sorted(won) == list(range(50))
    assert wins.empty()
    for number, writer in won.items():
        assert Path(tmp_path, f"race/{number}").read_bytes() == bytes([writer]) * 4096
    assert not list((tmp_path / ".tmp").iterdir())


def test_nothing_half_written_is_ever_listed(tmp_path):
    store = LocalStore(tmp_path)
    store.put_if_absent("whole", b"x")
    (tmp_path / ".tmp" / "half").write_bytes(b"x")
    assert [entry.key for entry in store.listing("")] == ["whole"]


def test_a_large_object_goes_to_s3_in_parts_and_never_over_another(s3, monkeypatch):
    monkeypatch.setattr("assay.evaluator.storage.s3._PART_BYTES", 5 * 1024 * 1024)
    store = open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    content = bytes(range(256)) * (48 * 1024)
    assert store.put_if_absent("large", content)
    assert not store.put_if_absent("large", b"y" + content)
    assert store.get("large").to_pybytes() == content
    assert [entry.size_bytes for entry in store.listing("")] == [len(content)]


def test_a_listing_of_s3_goes_past_one_page(s3):
    store = open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: store.put_if_absent(f"many/{number:05d}", b"x"), range(1100)))
    assert [entry.key for entry in store.listing("many/")] == [f"many/{number:05d}" for number in range(1100)]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_an_s3_that_refuses_or_is_away_is_a_store_error_that_says_so(s3, monkeypatch, variables, words):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("assay.evaluator.storage.s3._NUM_ATTEMPTS", 2)
    store = open_store(f"s3://{BUCKET}/somewhere")
    with pytest.raises(StoreError, match=words) as refused:
        store.get("key")
    assert f"s3://{BUCKET}/somewhere" in str(refused.value)
    assert "assay-test-secret" not in str(refused.value)


@pytest.mark.parametrize("below", [".", "a/b"])
def test_a_file_is_no_folder_to_store_in(tmp_path, below):
    (tmp_path / "rows.csv").write_text("a")
    with pytest.raises(StoreError, match=r"rows\.csv: this is a file, but a store must be a folder; move it away"):
        open_store(str(tmp_path / "rows.csv" / below))
