"""The output of many batches becomes one array."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.evaluator.predictors import output
from assay.evaluator.predictors.output import BatchOutput, CollectedOutput, checked_output
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


NA = pd.NA
MASKED = np.ma.array([1, 2, 3], mask=[False, True, False])


@pytest.mark.parametrize(
    ("returned", "output", "expected", "absent"),
    [
        pytest.param([1, None, 2], "labels", [1, 1, 2], [1], id="integers"),
        pytest.param(["a", None, "b"], "labels", ["a", "a", "b"], [1], id="names"),
        pytest.param(pd.Series(["a", None, "b"]), "labels", ["a", "a", "b"], [1], id="series-of-names"),
        pytest.param(pd.Series([1, NA, 2], dtype="Int64"), "labels", [1, 1, 2], [1], id="nullable-integers"),
        pytest.param(np.array([1.0, np.nan, 2.0]), "labels", [1, 0, 2], [1], id="integers-with-nan"),
        pytest.param(np.array(["a", np.nan, "b"], dtype=object), "labels", ["a", "a", "b"], [1], id="names-with-nan"),
        pytest.param(MASKED, "labels", [1, 2, 3], [1], id="masked"),
        pytest.param([0.5, None, 0.25], "values", [0.5, 0.5, 0.25], [1], id="numbers"),
        pytest.param([[0.1, 0.9], None, [1, 0]], "probabilities", [[0.1, 0.9], [0.1, 0.9], [1, 0]], [1], id="rows"),
        pytest.param([None, None, None], "labels", None, [0, 1, 2], id="nothing"),
        pytest.param(
            {"output": [None, None, 1], "status": ["refused", None, "ok"]}, "labels", [1, 1, 1], [0, 1], id="statuses"
        ),
    ],
)
def test_missing_entries_are_rows_without_an_answer(returned, output, expected, absent):
    values, unanswered = checked_output(returned, output=output, num_rows=3, variant="v")
    assert (values if values is None else values.tolist()) == expected
    assert sorted(unanswered) == absent


def test_a_batch_without_any_answer_has_the_form_of_the_others():
    collected = CollectedOutput(variant="v")
    for returned in ([None, None], [[0.25, 0.75], [1, 0]], [None, None]):
        collected.add(checked_output(returned, output="probabilities", num_rows=2, variant="v"), num_rows=2)
    assert collected.joined().tolist() == [[0, 0], [0, 0], [0.25, 0.75], [1, 0], [0, 0], [0, 0]]
    assert sorted(collected.unanswered) == [0, 1, 4, 5]


def test_a_reason_may_have_characters_that_utf8_lacks():
    returned = {"output": [1, 2], "status": ["error", "ok"], "reason": ["bad \ud800 byte", None]}
    _, unanswered = checked_output(returned, output="labels", num_rows=2, variant="v")
    assert unanswered[0].reason == "bad \\ud800 byte"
