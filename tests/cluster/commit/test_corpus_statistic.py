"""Corpus metrics of one arm against scikit-learn, for any cut of the rows, and the reasons why there is none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from assay.cluster.commit.corpus_statistic import STATISTICS
from assay.evaluator.metrics.predictions import predictions_of
from assay.manifests.measures import MEASURES
from tests.cluster.commit.corpus_values import corpus_value
from tests.evaluator.metrics import builders
from tests.evaluator.metrics.builders import label

CLASSIFIED = ("balanced_accuracy", "macro_f1", "matthews", "auroc", "calibration_error")
OF_TWO_CLASSES = ("precision", "recall", "f1")


def _computed(measure, prediction, probabilities, labels, *, classes=(), piece=7):
    metric = builders.metric(measure)
    return corpus_value(metric, prediction, probabilities, labels, label=label(*classes), piece=piece)


def test_every_measure_of_queries_and_datasets_has_a_function():
    assert set(STATISTICS) == {name for name, measure in MEASURES.items() if measure.level != "row"}


def _sample(seed, *, num_classes, num_rows=60, levels=None):
    """Logits that are weakly related to the labels; `levels` rounds them, which creates ties."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, num_rows - num_classes)])
    logits = rng.normal(size=(num_rows, num_classes))
    logits[np.arange(num_rows), labels] += 1
    if levels:
        logits = np.round(logits * levels) / levels
    return predictions_of(logits, output="logits", label=label()), labels


def _sklearn(measure, said, labels):
    probabilities = said.probabilities
    match measure:
        case "balanced_accuracy":
            return sklearn_metrics.balanced_accuracy_score(labels, said.prediction)
        case "matthews":
            return sklearn_metrics.matthews_corrcoef(labels, said.prediction)
        case "precision" | "recall" | "f1":
            return getattr(sklearn_metrics, f"{measure}_score")(labels, said.prediction)
        case "macro_f1":
            return sklearn_metrics.f1_score(labels, said.prediction, average="macro", zero_division=0)
        case "auroc" if probabilities.shape[1] == 2:
            return sklearn_metrics.roc_auc_score(labels, probabilities[:, 1])
        case "auroc":
            return sklearn_metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
        case "calibration_error":
            confidence, hit = probabilities.max(axis=1), said.prediction == labels
            accuracy, mean_confidence = calibration_curve(hit, confidence, n_bins=15)
            counts = np.histogram(np.ceil(confidence * 15), bins=np.arange(0.5, 16))[0]
            return np.abs(accuracy - mean_confidence) @ counts[counts > 0] / len(labels)


@pytest.mark.parametrize("measure", CLASSIFIED)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_classes=st.integers(2, 5), levels=st.sampled_from([None, 1]))
def test_class_metrics_agree_with_scikit_learn(measure, seed, num_classes, levels):
    said, labels = _sample(seed, num_classes=num_classes, levels=levels)
    found = _computed(measure, said.prediction, said.probabilities, labels)
    assert found.reason == ""
    assert found.value == pytest.approx(_sklearn(measure, said, labels), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("measure", OF_TWO_CLASSES)
def test_metrics_of_the_second_class_agree_with_scikit_learn(measure):
    for seed in range(20):
        said, labels = _sample(seed, num_classes=2)
        found = _computed(measure, said.prediction, None, labels)
        assert found.value == pytest.approx(_sklearn(measure, said, labels), rel=1e-12)
        names = np.array(["no", "yes"], dtype=object)
        by_name = _computed(measure, names[said.prediction], None, names[labels], classes=("no", "yes"))
        assert by_name == found


@pytest.mark.parametrize(
    ("measure", "prediction", "labels", "reason"),
    [
        ("precision", [0, 0], [0, 1], "no row is predicted as 1"),
        ("recall", [0, 1], [0, 0], "no row is labelled 1"),
        ("f1", [0, 0], [0, 0], "no row is labelled or predicted as 1"),
        ("f1", [0, 2], [0, 1], "f1 needs the two classes 0 and 1; got 2"),
        ("matthews", [1, 1], [0, 1], "every row is predicted as 1"),
        ("matthews", [0, 1], [0, 0], "every row is labelled 0"),
    ],
)
def test_an_undefined_class_metric_says_why(measure, prediction, labels, reason):
    found = _computed(measure, np.array(prediction), None, np.array(labels))
    assert (found.value, found.reason) == (None, reason)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([0.0, 1e6]))
