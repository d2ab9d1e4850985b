"""Every parser at a boundary, fed with mutations of valid inputs: the right answer or Assay's error, never another one."""

import contextlib
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from assay.cluster import pipeline
from assay.evaluator.data.frozen.references import manifest_key, stored_dataset
from assay.evaluator.ledger import log_chain, reader, version_log
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, UnitReceipt
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests import AssayError, parse
from assay.manifests.ledger_layout import commit_key, log_key, run_key
from tests import builders, mutations

EXAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "examples").glob("*.yaml"))
FEW, MANY = 12, 1500


def texts_of_examples(count, seed):
    for path in EXAMPLES:
        yield from mutations.of_text(path.read_text(), count=count, seed=seed)
        as_json = json.dumps(yaml.safe_load(path.read_text()), default=str).encode()
        for content in mutations.of_json(as_json, count=count, seed=seed):
            yield content.decode()


def check_manifests(count, seed=0):
    for text in texts_of_examples(count, seed):
        began = time.process_time()
        with contextlib.suppress(AssayError):
            parse(text, file="f.yaml").digest()
        assert time.process_time() - began < 2


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A committed run with a log, and the stores of its ledger and its dataset."""
    folder = tmp_path_factory.mktemp("fuzzed")
    prepared = pipeline.prepare(str(builders.write_experiment(folder, num_rows=64)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    arm = {"arm": "better", "decision": "hold", "reasons": ["a"]}
    version_log.record_decisions(prepared.store, prepared.run.run_id, [arm])
    return prepared


def others(content, count, seed):
    yield from mutations.of_json(content, count=count, seed=seed)
    yield from mutations.of_bytes(content, count=count, seed=seed)


def store_with(key, content):
    store = MemoryStore("memory://fuzzed")
    store.put_if_absent(key, content)
    return store


def check_records(ran, count, seed=0):
    run_id = ran.run.run_id
    dataset_key = manifest_key("small@v1")
    content = (Path(ran.run.experiment.dataset).parent / dataset_key).read_bytes()
    for other in others(content, count, seed):
        with contextlib.suppress(AssayError):
            stored_dataset(store_with(dataset_key, other), "small@v1").digest()
    for other in others(ran.store.get(run_key(run_id)).to_pybytes(), count, seed):
        with contextlib.suppress(AssayError):
            reader.read_run(store_with(run_key(run_id), other), run_id)
    for other in mutations.of_bytes(ran.store.get(commit_key(run_id)).to_pybytes(), count=count, seed=seed):
        with contextlib.suppress(AssayError):
            reader.committed_files(store_with(commit_key(run_id), other), run_id)


def check_entries(ran, count, seed=0):
    """The bytes of an entry are read by `read_entry`, and those of a receipt by `from_json`; both raise ValueError."""
    for other in others(ran.store.get(log_key(1)).to_pybytes(), count, seed):
        with contextlib.suppress(AssayError):
            log_chain.entries(store_with(log_key(1), other))
    unit = next(reader.stored_units(ran.store, ran.run.run_id, "better").values().__iter__())
    receipt = pq.read_schema(pa.BufferReader(ran.store.get(unit))).metadata[RECEIPT_METADATA]
    for other in others(receipt, count, seed):
        with contextlib.suppress(ValueError):
            UnitReceipt.from_json(other, key=unit, size_bytes=9, sha256=None)


def test_a_mutated_manifest_is_read_or_refused():
    check_manifests(FEW)


def test_a_mutated_record_is_read_or_called_damaged(ran):
    check_records(ran, 10 * FEW)


def test_a_mutated_entry_or_receipt_is_read_or_called_damaged(ran):
    check_entries(ran, 10 * FEW)


@pytest.mark.extended
def test_many_mutated_manifests_are_read_or_refused():
    check_manifests(MANY // 10, seed=1)


@pytest.mark.extended
def test_many_mutated_records_are_read_or_called_damaged(ran):
    check_records(ran, MANY, seed=1)
    check_entries(ran, MANY, seed=1)
