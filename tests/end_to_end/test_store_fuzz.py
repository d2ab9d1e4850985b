"""A store that fails or lies at any call gives the right answer or an error of Assay's, and spoils nothing for later."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.evaluator.errors import OutageError, StoreError
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import StoredObject
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.errors import AssayError
from tests import builders

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}


def flipped(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return b"x"
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


GARBLED: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a flipped bit": flipped,
    "cut": lambda content, chance: content[: chance.randrange(len(content) + 1)],
    "empty": lambda content, chance: b"",
    "a page": lambda content, chance: b"<html><body>Hello</body></html>",
    "zeros": lambda content, chance: bytes(len(content)),
}
RAISED: dict[str, Callable[[str], Exception]] = {
    "fails": lambda key: StoreError(f"'{key}': Input/output error"),
    "does not answer": lambda key: OutageError(f"'{key}': no answer"),
    "has lost it": FileNotFoundError,
}
BEFORE_OR_AFTER = ("before", "after")


class FaultyStore(MemoryStore):
    """Does one call wrongly.

    Attributes:
        num_calls: How many calls there were.
        fault: What it did wrongly, in words; empty before.
    """

    def __init__(self, name: str, *, at: int = -1, seed: int = 0) -> None:
        super().__init__(name)
        self.at, self.chance, self.num_calls, self.fault = at, random.Random(seed), 0, ""

    def _is_faulty(self) -> bool:
        self.num_calls += 1
        return self.num_calls - 1 == self.at

    def _raised(self, call: str, key: str, kinds: list[str]) -> Exception:
        kind = self.chance.choice(kinds)
        self.fault = f"{call} of {key} {kind}"
        return RAISED[kind](key)

    def _read(self, call: str, key: str, content: pa.Buffer) -> pa.Buffer:
        if not self._is_faulty():
            return content
        kind = self.chance.choice([*GARBLED, *RAISED])
        if kind in RAISED:
            raise self._raised(call, key, [kind])
        self.fault = f"{call} of {key} is {kind}"
        return pa.py_buffer(GARBLED[kind](content.to_pybytes(), self.chance))

    def get(self, key: str) -> pa.Buffer:
        return self._read("get", key, super().get(key))

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        return self._read("get_range", key, super().get_range(key, start, length))

    def get_end(self, key: str, length: int) -> pa.Buffer:
        return self._read("get_end", key, super().get_end(key, length))

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        if not self._is_faulty():
            return super().put_if_absent(key, content)
        is_after = self.chance.choice(BEFORE_OR_AFTER) == "after"
        if is_after:
            super().put_if_absent(key, content)
        raise self._raised(f"put ({'done' if is_after else 'not done'})", key, ["fails", "does not answer"])

    def replace(self, key: str, content: bytes) -> None:
        if self._is_faulty():
            raise self._raised("replace", key, ["fails", "does not answer"])
        super().replace(key, content)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        found = list(super().listing(prefix))
        if self._is_faulty():
            yield from found[: self.chance.randrange(len(found) + 1)]
            raise self._raised("listing", prefix, ["fails", "does not answer"])
        yield from found

    def exists(self, key: str) -> bool:
        if self._is_faulty():
            raise self._raised("exists", key, ["fails", "does not answer"])
        return super().exists(key)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    return builders.write_experiment(folder, arms=ARMS, num_rows=64, ledger="memory://undisturbed")


def ran(experiment: Path, ledger: FaultyStore) -> str:
    """The digest of the scores, as the run's report gives it."""
    MemoryStore._named[ledger.uri.removeprefix("memory://")] = ledger  # as if another process had made it
    prepared = pipeline.prepare(str(experiment), ledger=ledger.uri)
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()["scores_digest"]


@pytest.fixture(scope="module")
def undisturbed(experiment) -> tuple[str, int]:
    """The digest of an undisturbed run, and the number of calls it makes."""
    ledger = FaultyStore("undisturbed")
    return ran(experiment, ledger), ledger.num_calls


def disturb(experiment: Path, undisturbed: tuple[str, int], seed: int) -> None:
    """Runs with one fault, then without: the same digest each time, unless the first run raises an error of ours."""
    digest, num_calls = undisturbed
    ledger = FaultyStore(f"fuzz-{seed}", at=random.Random(seed).randrange(num_calls), seed=seed)
    try:
        found = ran(experiment, ledger)
    except AssayError:
        pass
    except BaseException as error:
        raise AssertionError(f"seed {seed}: {ledger.fault}: raw {error!r}") from error
    else:
        assert found == digest, f"seed {seed}: {ledger.fault}"
    ledger.at = -1  # a run may make fewer calls than the undisturbed one
    assert ran(experiment, ledger) == digest, f"seed {seed}: {ledger.fault}"
    assert verify_ledger(ledger).problems == (), f"seed {seed}: {ledger.fault}"
    del MemoryStore._named[f"fuzz-{seed}"]


@pytest.mark.parametrize("seed", range(4))
def test_one_fault_of_the_ledgers_store_is_an_error_or_changes_nothing(experiment, undisturbed, seed):
    disturb(experiment, undisturbed, seed)


@pytest.mark.extended
def test_no_fault_at_any_call_changes_a_digest_or_is_a_traceback(experiment, undisturbed):
    for seed in range(100, 400):
        disturb(experiment, undisturbed, seed)
