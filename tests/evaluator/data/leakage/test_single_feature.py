"""A single feature that predicts the label is reported; an id, noise and merely useful features are not."""

import numpy as np
import pyarrow as pa

from assay.evaluator.data.leakage.single_feature import single_features
from assay.manifests.column import FrozenColumn

NUM_ROWS = 5000
RANDOM = np.random.default_rng(3)
LABELS = RANDOM.choice(["spam", "ham"], NUM_ROWS, p=[0.2, 0.8])
IS_SPAM = LABELS == "spam"
LABEL = FrozenColumn(name="label", role="label", classes=("ham", "spam"))


def skill(values, kind: str, *, label=LABEL, labels=LABELS) -> tuple[float, str]:
    column = FrozenColumn(name="f", role="feature", type=kind)
    (found,) = single_features(pa.table({"f": values, "label": labels}), (column,), label)
    return found.skill, found.how


def test_a_feature_that_tells_the_label_is_seen_however_it_tells_it():
    assert skill(IS_SPAM, "bool") == (1.0, "value")
    codes = np.where(IS_SPAM, RANDOM.choice([3, 7], NUM_ROWS), RANDOM.choice([1, 5, 9], NUM_ROWS))
    assert skill(codes, "int64")[0] == 1.0  # no threshold separates the labels
    told, how = skill(RANDOM.normal(size=NUM_ROWS) + 30 * IS_SPAM, "float64")
    assert (told > 0.97, how) == (True, "bins")
    assert skill(np.where(IS_SPAM, " Junk", "fine"), "string") == (1.0, "value")
    filler = RANDOM.integers(0, 10**9, NUM_ROWS)
    words = [f"{number} this is {label.upper()}, {number}" for number, label in zip(filler, LABELS, strict=True)]
    assert skill(words, "string") == (1.0, "words")


def test_what_does_not_tell_the_label_is_not_called_a_leak():
    assert skill(np.arange(NUM_ROWS), "int64")[0] < 0.1
    assert abs(skill([f"row {at}" for at in range(NUM_ROWS)], "string")[0]) < 1e-9
    assert skill(RANDOM.normal(size=NUM_ROWS), "float64")[0] < 0.1
    assert skill(["hamster and spam-free" for _ in range(NUM_ROWS)], "string")[0] <= 0  # a word within a word
    useful = np.where(RANDOM.random(NUM_ROWS) < 0.1, ~IS_SPAM, IS_SPAM)
    assert 0.3 < skill(useful, "bool")[0] < 0.7


def test_a_label_of_numbers_is_cut_into_tenths_and_one_that_never_changes_cannot_be_told():
    label = FrozenColumn(name="label", role="label", type="float64")
    values = RANDOM.normal(size=NUM_ROWS)
    assert skill(values * 3 - 1, "float64", label=label, labels=values)[0] > 0.95
    assert skill(RANDOM.normal(size=NUM_ROWS), "float64", label=label, labels=values)[0] < 0.1
    assert skill(values, "float64", label=label, labels=np.zeros(NUM_ROWS))[0] == 0.0