def test_value_metrics_agree_with_scikit_learn(seed, offset):
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(offset, 1, 50), rng.normal(offset, 1, 50)
    found = _computed("rmse", values, None, labels).value
    assert found == pytest.approx(sklearn_metrics.root_mean_squared_error(labels, values), rel=1e-12)


@pytest.mark.parametrize("measure", CLASSIFIED)
def test_any_cut_of_the_rows_gives_the_same_number(measure):
    said, labels = _sample(3, num_classes=4)
    found = {
        _computed(measure, said.prediction, said.probabilities, labels, piece=piece).value for piece in (60, 59, 16, 1)
    }
    assert len(found) == 1


def test_class_names_are_the_same_as_class_numbers():
    said, labels = _sample(5, num_classes=3)
    classes = ("x", "y", "z")
    names = np.array(classes, dtype=object)
    for measure in CLASSIFIED:
        by_name = _computed(measure, names[said.prediction], said.probabilities, names[labels], classes=classes)
        assert by_name == _computed(measure, said.prediction, said.probabilities, labels)


def test_a_confidence_of_one_stays_in_the_last_bin():
    # (1 + 1 + 0.96 - 2) / 3: one bin for all three, as in Guo et al.; a bin of its own for 1.0 would give 0.3467
    probabilities = np.array([[0, 0, 1.0], [1.0, 0, 0], [0.96, 0.02, 0.02]])
    found = _computed("calibration_error", np.array([2, 0, 0]), probabilities, np.array([2, 1, 0]))
    assert found.value == pytest.approx(0.96 / 3)


def test_classes_are_those_that_occur_where_the_contract_names_none():
    # scikit-learn: labels of any value; before, negative ones and gaps were classes without rows
    labels, prediction = np.array([-1, 7, 7, -1, 10**9]), np.array([-1, 7, -1, -1, 7])
    found = _computed("macro_f1", prediction, None, labels)
    expected = sklearn_metrics.f1_score(labels, prediction, average="macro", zero_division=0)
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_many_classes_need_no_square_of_memory():
    labels = np.arange(200_000)
    assert _computed("macro_f1", labels, None, labels, piece=100_000).value == 1.0


@pytest.mark.parametrize(
    ("measure", "labels", "reason"),
    [
        ("auroc", [1, 1, 1], "every row is labelled 1"),
        ("auroc", [0, 0, 1], "no row is labelled 2"),
    ],
)
def test_what_cannot_be_measured_says_why(measure, labels, reason):
    labels = np.array(labels, dtype=np.int64)
    prediction = np.zeros(len(labels), dtype=np.int64)
    found = _computed(measure, prediction, np.full((len(labels), 3), 1 / 3), labels)
    assert found.value is None
    assert reason in found.reason


def test_a_sum_beyond_float64_is_not_testable():
    found = _computed("rmse", np.array([1e200]), None, np.array([0.0]))
    assert found.value is None
    assert "inf" in found.reason


@pytest.mark.parametrize(
    ("prediction", "labels", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], 1.0),  # one class only is no obstacle here
        ([1, 1, 1], [0, 0, 0], 0.0),
        ([0, 1, 2, 5], [0, 1, 1, 1], None),  # a class that is predicted and never true counts with F1 = 0
    ],
)
def test_macro_f1_of_degenerate_rows_agrees_with_scikit_learn(prediction, labels, expected):
    prediction, labels = np.array(prediction), np.array(labels)
    reference = sklearn_metrics.f1_score(labels, prediction, average="macro", zero_division=0)
    if expected is not None:
        assert reference == expected
    assert math.isclose(_computed("macro_f1", prediction, None, labels).value, reference, rel_tol=1e-15)
