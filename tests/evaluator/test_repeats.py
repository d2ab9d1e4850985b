"""Repeats over the same rows become one score per row."""

from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluator import repeats

SCORES = st.floats(-1e6, 1e6)


def tables(scores_PR) -> list[pa.Table]:
    return [
        pa.table(
            {
                "status": ["ok" if score is not None else "refused" for score in each],
                "reason": pa.array(
                    [None if score is not None else f"in repeat {number}" for score in each], pa.string()
                ),
                "prediction": pa.array(each, pa.float64()),
                "score_a": pa.array(each, pa.float64()),
            }
        )
        for number, each in enumerate(scores_PR)
    ]


@given(st.floats(allow_nan=False, allow_infinity=False).filter(bool), st.integers(1, 9))
def test_equal_scores_have_exactly_their_own_value_as_mean(score, num_passes):
    assert repeats.averaged(tables([[score]] * num_passes))["score_a"].to_pylist() == [score]


@given(st.integers(1, 6).flatmap(lambda size: st.lists(st.lists(SCORES, min_size=size, max_size=size), min_size=1)))
def test_a_row_has_the_mean_of_its_scores_and_else_what_the_first_pass_said(scores_PR):
    found = repeats.averaged(tables(scores_PR))
    exact = [float(sum(map(Fraction, row)) / len(row)) for row in zip(*scores_PR, strict=True)]
    assert found["score_a"].to_pylist() == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert found["prediction"].to_pylist() == scores_PR[0]


@given(st.permutations([1.0] * 2 + [0.0] * 5))
def test_the_order_of_right_and_wrong_does_not_show(scores_P):
    assert repeats.averaged(tables([[score] for score in scores_P]))["score_a"].to_pylist() == [2 / 7]


def test_a_row_without_an_answer_in_one_repeat_has_none():
    repeated = tables([[1.0, 2.0, None], [3.0, None, None], [5.0, None, 7.0]])
    found = repeats.averaged(repeated)
    assert found["status"].to_pylist() == ["ok", "refused", "refused"]
    assert found["reason"].to_pylist() == [None, "in repeat 1", "in repeat 0"]
    assert found["prediction"].to_pylist() == [1.0, None, None]
    assert found["score_a"].to_pylist() == [3.0, None, None]
    assert repeats.sums(repeated) == {"a": [1.0, 3.0, 5.0]}
