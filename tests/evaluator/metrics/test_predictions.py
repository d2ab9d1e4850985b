import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from assay.evaluator.metrics.predictions import answers_of, predictions_of
from assay.evaluator.predictors.predictor import PredictionError, Unanswered
from tests.evaluator.metrics.builders import label


@given(hnp.arrays(np.float32, (7, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_logits_become_scipys_softmax(logits):
    found = predictions_of(logits, output="logits", label=label())
    assert found.probabilities.dtype == np.float64
    np.testing.assert_allclose(found.probabilities, special.softmax(logits.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found.prediction, logits.argmax(axis=1))


@given(hnp.arrays(np.float32, (7,), elements=st.floats(-1e4, 1e4, width=32)))
def test_one_logit_a_row_stands_for_the_second_class(logits):
    found = predictions_of(logits, output="logits", label=label())
    np.testing.assert_allclose(
        found.probabilities[:, 1], special.expit(logits.astype(np.float64)), rtol=1e-12, atol=1e-300
    )
    np.testing.assert_allclose(
        found.probabilities[:, 0], special.expit(-logits.astype(np.float64)), rtol=1e-12, atol=1e-300
    )
    np.testing.assert_array_equal(found.prediction, (logits > 0).astype(np.int64))


@pytest.mark.parametrize("num_classes", [2, 10, 32, 33, 1000])
def test_a_row_has_the_same_probabilities_alone_and_among_many(num_classes):
    rows = 40_000 // num_classes + 7  # more than is worked on at once
    logits = np.random.default_rng(0).normal(scale=5, size=(rows, num_classes)).astype(np.float32)
    whole = predictions_of(logits, output="logits", label=label()).probabilities
    for row in (0, rows // 2, rows - 1):
        alone = predictions_of(logits[row : row + 1], output="logits", label=label()).probabilities
        np.testing.assert_array_equal(whole[row : row + 1], alone)
    np.testing.assert_allclose(whole, special.softmax(logits.astype(np.float64), axis=1), rtol=1e-12)
    assert whole.flags.c_contiguous  # written to the ledger as it lies


def test_the_greatest_logit_wins_where_softmax_sees_equals():
    found = predictions_of(np.array([[1e-20, 2e-20]]), output="logits", label=label())
    assert found.probabilities[0, 0] == found.probabilities[0, 1]
    assert found.prediction[0] == 1


def test_probabilities_stay_as_they_are():
    given_probabilities = np.array([[0.25, 0.75], [0.5, 0.5]])
    found = predictions_of(given_probabilities, output="probabilities", label=label())
    np.testing.assert_array_equal(found.probabilities, given_probabilities)
    assert found.prediction.tolist() == [1, 0]  # of equals the first


def test_one_probability_a_row_stands_for_the_second_class():
    found = predictions_of(np.array([0.2, 0.5, 0.8]), output="probabilities", label=label())
    np.testing.assert_allclose(found.probabilities, [[0.8, 0.2], [0.5, 0.5], [0.2, 0.8]])
    assert found.prediction.tolist() == [0, 0, 1]


def test_float32_softmax_over_many_classes_is_within_tolerance():
    logits = np.random.default_rng(0).normal(size=(20, 10_000)).astype(np.float32)
    powers = np.exp(logits)
    predictions_of(powers / powers.sum(axis=1, keepdims=True), output="probabilities", label=label())


def test_float32_rounding_above_one_is_cut_off():
    found = predictions_of(np.array([1.0000001], dtype=np.float32), output="probabilities", label=label())
    assert found.probabilities.tolist() == [[0.0, 1.0]]


def test_class_names_take_the_place_of_indices():
    found = predictions_of(np.array([[3.0, 1.0], [1.0, 3.0]]), output="logits", label=label("ham", "spam"))
    assert found.prediction.tolist() == ["ham", "spam"]
    assert predictions_of(np.array([1, 0]), output="labels", label=label("ham", "spam")).prediction.tolist() == [
        "spam",
        "ham",
    ]
    names = np.array(["spam", "ham"], dtype=object)
    assert predictions_of(names, output="labels", label=label("ham", "spam")).prediction.tolist() == [
        "spam",
        "ham",
    ]


def test_labels_and_values_have_no_probabilities():
    labels = predictions_of(np.array([3, 7], dtype=np.int32), output="labels", label=label())
    assert labels.prediction.dtype == np.int64
    assert labels.probabilities is None
    values = predictions_of(np.array([3.5, 7], dtype=np.float32), output="values", label=label())
    assert values.prediction.dtype == np.float64
    assert values.probabilities is None


@pytest.mark.parametrize(
    ("raw", "output", "classes", "expected"),
    [
        (
            np.array([[1.0, 2.0], [np.nan, 0.0], [np.inf, 0.0]]),
            "logits",
            (),
            {1: ["finite", "nan"], 2: ["finite", "inf"]},
        ),
        (np.array([0.0, 1.0, -np.inf]), "values", (), {2: ["finite", "-inf"]}),
        (np.array([[0.5, 0.5], [0.5, 0.4]]), "probabilities", (), {1: ["sum to 1", "0.9"]}),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), "probabilities", (), {1: ["between 0 and 1", "1.5", "logits"]}),
        (np.array([0.5, 0.5, 1.01]), "probabilities", (), {2: ["1.01"]}),
        (np.array([[np.nan, 0.5], [0.5, 0.5]]), "probabilities", (), {0: ["finite", "nan"]}),
        (np.array([0, 5, 1]), "labels", ("x", "y"), {1: ["one of the 2 classes", "5"]}),
        (np.array(["x", "q"], dtype=object), "labels", ("x", "y"), {1: ["q"]}),
    ],
)
def test_a_row_with_output_that_is_not_valid_has_no_answer(raw, output, classes, expected):
    found = answers_of(raw, output=output, label=label(*classes), first_row=40)
    assert found.unanswered.keys() == expected.keys()
    for row, words in expected.items():
        assert found.unanswered[row].status == "invalid"
        for word in words:
            assert word in found.unanswered[row].reason
    others = np.delete(raw, list(expected), axis=0)
    alone = predictions_of(others, output=output, label=label(*classes))
    assert found.predictions.prediction.tolist() == alone.prediction.tolist()
    assert [found.predictions.rows[place] for place in range(len(others))] == [
        40 + row for row in range(len(raw)) if row not in expected
    ]


def test_what_the_variant_says_itself_comes_first():
    said = Unanswered("refused", "not my field")
    found = answers_of(np.array([0.0, np.nan, 1.0]), output="values", label=label(), unanswered={1: said})
    assert found.unanswered == {1: said}
    assert found.is_answered(3).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("raw", "output", "classes", "named"),
    [
        (np.full((16, 2), 1.5), "probabilities", (), ["row 40:", "between 0 and 1", "other 15 rows"]),
        (np.full(16, np.nan), "values", (), ["row 40:", "finite"]),
        (np.array([[0.5, 0.5]]), "probabilities", ("x", "y", "z"), ["2 classes", "3", "x, y, z"]),
        (np.array(["x", "q"], dtype=object), "labels", (), ["class names", "labels are numbers"]),
    ],
)
def test_output_of_which_no_row_is_valid_is_not_what_was_declared(raw, output, classes, named):
    with pytest.raises(PredictionError) as caught:
        answers_of(raw, output=output, label=label(*classes), first_row=40)
    for word in named:
        assert word in str(caught.value)


def test_a_few_rows_without_valid_output_are_rows_without_an_answer():
    assert len(answers_of(np.full(15, np.nan), output="values", label=label()).unanswered) == 15
