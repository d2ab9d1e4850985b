"""A unit file is read as it was written, or not at all: any changed bit and any contradiction is found."""

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from assay.cluster import pipeline
from assay.evaluator.errors import UnitDamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.checksum import check_file, footer_length, with_checksum
from assay.evaluator.storage import Store, StoredObject, open_store
from assay.manifests.ledger_layout import set_aside_key, unit_key, unit_place
from tests import builders, damage


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pipeline.Prepared:
    """A committed run of two arms with three units each."""
    folder = tmp_path_factory.mktemp("run")
    arms = {"control": builders.ARMS["control"], "better": builders.variant()}
    ledger = f"memory://{folder.name}"
    ready = pipeline.prepare(str(builders.write_experiment(folder, arms=arms, num_rows=96, ledger=ledger)))
    pipeline.run(ready, in_process=True, on_progress=lambda arm, units: None)
    return ready


@pytest.fixture
def key(prepared) -> str:
    return unit_key(prepared.run.run_id, "control", 1)


@pytest.fixture
def unit(prepared, key) -> bytes:
    """The file of one unit."""
    return prepared.store.get(key).to_pybytes()


@pytest.fixture
def store(tmp_path) -> Store:
    """An empty store."""
    return open_store(f"memory://{tmp_path}")


def read(prepared: pipeline.Prepared, store: Store, key: str, content: bytes) -> Any:
    """Reads a unit from a file with this content, as a resumed run and its commit do."""
    if store.exists(key):
        damage.delete(store, key)
    store.put_if_absent(key, content)
    receipt = reader.read_receipt(store, StoredObject(key, len(content)))
    return receipt, reader.verified(store, key, run=prepared.run, unit=prepared.units[1])


def test_an_untouched_file_gives_the_same_receipt_from_its_end_and_from_the_whole(prepared, store, key, unit):
    from_end, from_whole = read(prepared, store, key, unit)
    assert from_end.to_json() == from_whole.to_json()
    assert from_end.sha256 is None
    assert from_whole.sha256 is not None


def test_no_flipped_bit_is_missed(prepared, store, key, unit):
    generator = random.Random(16)
    for bit in generator.sample(range(8 * len(unit)), 4_000):
        with pytest.raises(UnitDamageError, match=key):
            read(prepared, store, key, damage.flipped(unit, bit))


def test_a_flipped_bit_of_the_footer_is_found_by_reading_the_end_alone(store, key, unit):
    start = len(unit) - footer_length(pa.py_buffer(unit))
    for byte in random.Random(1).sample(range(start, len(unit)), 300):
        content = damage.flipped(unit, 8 * byte + byte % 8)
        store.put_if_absent(key, content)
        with pytest.raises(UnitDamageError, match=f"'{key}' is not a unit file as Assay wrote it"):
            reader.read_receipt(store, StoredObject(key, len(content)))
        damage.delete(store, key)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 12, 1_000, -1])
def test_a_shorter_file_is_found(prepared, store, key, unit, size):
    with pytest.raises(UnitDamageError, match=key):
        read(prepared, store, key, unit[:size])


def test_a_checksum_can_be_computed_again(unit):
    check_file(pa.py_buffer(unit))
    assert with_checksum(pa.py_buffer(unit)).to_pybytes() == unit


def column(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        return damage.forged(
            content, table=lambda table: damage.with_column(table, name, change(table[name].to_pylist()))
        )

    return edit


def receipt(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        return damage.forged(content, receipt=lambda document: change(document) and None)

    return edit


OTHER_DIGEST = f"sha256:{'0' * 64}"
EDITED = {
    "scores": lambda content: damage.forged(content, table=damage.with_perfect_scores),
    "row_index": column("row_index", lambda rows: [row + 32 for row in rows]),
    "order": lambda content: damage.forged(content, table=lambda table: table.take(list(range(31, -1, -1)))),
    "fewer_rows": lambda content: damage.forged(content, table=lambda table: table.slice(1)),
    "label_class": column("label_class", lambda values: [str(1 - int(value)) for value in values]),
    "label_value": column("label_value", lambda values: [1 - value for value in values]),
    "prediction_class": column("prediction_class", lambda values: ["1"] * len(values)),
    "prediction_text": column("prediction_text", lambda values: ["yes"] * len(values)),
    "status": column("status", lambda values: ["error", *values[1:]]),
    "reason": column("reason", lambda values: ["because"] * len(values)),
    "row_id": column("row_id", lambda values: values[::-1]),
    "run_id": column("run_id", lambda values: ["other"] * len(values)),
    "arm": column("arm", lambda values: ["better"] * len(values)),
    "plan_digest": column("plan_digest", lambda values: [OTHER_DIGEST] * len(values)),
    "sums": receipt(lambda document: document["facts"]["score_sums"].update(accuracy=32.0)),
    "sums_of_no_metric": receipt(lambda document: document["facts"]["score_sums"].update(other=1.0)),
    "unanswered": receipt(lambda document: document["facts"]["unanswered"].update(error=1)),
    "plan": receipt(lambda document: document["lineage"].update(plan_digest=OTHER_DIGEST)),
    "variant": receipt(lambda document: document["lineage"].update(variant_digest=OTHER_DIGEST)),
    "run": receipt(lambda document: document["lineage"].update(run_id="other")),
    "num_rows": receipt(lambda document: document.update(num_rows=31)),
    "first_row": receipt(lambda document: document["facts"].update(first_row=0)),
    "no_facts": receipt(lambda document: document.pop("facts")),
    "other_unit": receipt(lambda document: document.update(unit=2)),
    "environment": receipt(lambda document: document["facts"]["conditions"].update(environment_digest=OTHER_DIGEST)),
}


@pytest.mark.parametrize("edit", EDITED)
def test_a_contradiction_is_found_though_the_checksum_fits(prepared, store, key, unit, edit):
    edited = EDITED[edit](unit)
    check_file(pa.py_buffer(edited))
    with pytest.raises(UnitDamageError, match=key):
        read(prepared, store, key, edited)


def test_only_the_keys_of_units_have_a_place():
    key = unit_key("run-1", "arm", 1_234_567)
    assert unit_place(key) == ("run-1", "arm", 1_234_567)
    for other in ("u12.parquet", "u0000012.parquet", "u000012.parquet.bak", "x.txt", ".nfs0001", "u00001a.parquet"):
        assert unit_place(f"v2/data/scores/run-1/arm/{other}") is None
    assert unit_place("v2/data/scores/run-1/u000012.parquet") is None
    assert unit_place(set_aside_key(key, OTHER_DIGEST)) is None
