"""Samples: the same rows in every arm, in any input order, or an error that names the rows."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.stats.errors import SamplesError
from assay.stats.samples.columns import from_long, from_wide, of_arms
from assay.stats.samples.samples import segment_names

LONG = {
    "arm": ["b", "a", "b", "a", "a", "b"],
    "row": [3, 1, 1, 2, 3, 2],
    "score": [0.3, 0.1, 0.4, 0.2, 0.9, 0.5],
    "segment": ["x", "y", "y", "x", "x", "x"],
}


def test_rows_are_lined_up_by_id():
    found = from_long(LONG["arm"], LONG["row"], LONG["score"], segment=LONG["segment"])
    assert found.arms == ("a", "b")
    assert found.row_ids.tolist() == [1, 2, 3]
    assert found.scores_RA.tolist() == [[0.1, 0.4], [0.2, 0.5], [0.9, 0.3]]
    assert found.segments_R is not None
    assert found.segments_R.tolist() == ["y", "x", "x"]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.booleans(), st.booleans())
def test_the_order_of_lines_never_shows(order, as_text, as_dictionary):
    def column(name):
        return [LONG[name][index] for index in order]

    rows = [f"row-{value}" for value in column("row")] if as_text else column("row")
    arm = pa.array(column("arm")).dictionary_encode() if as_dictionary else np.array(column("arm"))
    found = from_long(arm, rows, column("score"), cluster=column("segment"))
    assert found.arms == ("a", "b")
    assert found.scores_RA.tolist() == [[0.1, 0.4], [0.2, 0.5], [0.9, 0.3]]
    assert found.clusters_R is not None
    assert found.clusters_R.tolist() == [1, 0, 0]


def test_wide_and_long_are_the_same():
    wide = from_wide(("a", "b"), [3, 1, 2], [[0.9, 0.1, 0.2], [0.3, 0.4, 0.5]])
    long = from_long(LONG["arm"], LONG["row"], LONG["score"])
    assert wide.scores_RA.tolist() == long.scores_RA.tolist()
    assert wide.row_ids.tolist() == long.row_ids.tolist()


def test_rows_that_an_arm_lacks_are_kept_as_missing():
    found = from_long(["a", "a", "b", "b"], [1, 2, 2, 3], [1, 2, 3, 4])
    np.testing.assert_array_equal(found.scores_RA, [[1, np.nan], [2, 3], [np.nan, 4]])


def test_null_and_nan_scores_are_missing():
    found = from_long(["a", "a"], [1, 2], pa.array([None, float("nan")], pa.float64()))
    assert np.isnan(found.scores_RA).all()


def test_true_and_false_are_one_and_zero():
    assert from_long(["a", "a"], [1, 2], [True, False]).scores_RA.tolist() == [[1.0], [0.0]]


def test_repeats_are_averaged():
    found = from_long(["a"] * 4 + ["b"] * 4, [1, 1, 2, 2] * 2, [0, 1, 1, 1, 0, 0, 0, 1])
    assert found.num_repeats == 2
    assert found.scores_RA.tolist() == [[0.5, 0.0], [1.0, 0.5]]


def test_the_order_of_repeats_never_shows():
    values = [0.1, 0.2, 0.3, 1e16, 1.0, -1e16]
    forth = from_long(["a"] * 6, [1] * 6, values).scores_RA
    back = from_long(["a"] * 6, [1] * 6, values[::-1]).scores_RA
    assert forth.tobytes() == back.tobytes()


def test_dictionaries_that_differ_between_chunks_are_one():
    chunks = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()]
    found = from_long(pa.chunked_array(chunks), [1, 1, 2, 2], [1, 2, 3, 4])
    assert found.scores_RA.tolist() == [[2, 1], [3, 4]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a", "a", "a"], [1, 1, 2], [1, 2, 3]), "arm 'a', row 1.*occurs 2 times, other rows 1"),
        ((["a", "a", "b"], [1, 1, 1], [1, 2, 3]), "arm 'a' has 2 scores per row, arm 'b' has 1"),
        ((["a", "a"], [1, 2], [1, float("inf")]), "arm 'a', row 2.*infinite"),
        ((["a", "a"], [1, 2], ["x", "y"]), "not numbers"),
        ((["a", None], [1, 2], [1, 2]), "line 2.*has no arm"),
        ((["a", "a"], [1, None], [1, 2]), "line 2.*no id"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(arguments, words):
    with pytest.raises(SamplesError, match=words):
        from_long(*arguments)


@pytest.mark.parametrize(
    ("scores", "shown"),
    [([1.0, -1e151], "-1e\\+151"), ([0.0, 1e-141], "1e-141"), ([np.nan, -1e-141], "-1e-141")],
)
@pytest.mark.parametrize("row_id", [[1, 2], None])
def test_scores_whose_squares_leave_float64_are_refused(scores, shown, row_id):
    with pytest.raises(
        SamplesError, match=f"arm 'a', row .*score: .*outside the range of float64.*{shown}.*1e-140.*1e\\+150.*rescale"
    ):
        from_long(["a", "a"], row_id, scores)


@pytest.mark.parametrize("scores", [[0.0, 0.0], [np.nan, np.nan], [1e150, 1e-300], [1e-140, 0.0]])
def test_scores_at_the_ends_are_kept(scores):
    np.testing.assert_array_equal(from_wide(("a",), [1, 2], [scores]).scores_RA[:, 0], scores)


def test_a_row_in_two_segments_is_refused():
    with pytest.raises(SamplesError, match=r"row 1.*two different values of 'segment'"):
        from_long(["a", "b"], [1, 1], [1, 2], segment=["x", "y"])


def test_a_row_in_two_clusters_within_one_arm_is_refused():
    with pytest.raises(SamplesError, match="two different values of 'cluster'"):
        from_long(["a", "a"], [1, 1], [1, 2], cluster=[7, 8])


def test_an_unknown_arm_is_refused_with_a_guess():
    with pytest.raises(SamplesError, match="did you mean 'baseline'"):
        of_arms({"baseline": [1, 2]}).index("baselin")


def test_unpaired_scores_are_sorted_within_their_arm():
    found = from_long(["a", "b", "a", "b", "b"], None, [3, 9, 1, 7, 8])
    np.testing.assert_array_equal(found.scores_RA, [[1, 7], [3, 8], [np.nan, 9]])


def test_unpaired_ids_only_tell_repeats():
    found = from_long(["a", "a", "b", "b", "b", "b"], [1, 2, 5, 5, 6, 6], [3, 1, 9, 7, 8, 8], paired=False)
    np.testing.assert_array_equal(found.scores_RA, [[1, 8], [3, 8]])
    assert found.num_repeats == 2


def test_taken_rows_have_clusters_numbered_anew():
    found = from_wide(("a",), [1, 2, 3], [[1, 2, 3]], cluster=["p", "q", "r"]).subset(np.array([True, False, True]))
    assert found.clusters_R is not None
    assert found.clusters_R.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a", None], ["a", "(none)"]),
        (["(none)", None, "x"], ["(none)", "((none))", "x"]),
        (["((none))", "(none)", None], ["((none))", "(none)", "(((none)))"]),
        ([True, None], ["True", "(none)"]),
        (["(none)"], ["(none)"]),
    ],
)
def test_rows_of_no_segment_are_not_mixed_with_a_segment_of_that_name(values, names):
    assert segment_names(np.array(values, dtype=object)).tolist() == names
    found = from_wide(["a"], range(len(values)), np.zeros((len(values), 1)), segment=pa.array(values))
    assert found.segments_R is not None
    assert found.segments_R.tolist() == names
