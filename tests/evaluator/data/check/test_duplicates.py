"""Duplicate keys found by sorting digests, in memory and through the temporary file, compared with a dictionary."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluator.data.check.duplicates import NUM_KEPT, DuplicateFinder
from assay.evaluator.data.check.key_digests import KeyDigests, combined
from assay.manifests.column import FrozenColumn


def by_hand(keys, labels):
    first, first_of_pair = {}, {}
    duplicates, conflicts = [], []
    for row, (key, label) in enumerate(zip(keys, labels, strict=True)):
        if (key, label) in first_of_pair:
            duplicates.append((row, first_of_pair[key, label]))
        if key in first and labels[first[key]] != label:
            conflicts.append((row, first[key]))
        first.setdefault(key, row)
        first_of_pair.setdefault((key, label), row)
    return duplicates, conflicts


def repeats(keys, labels, *, room_bytes, chunk_rows):
    index = DuplicateFinder(room_bytes=room_bytes)
    keys, labels = np.array(keys, np.uint64), np.array(labels, np.uint64)
    for start in range(0, len(keys), chunk_rows):
        part = slice(start, start + chunk_rows)
        rows = np.arange(len(keys))[part]
        # Some keys share half a digest, and some the first byte that partitions the file: neither may matter.
        high = (keys[part] % np.uint64(3)) << np.uint64(55)
        index.add((high, keys[part]), rows, variants=labels[part])
    return index.finish()


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=120),
    room_bytes=st.sampled_from([0, 300, 1000, 1 << 20]),
    chunk_rows=st.integers(1, 50),
)
def test_duplicates_are_those_that_a_dictionary_finds(pairs, room_bytes, chunk_rows):
    keys, labels = [key for key, _ in pairs], [label for _, label in pairs]
    duplicates, conflicts = by_hand(keys, labels)
    answer = repeats(keys, labels, room_bytes=room_bytes, chunk_rows=chunk_rows)
    assert (answer.num_duplicates, answer.num_conflicts) == (len(duplicates), len(conflicts))
    assert [(each.row, each.first_row) for each in answer.duplicates] == duplicates[: NUM_KEPT - 1]
    assert [(each.row, each.first_row) for each in answer.conflicts] == conflicts[: NUM_KEPT - 1]


def test_a_key_of_all_rows_takes_no_room():
    index = DuplicateFinder(room_bytes=100_000)
    for start in range(0, 1_000_000, 10_000):
        zeros = np.zeros(10_000, np.uint64)
        index.add((zeros, zeros), np.arange(start, start + 10_000))
    assert index._file is not None
    assert index._file.tell() < 100 * 10 * 40
    assert index.finish().num_duplicates == 999_999


COLUMNS = [
    (FrozenColumn(name="k", role="feature", type="float64"), [0.0, 1.0, -1.0, 2.0**-1074, 3.0, None]),
    (FrozenColumn(name="k", role="feature", type="int64"), [0, 1, -1, 2**63 - 1, -(2**63), None]),
    (FrozenColumn(name="k", role="feature", type="uint8"), [0, 1, 255, None]),
    (FrozenColumn(name="k", role="feature", type="bool"), [False, True, None]),
    (FrozenColumn(name="k", role="feature", type="string"), ["", "a", "b", "a" * 12, "a" * 13, "A", "\0", "a\0", None]),
]


@pytest.mark.parametrize(("column", "values"), COLUMNS, ids=[column.type for column, _ in COLUMNS])
def test_different_values_have_different_digests_and_equal_ones_equal_digests(column, values):
    from assay.evaluator.data.ingest import arrow_type

    table = pa.table({"k": pa.array(values * 2, arrow_type(column))})
    first, second = combined([KeyDigests([column]).column_words(table)["k"]])
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(values)
    assert first.tolist()[: len(values)] == first.tolist()[len(values) :]
    assert len(set(second.tolist())) == len(values)


def test_tensors_are_told_apart_by_their_elements_and_zeros_are_alike():
    column = FrozenColumn(name="k", role="feature", type="float32", shape=(2,))
    values = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.5]], np.float32)
    table = pa.table({"k": pa.FixedShapeTensorArray.from_numpy_ndarray(values)})
    first, _ = KeyDigests([column]).column_words(table)["k"]
    assert first[0] == first[1]
    assert len(set(first.tolist())) == 3


def test_the_order_of_columns_counts():
    columns = [FrozenColumn(name=name, role="feature", type="string") for name in "ab"]
    table = pa.table({"a": ["x", "y"], "b": ["y", "x"]})
    words = KeyDigests(columns).column_words(table)
    first, _ = combined([words["a"], words["b"]])
    assert first[0] != first[1]
