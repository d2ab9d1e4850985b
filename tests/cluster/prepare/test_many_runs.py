"""A new run in a ledger of 2,000 runs reads hardly more than in an empty one."""

import hashlib
import json
from typing import Any

import pyarrow as pa
import pytest

from assay.cluster import pipeline
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.checksum import with_checksum
from assay.evaluator.storage import Store, open_store
from assay.manifests.ledger_layout import INDEX_KEY, commit_key, progress_key, run_key, unit_key
from assay.manifests.run import seal_of
from tests import builders, damage
from tests.counting_store import CountingStore

NUM_RUNS = 2_000
MAX_READS = 10
ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}


@pytest.fixture
def counted_run(tmp_path, monkeypatch):
    """Returns a function that runs an experiment of one project in a ledger, and returns the store that counted."""

    def run(ledger: str, *, name: str) -> CountingStore:
        store = CountingStore(open_store(ledger))
        monkeypatch.setattr(pipeline, "open_ledger", lambda uri, patient=False: store)
        project = {"project": "vision", "project_budget": {"slot_hours": 1e6}}
        path = builders.write_experiment(tmp_path, arms=ARMS, ledger=ledger, num_rows=64, name=name, **project)
        pipeline.run(pipeline.prepare(str(path)), in_process=True, on_progress=lambda arm, units: None)
        return store

    return run


def on_another_device(unit: pa.Buffer) -> bytes:
    """A copy of a unit file whose receipt names another class of devices."""

    def receipt(document: dict[str, Any]) -> None:
        document["facts"]["conditions"]["device_class"] = "h100"

    return damage.forged(unit.to_pybytes(), receipt=receipt)


def of_run(unit: bytes, before: str, after: str) -> pa.Buffer:
    """A copy of a unit file whose receipt names another run, with an id of the same length."""
    assert len(before) == len(after)
    return with_checksum(pa.py_buffer(unit.replace(before.encode(), after.encode())))


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def copy_run(source: Store, store: Store) -> None:
    """Fills a ledger with 2,000 copies of a run, which nothing can be reused from: their device is another one.

    They have the control in common. Their challengers opened another file each, and are the same otherwise.
    """
    (run_id,) = (each.run_id for each in reader.runs(source))
    for entry in source.listing("v2/data/arms/"):
        store.put_if_absent(entry.key, source.get(entry.key))
    record = json.loads(source.get(run_key(run_id)).to_pybytes())
    commit, progress = source.get(commit_key(run_id)), source.get(progress_key(run_id)).to_pybytes()
    units = {arm: on_another_device(source.get(unit_key(run_id, arm, 0))) for arm in ARMS}
    for number in range(NUM_RUNS):
        name = f"other-{number:012x}"
        record["run_id"] = name
        record["unit_keys"]["better"] = digest(f"key {number}")
        record["variant_digests"]["better"] = digest(f"variant {number}")
        record["seal"] = seal_of(record)
        store.put_if_absent(run_key(name), json.dumps(record).encode())
        store.put_if_absent(commit_key(name), commit)
        store.put_if_absent(progress_key(name), progress)
        for arm, unit in units.items():
            store.put_if_absent(unit_key(name, arm, 0), of_run(unit, run_id, name))


def test_a_new_run_makes_at_most_10_reads_more_than_in_an_empty_ledger(counted_run, tmp_path):
    few, many = (f"memory://{tmp_path.name}-{name}" for name in ("few", "many"))
    empty = counted_run(few, name="first")
    copy_run(open_store(few), open_store(many))
    unindexed, indexed, next_one = (counted_run(many, name=name) for name in ("first", "second", "third"))
    assert len(reader.runs(unindexed)) == NUM_RUNS + 3
    assert unindexed.num_reads > 4 * NUM_RUNS  # its record, its progress and a unit of each arm
    for store in (indexed, next_one):
        num_units_reused = sum(store.of("/scores/first-").values())  # each is read instead of being scored
        assert num_units_reused == 4
        assert store.num_reads - num_units_reused <= empty.num_reads + MAX_READS
        assert store.listed.total() <= empty.listed.total() + MAX_READS
        assert store.asked.total() <= empty.asked.total() + MAX_READS
    assert open_store(many).get(INDEX_KEY).size < 1_000_000


def test_listing_a_ledger_reads_nothing(counted_run, tmp_path):
    ledger = f"memory://{tmp_path.name}"
    counted_run(ledger, name="first")
    store = CountingStore(open_store(ledger))
    assert [each.committed for each in reader.runs(store)] == [True]
    assert store.num_reads == 0
