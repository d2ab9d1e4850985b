"""Whatever happens to the files of an unfinished run: it ends with the undisturbed numbers, or with an error of ours."""

import random
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.manifests.errors import AssayError
from assay.manifests.ledger_layout import FORMAT_KEY, INDEX_KEY, run_key, unit_key
from tests import builders, damage

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}
NUM_ROWS = 96  # 3 units of 32 rows per arm
DETERMINISTIC = ("scores", "metrics", "comparisons", "decisions", "analyses", "confusions", "histograms")


class Unfinished:
    """An unfinished run whose units are all published, which can be put back to that state.

    Attributes:
        prepared: The run, prepared before it is resumed.
        store: Its ledger.
        kept: The files of the unfinished ledger, by key.
        expected: The rows of the tables of the undisturbed run, by the table's name.
    """

    def __init__(self, experiment: Path) -> None:
        self.experiment = experiment
        calm = prepare(experiment)
        run(calm)
        self.store, self.run_id = calm.store, calm.run.run_id
        self.expected = self.tables()
        self.digest = document(self.store, self.run_id).plain()["scores_digest"]
        for entry in [*self.store.listing("v2/")]:
            if not entry.key.startswith(("v2/data/scores/", run_key(self.run_id), FORMAT_KEY, INDEX_KEY)):
                damage.delete(self.store, entry.key)
        self.kept = {entry.key: self.store.get(entry.key).to_pybytes() for entry in self.store.listing("v2/")}
        self.prepared = prepare(experiment)

    def restore(self) -> None:
        for entry in [*self.store.listing("v2/")]:
            if entry.key not in self.kept or self.store.get(entry.key).to_pybytes() != self.kept[entry.key]:
                damage.delete(self.store, entry.key)
        for key, content in self.kept.items():
            self.store.put_if_absent(key, content)

    @property
    def units(self) -> list[str]:
        return [key for key in self.kept if key.startswith("v2/data/scores/")]

    def tables(self) -> dict[str, Any]:
        run = CommittedRun(self.store, self.run_id)
        tables = {name: run.rows(name) for name in DETERMINISTIC}
        tables["decisions"] = [{**row, "questions": None} for row in tables["decisions"]]  # they tell the cost
        return tables

    def events(self) -> list[dict[str, Any]]:
        return [row for row in CommittedRun(self.store, self.run_id).rows("events") if row["kind"] != "resumed"]

    def check(self, *, damaged: list[str], deleted: list[str] | None = None) -> None:
        """The numbers are the undisturbed ones, the damaged units are named, and all others were reused."""
        assert self.tables() == self.expected
        assert document(self.store, self.run_id).plain()["scores_digest"] == self.digest
        found = [(event["kind"], unit_key(self.run_id, event["arm"], event["unit"])) for event in self.events()]
        assert sorted(found) == [("set_aside", key) for key in sorted(damaged)]
        for key in set(self.units) - {*damaged, *(deleted or [])}:
            assert self.store.get(key).to_pybytes() == self.kept[key]
        assert verify_ledger(self.store).problems == ()


def prepare(experiment: Path) -> pipeline.Prepared:
    sys.modules.pop("variants_under_test", None)
    return pipeline.prepare(str(experiment))


def run(prepared: pipeline.Prepared) -> None:
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory) -> Unfinished:
    folder = tmp_path_factory.mktemp("in-memory")
    ledger = f"memory://{folder.name}"
    return Unfinished(builders.write_experiment(folder, arms=ARMS, num_rows=NUM_ROWS, ledger=ledger))


@pytest.fixture
def unfinished(in_memory) -> Unfinished:
    in_memory.restore()
    return in_memory


# One damaged unit


@pytest.mark.parametrize(
    "num_flips", [8, pytest.param(400, marks=pytest.mark.extended)], ids=lambda number: f"{number}_flips"
)
def test_a_unit_with_any_bit_flipped_is_scored_again(unfinished, num_flips):
    generator = random.Random(num_flips)
    for _ in range(num_flips):
        unfinished.restore()
        key = generator.choice(unfinished.units)
        damage.damage(unfinished.store, key, "bit_flip", generator=generator)
        run(unfinished.prepared)
        unfinished.check(damaged=[key])


