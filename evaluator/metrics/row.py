"""Row scorers: one number for each row."""

import numpy as np

from evaluator.metrics.outputs import Predictions, label_index
from evaluator.predictors.base import PredictionError
from manifests.contract import Column
from manifests.metric import RowMeasure

_EPSILON = np.finfo(np.float64).eps


def score(measure: RowMeasure, predictions: Predictions, labels: np.ndarray, *, label: Column) -> np.ndarray:
    """Scores each row.

    `correct`: 1 if the predicted class is the label's, else 0. `log_loss`: -ln of the label's probability, clipped to
    [eps, 1 - eps] of float64. `brier`: the squared differences of the probabilities from the label's 0s and 1s, summed
    over the classes; with two classes half of that, which is the squared error of either one. Both as scikit-learn's
    `log_loss` and `brier_score_loss(scale_by_half="auto")`, whose means these are. `absolute_error`,
    `squared_error`: of the value.

    Args:
        measure: What is computed.
        predictions: What the variant said.
        labels: Shape (rows,): class indices, class names, or values.
        label: The label column, which says whether classes have names.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label is none of the variant's classes, or a score is not finite.
    """
    match measure:
        case "correct":
            scores = _correct(predictions, labels, label)
        case "log_loss":
            scores = _log_loss(predictions, labels, label)
        case "brier":
            scores = _brier(predictions, labels, label)
        case "absolute_error":
            scores = np.abs(_error(predictions, labels))
        case "squared_error":
            scores = np.square(_error(predictions, labels))
    rows = np.flatnonzero(~np.isfinite(scores))
    if rows.size:
        row = rows[0]
        raise PredictionError(
            f"row {predictions.first_row + row}: {measure} is {scores[row]}; "
            f"the prediction is {predictions.prediction[row]}, the label {labels[row]}"
        )
    return scores


def _correct(predictions: Predictions, labels: np.ndarray, label: Column) -> np.ndarray:
    if predictions.num_classes is not None:
        _label_index(predictions, labels, label)  # a label that no answer could match is a mistake, not a wrong answer
    elif labels.dtype.kind not in ("OUT" if label.classes else "iub"):
        raise PredictionError(f"the labels are {labels.dtype}, the predictions {predictions.prediction.dtype}")
    return (predictions.prediction == labels).astype(np.float64)


def _log_loss(predictions: Predictions, labels: np.ndarray, label: Column) -> np.ndarray:
    probabilities, index = _of_label(predictions, labels, label)
    of_label = probabilities[np.arange(len(index)), index]
    return -np.log(np.clip(of_label, _EPSILON, 1 - _EPSILON))


def _brier(predictions: Predictions, labels: np.ndarray, label: Column) -> np.ndarray:
    probabilities, index = _of_label(predictions, labels, label)
    difference = probabilities.copy()
    difference[np.arange(len(index)), index] -= 1.0
    total = np.square(difference).sum(axis=1)
    return total / 2 if difference.shape[1] == 2 else total


def _of_label(predictions: Predictions, labels: np.ndarray, label: Column) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities, and the column of each row's label in them."""
    probabilities = predictions.probabilities
    assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
    return probabilities, _label_index(predictions, labels, label)


def _label_index(predictions: Predictions, labels: np.ndarray, label: Column) -> np.ndarray:
    assert predictions.num_classes is not None
    return label_index(labels, label=label, num_classes=predictions.num_classes, first_row=predictions.first_row)


def _error(predictions: Predictions, labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "biuf":
        raise PredictionError(f"the labels are {labels.dtype}, but the variant answers with values")
    return predictions.prediction - labels.astype(np.float64)
