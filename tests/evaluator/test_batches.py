import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluator import batches

sizes = st.integers(1, 400)


@given(num_rows=sizes, shard_rows=sizes, batch_size=st.integers(1, 64))
def test_units_cover_every_row_once_in_whole_batches_of_the_global_grid(num_rows, shard_rows, batch_size):
    spans = []
    for unit in batches.units(num_rows, shard_rows=shard_rows, batch_size=batch_size):
        spans += [(unit.first_row + span.start, unit.first_row + span.stop) for span in unit.batches()]
    grid = [(start, min(start + batch_size, num_rows)) for start in range(0, num_rows, batch_size)]
    assert spans == grid


@given(num_rows=sizes, batch_size=st.integers(1, 64), shards=st.tuples(sizes, sizes))
def test_how_the_rows_are_sharded_does_not_change_the_batches(num_rows, batch_size, shards):
    first, second = (
        [
            (unit.first_row + span.start, span.stop - span.start)
            for unit in batches.units(num_rows, shard_rows=shard_rows, batch_size=batch_size)
            for span in unit.batches()
        ]
        for shard_rows in shards
    )
    assert first == second


def test_padding_repeats_the_last_row_and_leaves_full_batches_as_they_are():
    rows = np.arange(6).reshape(3, 2)
    assert batches.padded(rows, batch_size=3) is rows
    assert batches.padded(rows, batch_size=5).tolist() == [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]]