def other_index(unfinished: Unfinished) -> str:
    return unit_key(unfinished.run_id, "better", 2)


def other_arm(unfinished: Unfinished) -> str:
    return unit_key(unfinished.run_id, "control", 1)


@pytest.mark.parametrize("other", [other_index, other_arm])
def test_a_unit_over_which_another_one_was_copied_is_scored_again(unfinished, other):
    key = unit_key(unfinished.run_id, "better", 1)
    damage.damage(unfinished.store, key, "copied", generator=random.Random(0), other=other(unfinished))
    run(unfinished.prepared)
    unfinished.check(damaged=[key])


@pytest.mark.parametrize("way", ["truncated", "empty", "foreign"])
def test_a_unit_that_is_no_unit_any_more_is_scored_again_and_kept_aside(unfinished, way):
    key = unit_key(unfinished.run_id, "better", 1)
    damage.damage(unfinished.store, key, way, generator=random.Random(0))
    content = unfinished.store.get(key)
    run(unfinished.prepared)
    unfinished.check(damaged=[key])
    (aside,) = unfinished.store.listing("v2/set-aside/")
    assert unfinished.store.get(aside.key).equals(content)
    assert aside.key in unfinished.events()[0]["message"]
    assert not aside.key.endswith(".parquet")  # nobody who reads all files of a folder reads it


def test_a_deleted_unit_is_scored_again(unfinished):
    damage.delete(unfinished.store, unfinished.units[0])
    run(unfinished.prepared)
    unfinished.check(damaged=[], deleted=unfinished.units[:1])


def test_many_damaged_units_are_scored_again_in_one_go(unfinished):
    damaged = unfinished.units[1:5]
    for number, key in enumerate(damaged):
        damage.damage(unfinished.store, key, damage.WAYS[number], generator=random.Random(number))
    run(unfinished.prepared)
    unfinished.check(damaged=damaged)


# Edited by somebody who knows how Assay writes


def other_label_values(table: pa.Table) -> pa.Table:
    """A column that no analysis of ours reads, but that other readers do."""
    return damage.with_column(table, "label_value", [1 - value for value in table["label_value"].to_pylist()])


@pytest.mark.parametrize("edit", [damage.with_perfect_scores, other_label_values])
def test_a_unit_whose_parts_contradict_each_other_is_scored_again_though_its_checksum_fits(unfinished, edit):
    key = unit_key(unfinished.run_id, "control", 1)
    damage.overwrite(unfinished.store, key, damage.forged(unfinished.kept[key], table=edit))
    run(unfinished.prepared)
    unfinished.check(damaged=[key])


def test_a_unit_of_the_driver_itself_is_compared_with_what_it_stored(unfinished):
    """A forgery without any contradiction, made after the driver had published the unit and before it committed."""
    key = unit_key(unfinished.run_id, "better", 1)
    forgery = damage.consistent(unfinished.kept[key], damage.with_perfect_scores)
    assert reader.read_unit(unfinished.store, key, committed_sha256=None)
    damage.delete(unfinished.store, key)

    def forge(arm: str, num_units: int) -> None:
        if (
            unfinished.store.exists(key)
            and unfinished.store.get(key).to_pybytes() != unfinished.kept[key]
            and not forged
        ):
            forged.append(key)
            damage.overwrite(unfinished.store, key, forgery)

    forged: list[str] = []
    pipeline.run(unfinished.prepared, in_process=True, on_progress=forge)
    assert forged
    unfinished.check(damaged=[key])


def test_a_store_that_damages_a_unit_twice_ends_the_run(unfinished):
    key = unit_key(unfinished.run_id, "better", 1)
    damage.damage(unfinished.store, key, "empty", generator=random.Random(0))

    def damage_again(arm: str, num_units: int) -> None:
        if unfinished.store.exists(key):
            damage.overwrite(unfinished.store, key, damage.FOREIGN)

    with pytest.raises(AssayError, match=rf"'{key}' was changed.*the store damages what it holds") as caught:
        pipeline.run(unfinished.prepared, in_process=True, on_progress=damage_again)
    assert caught.value.exit_code == 1
    assert not reader.is_committed(unfinished.store, unfinished.run_id)
