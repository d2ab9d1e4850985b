"""The output of many batches becomes one array."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.evaluator.predictors import output
from assay.evaluator.predictors.output import BatchOutput, CollectedOutput
from assay.evaluator.predictors.predictor import PredictionError


@pytest.mark.parametrize("block_bytes", [1, 100, output._BLOCK_BYTES])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 200), st.integers(1, 7), st.sampled_from([(), (3,)]), st.integers(0, 6))
def test_batches_are_joined_in_their_order_and_their_memory_may_be_used_again(
    monkeypatch, block_bytes, num_batches, size, shape, missing
):
    monkeypatch.setattr(output, "_BLOCK_BYTES", block_bytes)
    rows = np.arange(num_batches * size * int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    last = max(len(rows) - missing, len(rows) - size + 1)
    collected, memory = CollectedOutput(variant="a:b"), np.empty((size, *shape), np.float32)
    for start in range(0, last, size):
        memory[:] = rows[start : start + size]
        collected.add(BatchOutput(memory, {}), num_rows=min(size, last - start))
        memory[:] = -1
    np.testing.assert_array_equal(collected.joined(), rows[:last])


def test_batches_of_one_kind_may_differ_in_precision():
    collected = CollectedOutput(variant="a:b")
    for dtype in (np.float32, np.float64, np.float32):
        collected.add(BatchOutput(np.full(2, 1 / 3, dtype), {}), num_rows=2)
    np.testing.assert_array_equal(collected.joined(), [np.float32(1 / 3)] * 2 + [1 / 3] * 2 + [np.float32(1 / 3)] * 2)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (np.zeros((2, 4)), r"\(rows, 3\) for some batches and \(rows, 4\)"),
        (np.zeros((2, 3), dtype=object), "class names"),
    ],
)
def test_batches_of_two_kinds_are_refused(second, words):
    collected = CollectedOutput(variant="a:b")
    collected.add(BatchOutput(np.zeros((2, 3)), {}), num_rows=2)
    collected.add(BatchOutput(second, {}), num_rows=len(second))
    with pytest.raises(PredictionError, match=words):
        collected.joined()
