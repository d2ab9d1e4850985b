"""A ledger of 2,000 runs: a new run reads hardly more than in an empty ledger."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.evaluator.ledger import reader
from assay.evaluator.storage import open_store
from assay.manifests.ledger_layout import INDEX_KEY, commit_key, progress_key, run_key, unit_key
from tests import builders
from tests.counting_store import CountingStore

NUM_RUNS = 2_000
MAX_READS = 10
ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}


def new_run(tmp_path, monkeypatch, ledger: str, arms: dict[str, dict], name: str = "small") -> CountingStore:
    """Prepares and runs an experiment with a project's budget, and returns the store that counted."""
    store = CountingStore(open_store(ledger))
    monkeypatch.setattr(pipeline, "open_ledger", lambda uri, patient=False: store)
    project = {"project": "vision", "project_budget": {"slot_hours": 1e6}}
    path = builders.write_experiment(tmp_path, arms=arms, ledger=ledger, num_rows=64, name=name, **project)
    pipeline.run(pipeline.prepare(str(path)), in_process=True, on_progress=lambda arm, units: None)
    return store


def on_another_device(unit: pa.Buffer) -> bytes:
    """A copy of a unit file whose receipt names another class of devices."""
    table = pq.read_table(pa.BufferReader(unit))
    metadata = {key: re.sub(rb'("device_class": ?)"[^"]*"', rb'\1"gpu"', value) for key, value in table.schema.metadata.items()}
    assert metadata != table.schema.metadata
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def many_runs(tmp_path, monkeypatch) -> str:
    """A ledger with a committed run and 1,999 copies of it, all of one project and with the same control.

    Each copy has another challenger, whose units the control's resemble; all were scored on another class of devices.
    """
    ledger = f"memory://{tmp_path.name}"
    new_run(tmp_path, monkeypatch, ledger, ARMS)
    store = open_store(ledger)
    (first,) = (each.run_id for each in reader.runs(store))
    record = json.loads(store.get(run_key(first)).to_pybytes())
    commit, progress = store.get(commit_key(first)), store.get(progress_key(first)).to_pybytes()
    unit = on_another_device(store.get(unit_key(first, "control", 0)))
    for number in range(1, NUM_RUNS):
        run_id = f"small-{number:012x}"
        record["run_id"] = run_id
        for digests in ("unit_keys", "variant_digests"):
            record[digests]["better"] = f"sha256:{number:064x}"
        store.put_if_absent(run_key(run_id), json.dumps(record).encode())
        store.put_if_absent(commit_key(run_id), commit)
        store.put_if_absent(progress_key(run_id), progress.replace(first.encode(), run_id.encode()))
        for arm in ARMS:
            store.put_if_absent(unit_key(run_id, arm, 0), unit)
    assert len(reader.runs(store)) == NUM_RUNS
    return ledger


def test_a_new_run_reads_at_most_10_objects_more_than_in_an_empty_ledger(many_runs, tmp_path, monkeypatch):
    arms = [{"control": builders.variant(flip_every=flip), "better": builders.variant(flip_every=9 + flip)} for flip in (5, 6, 7)]
    empty = new_run(tmp_path / "empty", monkeypatch, f"memory://{tmp_path.name}-empty", arms[0])
    first, second, third = (
        new_run(tmp_path, monkeypatch, many_runs, each, name=f"new-{number}")
        for number, each in enumerate((arms[0], arms[1], arms[0] | {"better": arms[2]["better"]}))
    )
    for store in (empty, first, second, third):
        print(store.num_reads, store.asked.total(), store.listed.total(), store.whole, store.parts)
    print(open_store(many_runs).get(INDEX_KEY).size)
    assert first.num_reads > NUM_RUNS
    assert second.num_reads <= empty.num_reads + MAX_READS
    assert third.num_reads <= empty.num_reads + MAX_READS
