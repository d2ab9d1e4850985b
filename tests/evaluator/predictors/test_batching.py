import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluator.batches import Unit, padded
from assay.evaluator.predictors.batching import batches_of


@given(
    num_rows=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_chunks_leave_no_trace_in_batches(num_rows, batch_size, cuts):
    rows = {"x": np.arange(num_rows * 2).reshape(num_rows, 2), "t": np.array([str(row) for row in range(num_rows)])}
    edges = sorted({0, num_rows, *(cut for cut in cuts if cut < num_rows)})
    chunks = [{name: values[start:stop] for name, values in rows.items()} for start, stop in itertools.pairwise(edges)]
    unit = Unit(index=0, first_row=0, num_rows=num_rows, batch_size=batch_size)
    batches = list(batches_of(chunks, unit=unit))
    assert [batch.num_rows for batch in batches] == [span.stop - span.start for span in unit.batches()]
    for batch, span in zip(batches, unit.batches(), strict=True):
        for name, values in rows.items():
            np.testing.assert_array_equal(batch.features[name], padded(values[span], batch_size=batch_size))


def test_a_batch_within_a_chunk_is_a_view():
    column = np.arange(8)
    batches = list(batches_of([{"x": column}], unit=Unit(index=0, first_row=0, num_rows=8, batch_size=4)))
    assert all(np.shares_memory(batch.features["x"], column) for batch in batches)
