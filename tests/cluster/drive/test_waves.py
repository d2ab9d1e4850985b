"""A race compares the units of its waves, whatever else is in the ledger already."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from assay.cluster.drive.waves import RaceWaves
from assay.evaluator import batches
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests import Experiment, parse
from tests import builders
from tests.receipts import receipt

NUM_UNITS = 64
HITS = {"control": 26.0, "better": 32.0, "worse": 8.0, "again": 26.0}
"""Correct predictions of each arm in every unit of 32 rows."""


@pytest.fixture
def race(tmp_path: Path) -> RaceWaves:
    path = builders.write_experiment(tmp_path, race={"first_units": 16, "margin": 0.0})
    suite = (tmp_path / "suite.yaml").read_text()
    experiment = parse(path.read_text(), file=path.name, read=lambda _: suite)
    assert isinstance(experiment, Experiment)
    return RaceWaves(experiment, batches.units(NUM_UNITS * 32, batch_size=32))


def first_wave(race: RaceWaves, **unanswered: Mapping[str, int]) -> dict[str, dict[int, UnitReceipt]]:
    """Every arm's receipts of the first wave; these arms have rows without an answer in each of its units."""
    order = list(next(iter(race)))
    return {
        arm: {
            unit: receipt(arm, unit, score_sums={"accuracy": hits}, unanswered=dict(unanswered.get(arm, {})))
            for unit in order
        }
        for arm, hits in HITS.items()
    }


def test_an_answer_that_is_missing_in_a_later_wave_changes_no_earlier_look(race):
    receipts = first_wave(race)
    expected = race.eliminated(receipts, [*HITS])
    assert "worse" in expected
    later = next(unit for unit in range(NUM_UNITS) if unit not in receipts["worse"])
    receipts["worse"][later] = receipt("worse", later, unanswered={"refused": 3})  # as if the run was resumed
    assert race.eliminated(receipts, [*HITS]) == expected


def test_an_arm_with_rows_that_have_no_answer_is_not_eliminated(race):
    assert "worse" not in race.eliminated(first_wave(race, worse={"error": 1}), [*HITS])
