"""Row scorers: one number for each row."""

import numpy as np

from assay.evaluator.metrics import custom, operating_point
from assay.evaluator.metrics.predictions import Predictions, label_index
from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.column import FrozenColumn
from assay.manifests.metric import Metric, Values

_EPSILON = np.finfo(np.float64).eps


def score(
    metric: Metric, predictions: Predictions, labels: np.ndarray, *, label: FrozenColumn, batch_size: int
) -> np.ndarray:
    """Scores each row.

    `correct`: 1 if the predicted class is the label's, else 0. `top_k_accuracy`: 1 if the label's class is among the k
    likeliest, of equals the last, as scikit-learn's `top_k_accuracy_score`. `log_loss`: -ln of the label's
    probability, clipped to [eps, 1 - eps] of float64. `brier`: the squared differences of the probabilities from the
    label's 0s and 1s, summed over the classes; with two classes half of that, which is the squared error of either
    one. Both as scikit-learn's `log_loss` and `brier_score_loss(scale_by_half="auto")`, whose means these are.
    `value_per_row`: what the metric's values say of label and prediction. `absolute_error`, `squared_error`: of the
    value. `absolute_percentage_error`: the absolute error over the label's size, at least eps, as in scikit-learn's
    `mean_absolute_percentage_error`. `quantile_loss`: as scikit-learn's `mean_pinball_loss`. `custom`: the scorer's.

    Args:
        metric: What is computed; its `row_measure` is not None.
        predictions: What the variant said.
        labels: Shape (rows,): class indices, class names, or values.
        label: The label column, which says whether classes have names.
        batch_size: Rows that a custom scorer is given at once.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label is none of the variant's classes, or a score is not finite.
        VariantError: There is no such scorer.
    """
    measure = metric.row_measure
    match measure:
        case "correct":
            scores = _correct(predictions, labels, label)
        case "top_k_accuracy":
            assert metric.k is not None
            scores = _among_likeliest(predictions, labels, label, k=metric.k)
        case "log_loss":
            scores = _log_loss(predictions, labels, label)
        case "brier":
            scores = _brier(predictions, labels, label)
        case "value_per_row":
            assert metric.values is not None
            prediction = predictions.prediction
            if metric.threshold is not None:
                probabilities = predictions.probabilities
                assert probabilities is not None, "the suite allows a threshold only for outputs with probabilities"
                prediction = operating_point.predicted(probabilities, threshold=metric.threshold, label=label)
            scores = values_of(metric.values, prediction, labels, first_row=predictions.first_row)
        case "absolute_error":
            scores = np.abs(_error(predictions, labels))
        case "squared_error":
            scores = np.square(_error(predictions, labels))
        case "absolute_percentage_error":
            error = _error(predictions, labels)
            scores = np.abs(error) / np.maximum(np.abs(labels.astype(np.float64)), _EPSILON)
        case "quantile_loss":
            assert metric.quantile is not None
            error = _error(predictions, labels)
            scores = np.maximum((1 - metric.quantile) * error, -metric.quantile * error)
        case "custom":
            assert metric.scorer is not None
            scores = custom.score(metric.scorer, predictions, labels, batch_size=batch_size)
        case None:
            raise ValueError(f"metric '{metric.name}' has no scores of rows")
    rows = np.flatnonzero(~np.isfinite(scores))
    if rows.size:
        row = rows[0]
        raise PredictionError(
            f"row {predictions.first_row + row}: {measure} is {scores[row]}; "
            f"the prediction is {predictions.prediction[row]}, the label {labels[row]}"
        )
    return scores


def _correct(predictions: Predictions, labels: np.ndarray, label: FrozenColumn) -> np.ndarray:
    if predictions.num_classes is not None:
        _label_index(predictions, labels, label)  # a label that no answer could match is a mistake, not a wrong answer
    elif labels.dtype.kind not in ("OUT" if label.classes else "iub"):
        raise PredictionError(f"the labels are {labels.dtype}, the predictions {predictions.prediction.dtype}")
    return (predictions.prediction == labels).astype(np.float64)


def _among_likeliest(predictions: Predictions, labels: np.ndarray, label: FrozenColumn, *, k: int) -> np.ndarray:
    probabilities, index = _of_label(predictions, labels, label)
    of_label = probabilities[np.arange(len(index)), index][:, None]
    later = np.arange(probabilities.shape[1]) > index[:, None]
    ahead = (probabilities > of_label) | ((probabilities == of_label) & later)
    return (ahead.sum(axis=1) < k).astype(np.float64)


def values_of(values: Values, prediction: np.ndarray, labels: np.ndarray, *, first_row: int = 0) -> np.ndarray:
    """What the outcome of each row is worth.

    Args:
        values: Label, then prediction, then value.
        prediction: Shape (rows,), as `Predictions.prediction`.
        labels: Shape (rows,).
        first_row: The dataset's index of the first of these rows, for messages.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label or a prediction has no value.
    """
    names = list(values)
    worth = np.array([[values[name][other] for other in names] for name in names])
    order = {name: number for number, name in enumerate(names)}
    places = []
    for words, given in (("label", labels), ("prediction", prediction)):
        kinds, kind_R = np.unique(given, return_inverse=True)
        place_K = np.array([order.get(_text(kind), -1) for kind in kinds.tolist()], dtype=np.int64)
        places.append(place_K[kind_R])
        if (places[-1] < 0).any():
            row = int(np.argmax(places[-1] < 0))
            known = ", ".join(names[:5]) + ", …" * (len(names) > 5)
            raise PredictionError(f"row {first_row + row}: the {words} {given[row]} has no value; valued are {known}")
    return worth[places[0], places[1]]


def _text(kind: object) -> str:
    return kind if isinstance(kind, str) else str(int(kind))  # pyright: ignore[reportArgumentType]


def _log_loss(predictions: Predictions, labels: np.ndarray, label: FrozenColumn) -> np.ndarray:
    probabilities, index = _of_label(predictions, labels, label)
    of_label = probabilities[np.arange(len(index)), index]
    return -np.log(np.clip(of_label, _EPSILON, 1 - _EPSILON))


def _brier(predictions: Predictions, labels: np.ndarray, label: FrozenColumn) -> np.ndarray:
    probabilities, index = _of_label(predictions, labels, label)
    difference = probabilities.copy()
    difference[np.arange(len(index)), index] -= 1.0
    total = np.square(difference).sum(axis=1)
    return total / 2 if difference.shape[1] == 2 else total


def _of_label(predictions: Predictions, labels: np.ndarray, label: FrozenColumn) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities, and the column of each row's label in them."""
    probabilities = predictions.probabilities
    assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
    return probabilities, _label_index(predictions, labels, label)


def _label_index(predictions: Predictions, labels: np.ndarray, label: FrozenColumn) -> np.ndarray:
    assert predictions.num_classes is not None
    return label_index(labels, label=label, num_classes=predictions.num_classes, first_row=predictions.first_row)


def _error(predictions: Predictions, labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "biuf":
        raise PredictionError(f"the labels are {labels.dtype}, but the variant answers with values")
    return predictions.prediction - labels.astype(np.float64)
