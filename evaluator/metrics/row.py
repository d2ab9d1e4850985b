"""Row scores: the measures that give one number per row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from assay.evaluator.metrics import custom, operating_point
from assay.evaluator.metrics.predictions import Predictions, RowNumbers, label_index
from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.column import FrozenColumn
from assay.manifests.metric import Metric, Values

_EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Some rows with a variant's predictions: what row scores are computed from.

    Attributes:
        predictions: The variant's predictions.
        labels: Shape (rows,): class indices, class names or values.
        label: The label column, which may name the classes.
        batch_size: Rows per call of a custom scorer.
        columns: The rows' other columns by name, for a custom scorer that takes them.
    """

    predictions: Predictions
    labels: np.ndarray
    label: FrozenColumn
    batch_size: int
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


def score(metric: Metric, rows: ScoredRows) -> np.ndarray:
    """Scores each row; `manifests.measures` says what each measure computes.

    Args:
        metric: The metric; its `scores_rows` is true.
        rows: The rows.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label is not one of the variant's classes, or a score is not finite.
        VariantError: The custom scorer does not exist.
    """
    assert metric.scores_rows, "the caller asks only for metrics that have row scores"
    scores = SCORERS[metric.measure](metric, rows)
    bad = np.flatnonzero(~np.isfinite(scores))
    if bad.size:
        row = bad[0]
        raise PredictionError(
            f"row {rows.predictions.rows[row]}: {metric.measure} is {scores[row]}; "
            f"the prediction is {rows.predictions.prediction[row]}, the label {rows.labels[row]}"
        )
    return scores


def of_classes(
    metric: Metric, prediction: np.ndarray, labels: np.ndarray, *, rows: RowNumbers = RowNumbers()
) -> np.ndarray:
    """Scores each row by its predicted class: `accuracy` and `value_per_row`, also after the rows were scored.

    Args:
        metric: The metric.
        prediction: Shape (rows,): the classes that are predicted at the metric's threshold.
        labels: Shape (rows,).
        rows: The indices of these rows in the dataset, for messages.

    Returns:
        float64 of shape (rows,).

    Raises:
        PredictionError: A label or a prediction has no value.
    """
    if metric.values is None:
        return (prediction == labels).astype(np.float64)
    return _values_of(metric.values, prediction, labels, rows=rows)


def _by_class(metric: Metric, rows: ScoredRows) -> np.ndarray:
    predictions, labels = rows.predictions, rows.labels
    if metric.values is None:
        _check_labels(rows)
    prediction = predictions.prediction
    if metric.threshold is not None:
        probabilities = predictions.probabilities
        assert probabilities is not None, "the suite allows a threshold only for outputs with probabilities"
        prediction = operating_point.predicted(probabilities, threshold=metric.threshold, label=rows.label)
    return of_classes(metric, prediction, labels, rows=predictions.rows)


def _check_labels(rows: ScoredRows) -> None:
    """Checks that labels are classes: a label outside the classes is an error, not a wrong prediction."""
    if rows.predictions.num_classes is not None:
        _label_index(rows)
    elif rows.labels.dtype.kind not in ("OUT" if rows.label.classes else "iub"):
        raise PredictionError(
            f"the labels are {rows.labels.dtype}, but the predictions are {rows.predictions.prediction.dtype}; a class "
            "label must be an integer, or a string if the contract lists the label's classes"
        )


def _top_k_accuracy(metric: Metric, rows: ScoredRows) -> np.ndarray:
    assert metric.k is not None
    probabilities, index = _of_label(rows)
    of_label = probabilities[np.arange(len(index)), index][:, None]
    later = np.arange(probabilities.shape[1]) > index[:, None]
    ahead = (probabilities > of_label) | ((probabilities == of_label) & later)
    return (ahead.sum(axis=1) < metric.k).astype(np.float64)


def _log_loss(_metric: Metric, rows: ScoredRows) -> np.ndarray:
    probabilities, index = _of_label(rows)
    of_label = probabilities[np.arange(len(index)), index]
    return -np.log(np.clip(of_label, _EPSILON, 1 - _EPSILON))


def _brier(_metric: Metric, rows: ScoredRows) -> np.ndarray:
    probabilities, index = _of_label(rows)
    difference = probabilities.copy()
    difference[np.arange(len(index)), index] -= 1.0
    total = np.square(difference).sum(axis=1)
    return total / 2 if difference.shape[1] == 2 else total


def _absolute_error(_metric: Metric, rows: ScoredRows) -> np.ndarray:
    return np.abs(_error(rows))


def _squared_error(_metric: Metric, rows: ScoredRows) -> np.ndarray:
    return np.square(_error(rows))


def _absolute_percentage_error(_metric: Metric, rows: ScoredRows) -> np.ndarray:
    return np.abs(_error(rows)) / np.maximum(np.abs(rows.labels.astype(np.float64)), _EPSILON)


def _quantile_loss(metric: Metric, rows: ScoredRows) -> np.ndarray:
    assert metric.quantile is not None
    error = _error(rows)
    return np.maximum((1 - metric.quantile) * error, -metric.quantile * error)


def _custom(metric: Metric, rows: ScoredRows) -> np.ndarray:
    return custom.score(metric, rows.predictions, rows.labels, batch_size=rows.batch_size, columns=rows.columns)


SCORERS: Mapping[str, Callable[[Metric, ScoredRows], np.ndarray]] = MappingProxyType(
    {
        "accuracy": _by_class,
        "top_k_accuracy": _top_k_accuracy,
        "log_loss": _log_loss,
        "brier": _brier,
        "value_per_row": _by_class,
        "mae": _absolute_error,
        "squared_error": _squared_error,
        "absolute_percentage_error": _absolute_percentage_error,
        "quantile_loss": _quantile_loss,
        "custom": _custom,
    }
)
"""The function of every measure of rows."""


def _values_of(values: Values, prediction: np.ndarray, labels: np.ndarray, *, rows: RowNumbers) -> np.ndarray:
    """The value of each row's outcome, that is, of its pair of label and prediction."""
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
                f"row {rows[row]}: the metric's 'values' have no entry for the {title} {classes_R[row]}; "
                f"entries: {shown}"
            )
    return value_matrix[indices[0], indices[1]]


def _text(name: object) -> str:
    return name if isinstance(name, str) else str(int(name))  # pyright: ignore[reportArgumentType]


def _of_label(rows: ScoredRows) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities, and the index of each row's label in them."""
    probabilities = rows.predictions.probabilities
    assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
    return probabilities, _label_index(rows)


def _label_index(rows: ScoredRows) -> np.ndarray:
    predictions = rows.predictions
    assert predictions.num_classes is not None
    return label_index(rows.labels, label=rows.label, num_classes=predictions.num_classes, rows=predictions.rows)


def _error(rows: ScoredRows) -> np.ndarray:
    if rows.labels.dtype.kind not in "biuf":
        raise PredictionError(f"the labels are {rows.labels.dtype}, but the variant returns numbers (output: values)")
    return rows.predictions.prediction - rows.labels.astype(np.float64)
