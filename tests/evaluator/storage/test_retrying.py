"""A run's stores retry while the wrapped store is unavailable."""

import socket

import pytest

from assay.evaluator.errors import OutageError, StoreError
from assay.evaluator.storage import open_store, retrying
from assay.evaluator.storage.memory import MemoryStore
from assay.evaluator.storage.retrying import RetryingStore


class Flaky(MemoryStore):
    """Fails its first calls. A listing fails in the middle."""

    def __init__(self, num_failures: int, error: type[Exception] = OutageError) -> None:
        super().__init__("flaky")
        self.num_failures, self.error = num_failures, error

    def _maybe(self) -> None:
        self.num_failures -= 1
        if self.num_failures >= 0:
            raise self.error("away")

    def get(self, key):
        self._maybe()
        return super().get(key)

    def get_range(self, key, start, length):
        self._maybe()
        return super().get_range(key, start, length)

    def get_end(self, key, length):
        self._maybe()
        return super().get_end(key, length)

    def put_if_absent(self, key, content):
        self._maybe()
        return super().put_if_absent(key, content)

    def exists(self, key):
        self._maybe()
        return super().exists(key)

    def listing(self, prefix):
        for number, entry in enumerate(super().listing(prefix)):
            if number == 1:
                self._maybe()
            yield entry


@pytest.fixture(autouse=True)
def hurried(monkeypatch) -> None:
    monkeypatch.setattr(retrying, "_MAX_PAUSE_S", 0.01)


def test_an_outage_is_waited_through():
    store = Flaky(3)
    waiting = RetryingStore(store)
    assert waiting.put_if_absent("a", b"1")
    store.num_failures = 3
    assert waiting.get("a").to_pybytes() == b"1"
    store.num_failures = 3
    assert waiting.get_range("a", 0, 1).to_pybytes() == b"1"
    store.num_failures = 3
    assert waiting.get_end("a", 1).to_pybytes() == b"1"
    store.num_failures = 3
    assert waiting.exists("a")
    assert waiting.uri == store.uri


def test_a_listing_that_breaks_off_begins_anew_and_names_nothing_twice():
    store = Flaky(0)
    for key in "abc":
        MemoryStore.put_if_absent(store, key, b"")
    store.num_failures = 2
    assert [entry.key for entry in RetryingStore(store).listing("")] == ["a", "b", "c"]


@pytest.mark.parametrize("error", [StoreError, FileNotFoundError])
def test_what_will_not_pass_is_told_at_once(error):
    store = Flaky(1, error)
    with pytest.raises(error):
        RetryingStore(store).get("a")
    assert store.num_failures == 0


def test_patience_ends():
    with pytest.raises(OutageError, match="away"):
        RetryingStore(Flaky(1_000_000), total_s=0.05).get("a")


def test_an_s3_server_that_does_not_answer_is_an_outage(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{closed.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        with pytest.raises(OutageError, match="'key' cannot be read"):
            open_store("s3://bucket/prefix").get("key")
