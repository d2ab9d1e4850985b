import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from assay.evaluator.metrics import row
from assay.evaluator.metrics.predictions import RowNumbers, predictions_of
from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.measures import MEASURES
from tests.evaluator.metrics import builders
from tests.evaluator.metrics.builders import label


def score(measure, predictions, labels, *, label, batch_size=8, **parameters):
    return row.score(builders.metric(measure, **parameters), row.ScoredRows(predictions, labels, label, batch_size))


def test_every_measure_of_rows_has_a_function():
    assert set(row.SCORERS) == {name for name, measure in MEASURES.items() if measure.level == "row"}


def _classified(seed, num_classes, *, num_rows=40, spread=3.0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=(num_rows, num_classes))
    return predictions_of(logits, output="logits", label=label()), rng.integers(0, num_classes, num_rows)


@given(seed=st.integers(0, 2**32 - 1), num_classes=st.integers(2, 6), spread=st.sampled_from([0.1, 3.0, 300.0]))
def test_means_of_row_scores_are_scikit_learns_metrics(seed, num_classes, spread):
    predictions, labels = _classified(seed, num_classes, spread=spread)
    names = list(range(num_classes))
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predictions.prediction),
        "log_loss": sklearn_metrics.log_loss(labels, predictions.probabilities, labels=names),
        "brier": sklearn_metrics.brier_score_loss(labels, predictions.probabilities, labels=names),
    }
    for measure, value in expected.items():
        scores = score(measure, predictions, labels, label=label())
        assert scores.dtype == np.float64
        assert scores.shape == labels.shape
        assert scores.mean() == pytest.approx(value, rel=1e-10, abs=1e-14)


def test_binary_brier_is_the_squared_error_of_the_positive_class():
    predictions = predictions_of(np.array([0.1, 0.9, 0.8, 0.3]), output="probabilities", label=label())
    # scikit-learn's documentation of brier_score_loss: 0.0375
    assert score("brier", predictions, np.array([0, 1, 1, 0]), label=label()).mean() == pytest.approx(0.0375)


def test_multiclass_brier_sums_over_the_classes():
    # scikit-learn's documentation of brier_score_loss: 0.146...
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.2, 0.2, 0.6]])
    classes = ("eggs", "ham", "spam")
    predictions = predictions_of(probabilities, output="probabilities", label=label(*classes))
    scores = score("brier", predictions, np.array(classes, dtype=object), label=label(*classes))
    assert scores.mean() == pytest.approx(0.44 / 3)


def test_a_certain_and_wrong_answer_costs_as_much_as_float64_can_tell():
    predictions = predictions_of(np.array([[1.0, 0.0], [0.0, 1.0]]), output="probabilities", label=label())
    found = score("log_loss", predictions, np.array([1, 1]), label=label())
    expected = [
        sklearn_metrics.log_loss([label], predictions.probabilities[[row]], labels=[0, 1])
        for row, label in enumerate([1, 1])
    ]
    np.testing.assert_array_equal(found, expected)


def test_errors_of_values():
    predictions = predictions_of(np.array([1.0, -2.0, 3.5]), output="values", label=label())
    labels = np.array([2, 2, 3], dtype=np.int32)
    assert score("mae", predictions, labels, label=label()).tolist() == [1.0, 4.0, 0.5]
    assert score("squared_error", predictions, labels, label=label()).tolist() == [1.0, 16.0, 0.25]


def test_class_labels_without_probabilities_can_be_correct():
    predictions = predictions_of(np.array([1, 0, 2]), output="labels", label=label())
    assert score("accuracy", predictions, np.array([1, 1, 2]), label=label()).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("raw", "output", "measure", "labels", "named"),
    [
        (np.eye(2), "logits", "log_loss", np.array([0, 2]), ["row 41:", "0 to 1", "got 2"]),
        (np.eye(2), "logits", "accuracy", np.array([-1, 0]), ["row 40:", "got -1"]),
        (np.eye(2), "logits", "accuracy", np.array([0.0, 1.0]), ["float64", "must be an integer"]),
        (np.array([1, 0]), "labels", "accuracy", np.array(["x", "y"], dtype=object), ["object", "int64"]),
        (np.array([1.0, 0.0]), "values", "mae", np.array([0.0, np.nan]), ["row 41:", "nan"]),
        (np.array([1.0, 1e200]), "values", "squared_error", np.array([0.0, 0.0]), ["row 41:", "inf"]),
        (
            np.array([1.0, 0.0]),
            "values",
            "squared_error",
            np.array(["x", "y"], dtype=object),
            ["object", "output: values"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_row_that_cannot_be_scored_is_refused(raw, output, measure, labels, named):
    predictions = predictions_of(raw, output=output, label=label(), rows=RowNumbers(40))
    with pytest.raises(PredictionError) as caught:
        score(measure, predictions, labels, label=label())
    for word in named:
        assert word in str(caught.value)
