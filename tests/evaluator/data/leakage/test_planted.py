"""Planted leaks are found: 1 % of the rows unchanged in a training set, 1 % with small edits, and few others."""

import numpy as np
import pytest

from assay.evaluator.data.leakage import search
from assay.manifests.contract_column import Column
from tests.evaluator.data.leakage.builders import Y, edited, frozen, overlap, searched, texts, train, vocabulary

NUM_ROWS = 20_000
PLANTED = NUM_ROWS // 100


@pytest.fixture(autouse=True)
def _all_pairs_are_named(monkeypatch):
    monkeypatch.setattr(search, "NUM_PAIRS", NUM_ROWS)


def rows_found(found, kind: str) -> set[int]:
    assert overlap(found, kind).num_rows == len(overlap(found, kind).pairs)
    return {pair.row for pair in overlap(found, kind).pairs}


def test_planted_texts_are_found_and_few_others(tmp_path):
    words, random = vocabulary(8000), np.random.default_rng(5)
    ours, theirs = texts(NUM_ROWS, words, seed=1), texts(NUM_ROWS, words, seed=2)
    at = random.choice(NUM_ROWS, 2 * PLANTED, replace=False)
    where = random.choice(NUM_ROWS, 2 * PLANTED, replace=False)
    for number, (our, their) in enumerate(zip(at, where, strict=True)):
        theirs[their] = ours[our] if number < PLANTED else edited(ours[our], words, random)
    rows = {"text": [" ".join(text) for text in ours], "y": random.integers(0, 2, NUM_ROWS)}
    dataset, store = frozen(tmp_path, [Column(name="text", role="feature"), Y], rows)
    learned = train(tmp_path, {"text": [" ".join(text) for text in theirs]})
    found, planted = searched(dataset, store, learned), set(at[PLANTED:].tolist())
    assert rows_found(found, "exact") == set(at[:PLANTED].tolist())
    assert rows_found(found, "normalised") == set()
    near = rows_found(found, "near")
    assert len(near & planted) >= 0.95 * PLANTED
    assert len(near - planted) <= 0.001 * (NUM_ROWS - 2 * PLANTED)
    assert not found.is_fine
    assert overlap(found, "exact").pairs[0].place == f"train.parquet row {where[:PLANTED][at[:PLANTED].argmin()] + 1}"


# 16: noise in every number is no harder to find than in a few.
@pytest.mark.parametrize("num_noisy", [3, 16])
def test_planted_numbers_are_found_and_few_others(tmp_path, num_noisy):
    random = np.random.default_rng(5)
    # Correlated and on very different scales, like the columns of real tables.
    mixing, sizes = random.normal(size=(16, 16)), 10.0 ** random.integers(-3, 4, 16)
    ours, theirs = ((random.normal(size=(NUM_ROWS, 16)) @ mixing) * sizes for _ in range(2))
    at = random.choice(NUM_ROWS, 2 * PLANTED, replace=False)
    where = random.choice(NUM_ROWS, 2 * PLANTED, replace=False)
    theirs[where] = ours[at]
    spread = ours.std(axis=0)
    for their in where[PLANTED:]:
        noisy = random.choice(16, num_noisy, replace=False)
        theirs[their, noisy] += random.normal(size=num_noisy) * 0.01 * spread[noisy]
    # Half of the numbers are plain columns, half one tensor.
    rows, learned = table(ours), train(tmp_path, table(theirs))
    columns = [Column(name=f"x{number}", role="feature", type="float64") for number in range(8)]
    columns += [Column(name="rest", role="feature", type="float64", shape=(2, 4)), Y]
    dataset, store = frozen(tmp_path, columns, {**rows, "y": random.integers(0, 2, NUM_ROWS)})
    found, planted = searched(dataset, store, learned), set(at[PLANTED:].tolist())
    assert rows_found(found, "exact") == set(at[:PLANTED].tolist())
    near = rows_found(found, "near")
    assert len(near & planted) >= 0.95 * PLANTED
    assert len(near - planted) <= 0.001 * (NUM_ROWS - 2 * PLANTED)


def table(numbers: np.ndarray) -> dict:
    return {**{f"x{number}": numbers[:, number] for number in range(8)}, "rest": numbers[:, 8:].tolist()}
