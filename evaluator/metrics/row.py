"""Row scores: the metrics that give one number per row."""

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

    `correct`: 1 if the predicted class is the label, else 0. `top_k_accuracy`: 1 if the label is among the k most
    probable classes, where of equally probable classes the later ones come first, as in scikit-learn's
    `top_k_accuracy_score`. `log_loss`: -ln of the label's probability, clipped to [eps, 1 - eps] of float64. `brier`:
    the squared differences between the probabilities and the one-hot label, summed over the classes; with two classes
    half of that sum, which is the squared error of either class. The means of `log_loss` and `brier` are scikit-learn's
    `log_loss` and `brier_score_loss(scale_by_half="auto")`. `value_per_row`: the metric's value for the pair of label
    and prediction. `absolute_error`, `squared_error`: the error of the predicted value.
    `absolute_percentage_error`: the absolute error divided by the label's absolute value (at least eps), as in
    scikit-learn's `mean_absolute_percentage_error`. `quantile_loss`: as in scikit-learn's `mean_pinball_loss`.
    `custom`: the result of the user's scorer.

    Args:
        metric: The metric; its `row_measure` is not None.
        predictions: The variant's predictions.
        labels: Shape (rows,): class indices, class names or values.
        label: The label column, which may name the classes.
        batch_size: Rows per call of a custom scorer.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label is not one of the variant's classes, or a score is not finite.
        VariantError: The custom scorer does not exist.
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
            raise ValueError(f"metric '{metric.name}' has no row scores: it is a corpus metric")
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
        _label_index(predictions, labels, label)  # raises: a label outside the classes is an error, not a wrong answer
    elif labels.dtype.kind not in ("OUT" if label.classes else "iub"):
        raise PredictionError(
            f"the labels are {labels.dtype}, but the predictions are {predictions.prediction.dtype}; a class label must "
            "be an integer, or a string if the contract lists the label's classes"
        )
    return (predictions.prediction == labels).astype(np.float64)


def _among_likeliest(predictions: Predictions, labels: np.ndarray, label: FrozenColumn, *, k: int) -> np.ndarray:
    probabilities, index = _of_label(predictions, labels, label)
    of_label = probabilities[np.arange(len(index)), index][:, None]
    later = np.arange(probabilities.shape[1]) > index[:, None]
    ahead = (probabilities > of_label) | ((probabilities == of_label) & later)
    return (ahead.sum(axis=1) < k).astype(np.float64)


def values_of(values: Values, prediction: np.ndarray, labels: np.ndarray, *, first_row: int = 0) -> np.ndarray:
    """The value of each row's outcome, that is, of its pair of label and prediction.

    Args:
        values: The value by label, then by prediction.
        prediction: Shape (rows,), as in `Predictions.prediction`.
        labels: Shape (rows,).
        first_row: The index of the first of these rows in the dataset, for messages.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label or a prediction has no value.
    """
    names = list(values)
    value_matrix = np.array([[values[name][other] for other in names] for name in names])
    order = {name: number for number, name in enumerate(names)}
    indices = []
    for title, classes_R in (("label", labels), ("prediction", prediction)):
        classes_K, class_R = np.unique(classes_R, return_inverse=True)
        index_K = np.array([order.get(_text(each), -1) for each in classes_K.tolist()], dtype=np.int64)
        indices.append(index_K[class_R])
        if (indices[-1] < 0).any():
            row = int(np.argmax(indices[-1] < 0))
            shown = ", ".join(names[:5]) + ", …" * (len(names) > 5)
            raise PredictionError(
                f"row {first_row + row}: the metric's 'values' have no entry for the {title} {classes_R[row]}; "
                f"entries: {shown}"
            )
    return value_matrix[indices[0], indices[1]]


def _text(name: object) -> str:
    return name if isinstance(name, str) else str(int(name))  # pyright: ignore[reportArgumentType]


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
    """The probabilities, and the index of each row's label in them."""
    probabilities = predictions.probabilities
    assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
    return probabilities, _label_index(predictions, labels, label)


def _label_index(predictions: Predictions, labels: np.ndarray, label: FrozenColumn) -> np.ndarray:
    assert predictions.num_classes is not None
    return label_index(labels, label=label, num_classes=predictions.num_classes, first_row=predictions.first_row)


def _error(predictions: Predictions, labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "biuf":
        raise PredictionError(f"the labels are {labels.dtype}, but the variant returns numbers (output: values)")
    return predictions.prediction - labels.astype(np.float64)
