"""Predictions: turns a variant's raw output, in any of the declared forms, into predictions and probabilities.

Axes: R rows, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.base_variant import Output
from assay.manifests.column import FrozenColumn

SUM_TOLERANCE = 1e-4
"""How far the sum of a row's probabilities may differ from 1: enough for float32 softmax over 10,000 classes."""
_ROUNDING = 1e-6
"""How far a single probability may exceed 1 because of float32 rounding."""
_CACHED_NUMBERS = 32_768
_FEW_CLASSES = 32


@dataclass(frozen=True)
class Predictions:
    """A variant's predictions for some rows.

    Attributes:
        prediction: Shape (R,): the class index as int64; the class name (an object array of strings) if the label
            column names its classes; or the value as float64.
        first_row: The index of the first of these rows in the dataset, for messages.
        num_classes: C; None for `labels` and `values`.
    """

    prediction: np.ndarray
    first_row: int
    num_classes: int | None = None
    _made: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Shape (R, C), float64, in the order of the classes; computed on first use. None for `labels` and `values`."""
        return None if self._made is None else self._made()


def predictions_of(raw_RC: np.ndarray, *, output: Output, label: FrozenColumn, first_row: int = 0) -> Predictions:
    """Turns raw output into predictions.

    Logits become probabilities by softmax or, if there is one number per row, by the logistic function; that number
    belongs to the second of two classes. The predicted class is the one with the greatest logit or probability, and
    the first one among equals. With one number per row it is the second class if its probability exceeds 0.5.

    Args:
        raw_RC: The output for the real rows, without padding.
        output: The variant's declared output.
        label: The label column, which may name the classes.
        first_row: The index of the first of these rows in the dataset.

    Raises:
        PredictionError: An entry is not finite, not a probability or not a class. The message names the first such
            row.
    """
    classes = label.classes
    if output == "labels":
        return Predictions(_class_labels(raw_RC, first_row, classes), first_row)
    _raise_for_first(~np.isfinite(raw_RC), first_row, raw_RC, f"the {output} must be finite")
    if output == "values":
        return Predictions(raw_RC.astype(np.float64), first_row)
    if output == "probabilities":
        raw_RC = raw_RC.astype(np.float64)
        _check_probabilities(raw_RC, first_row)
        raw_RC = np.minimum(raw_RC, 1.0)
    if raw_RC.ndim == 1:
        index = (raw_RC > (0.0 if output == "logits" else 0.5)).astype(np.int64)
        num_classes = 2
    else:
        # The greatest logit, not the greatest probability: softmax may round different logits to equal probabilities.
        index = raw_RC.argmax(axis=1).astype(np.int64)
        num_classes = raw_RC.shape[1]
    if classes and num_classes != len(classes):
        raise PredictionError(
            f"the variant returns {output} for {num_classes} classes, but the label column has "
            f"{len(classes)}: {', '.join(classes[:5])}{', …' * (len(classes) > 5)}"
        )
    prediction = np.array(classes, dtype=object)[index] if classes else index
    return Predictions(prediction, first_row, num_classes, lambda: _probabilities(raw_RC, output))


def _probabilities(raw_RC: np.ndarray, output: Output) -> np.ndarray:
    if raw_RC.ndim == 2:
        return _softmax(raw_RC) if output == "logits" else raw_RC
    second = raw_RC.astype(np.float64)
    if output == "logits":
        return np.stack([_logistic(-second), _logistic(second)], axis=1)
    return np.stack([1.0 - second, second], axis=1)


def label_index(labels: np.ndarray, *, label: FrozenColumn, num_classes: int, first_row: int = 0) -> np.ndarray:
    """The index of each label's class, which is its column in the probabilities.

    Args:
        labels: Shape (R,): class indices or class names.
        label: The label column.
        num_classes: The number of classes that the variant predicts.
        first_row: The index of the first of these rows in the dataset, for messages.

    Returns:
        int64 of shape (R,).

    Raises:
        PredictionError: A label is not one of the classes.
    """
    classes = label.classes
    if classes:
        order = {name: index for index, name in enumerate(classes)}
        index = np.fromiter((order.get(name, -1) for name in labels), dtype=np.int64, count=len(labels))
    elif labels.dtype.kind in "iub":
        index = labels.astype(np.int64)
    else:
        raise PredictionError(
            f"the labels are {labels.dtype}, but the variant predicts {num_classes} classes; a class label must be an "
            "integer, or a string if the contract lists the label's classes"
        )
    shown = ", ".join(classes[:5]) + ", …" * (len(classes) > 5) if classes else f"0 to {num_classes - 1}"
    rule = f"the label must be one of the variant's {num_classes} classes ({shown})"
    _raise_for_first((index < 0) | (index >= num_classes), first_row, labels, rule)
    return index


def _class_labels(raw: np.ndarray, first_row: int, classes: tuple[str, ...]) -> np.ndarray:
    if not classes:
        if raw.dtype.kind not in "iub":
            raise PredictionError(
                f"row {first_row}: the variant returns class names ({raw[0]!r}), but the labels are numbers; return "
                "integers, or list the label's classes in the contract"
            )
        return raw.astype(np.int64)
    names = np.array(classes, dtype=object)
    shown = ", ".join(classes[:5]) + ", …" * (len(classes) > 5)
    rule = f"the predicted label must be one of the {len(classes)} classes of the label column ({shown})"
    if raw.dtype.kind in "iub":
        _raise_for_first((raw < 0) | (raw >= len(classes)), first_row, raw, rule)
        return names[raw.astype(np.int64)]
    _raise_for_first(np.array([name not in classes for name in raw], dtype=bool), first_row, raw, rule)
    return raw.astype(object)


def _check_probabilities(raw: np.ndarray, first_row: int) -> None:
    outside = (raw < 0) | (raw > 1 + (_ROUNDING if raw.ndim == 1 else SUM_TOLERANCE))
    _raise_for_first(
        outside, first_row, raw, "probabilities must be between 0 and 1; for other numbers declare output: logits"
    )
    if raw.ndim == 2:
        sums = raw.sum(axis=1)
        _raise_for_first(
            np.abs(sums - 1) > SUM_TOLERANCE,
            first_row,
            sums,
            f"the probabilities must sum to 1 within {SUM_TOLERANCE:g}",
        )


def _raise_for_first(bad: np.ndarray, first_row: int, values: np.ndarray, rule: str) -> None:
    """Raises a PredictionError that names the first bad row, if there is one.

    Args:
        bad: Shape (R,) or (R, C): which entries violate the rule.
        first_row: The index of the first of these rows in the dataset.
        values: The values, for the message; shape (R,) or (R, C).
        rule: The rule, for the message.
    """
    if not bad.any():
        return
    rows = np.flatnonzero(bad.any(axis=1) if bad.ndim == 2 else bad)
    row = rows[0]
    value = values[row][bad[row]][0] if values.ndim == 2 else values[row]
    more = f", and {rows.size - 1} of the other {len(bad) - 1} rows are wrong, too" if rows.size > 1 else ""
    raise PredictionError(f"row {first_row + row}: {rule}; got {value}{more}")


def _softmax(logits_RC: np.ndarray) -> np.ndarray:
    """Softmax in float64, in pieces that fit the CPU's cache. A row's result does not depend on the other rows.

    With few classes the numbers are stored and added column by column, for many rows at once. `sum(axis=1)` would not
    do: with this memory layout it adds the numbers of a single row in another order than those of one row among many.
    """
    num_rows, num_classes = logits_RC.shape
    are_few = num_classes <= _FEW_CLASSES
    rows_at_once = max(1, _CACHED_NUMBERS // num_classes)
    probabilities_RC = np.empty((num_rows, num_classes))
    for start in range(0, num_rows, rows_at_once):
        powers = logits_RC[start : start + rows_at_once].astype(np.float64, order="F" if are_few else "C")
        powers -= powers.max(axis=1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= (_row_sums(powers) if are_few else powers.sum(axis=1))[:, None]
        probabilities_RC[start : start + rows_at_once] = powers
    return probabilities_RC


def _row_sums(numbers_RC: np.ndarray) -> np.ndarray:
    """The sum of each row, added from the first number to the last."""
    total = numbers_RC[:, 0].copy()
    for column in numbers_RC.T[1:]:
        total += column
    return total


def _logistic(logits_R: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), computed from exp(-|x|) so that nothing overflows."""
    power = np.exp(-np.abs(logits_R))
    return np.where(logits_R >= 0, 1.0, power) / (1.0 + power)
