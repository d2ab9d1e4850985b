"""Whatever happens to the files of an unfinished run: it ends with the undisturbed numbers, or with an error of ours."""

import random

import pyarrow as pa
import pytest

from assay.cluster import pipeline
from assay.evaluator.ledger import reader
from assay.manifests.errors import AssayError
from assay.manifests.ledger_layout import unit_key
from tests import builders, damage
from tests.unfinished import ARMS, NUM_ROWS, Unfinished, run


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
    "num_flips", [5, pytest.param(400, marks=pytest.mark.extended)], ids=lambda number: f"{number}_flips"
)
def test_a_unit_with_any_bit_flipped_is_scored_again(unfinished, num_flips):
    generator = random.Random(num_flips)
    for _ in range(num_flips):
        unfinished.restore()
        key = generator.choice(unfinished.units)
        damage.damage(unfinished.store, key, "bit_flip", generator=generator)
        run(unfinished.prepared)
        unfinished.check(damaged=[key])


def test_units_over_which_others_were_copied_are_scored_again(unfinished):
    key, another = (unit_key(unfinished.run_id, "better", unit) for unit in (0, 1))
    next_one, other_arm = unit_key(unfinished.run_id, "better", 2), unit_key(unfinished.run_id, "control", 1)
    damage.damage(unfinished.store, key, "copied", generator=random.Random(0), other=next_one)
    damage.damage(unfinished.store, another, "copied", generator=random.Random(0), other=other_arm)
    run(unfinished.prepared)
    unfinished.check(damaged=[key, another])


def test_a_unit_that_is_no_unit_any_more_is_scored_again_and_kept_aside(unfinished):
    key = unit_key(unfinished.run_id, "better", 1)
    damage.damage(unfinished.store, key, "foreign", generator=random.Random(0))
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


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_damaged_units_are_scored_again_by_new_actors_after_the_end(tmp_path):
    unfinished = Unfinished(builders.write_experiment(tmp_path, arms=ARMS, num_rows=NUM_ROWS))
    first, second = (unit_key(unfinished.run_id, "better", unit) for unit in (0, 1))
    damage.delete(unfinished.store, first)  # so that slots work, and have ended when the damage is found
    damage.overwrite(unfinished.store, second, damage.flipped(unfinished.kept[second], 800))
    pipeline.run(unfinished.prepared, in_process=False, on_progress=lambda arm, units: None)
    unfinished.check(damaged=[second], deleted=[first])


# Edited by somebody who knows how Assay writes


def other_label_values(table: pa.Table) -> pa.Table:
    """A column that no analysis of ours reads, but that other readers do."""
    return damage.with_column(table, "label_value", [1 - value for value in table["label_value"].to_pylist()])


def test_units_whose_parts_contradict_each_other_are_scored_again_though_their_checksum_fits(unfinished):
    edits = {
        unit_key(unfinished.run_id, "control", 0): damage.with_perfect_scores,
        unit_key(unfinished.run_id, "control", 1): other_label_values,
    }
    for key, edit in edits.items():
        damage.overwrite(unfinished.store, key, damage.forged(unfinished.kept[key], table=edit))
    run(unfinished.prepared)
    unfinished.check(damaged=[*edits])


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


def test_a_damaged_file_that_is_faster_than_a_slot_is_set_aside_by_the_slot(unfinished):
    key = unit_key(unfinished.run_id, "better", 1)
    damage.delete(unfinished.store, key)
    pipeline.run(
        unfinished.prepared,
        in_process=True,
        on_progress=lambda arm, num_units: unfinished.store.put_if_absent(key, damage.FOREIGN),
    )
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
