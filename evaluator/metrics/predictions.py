"""Predictions: a variant's raw output as predictions and probabilities, whatever form it declared.

Axes: R rows, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.column import FrozenColumn
from assay.manifests.variant import Output

SUM_TOLERANCE = 1e-4
"""How far the probabilities of a row may sum from 1: wide enough for float32 softmax over 10,000 classes."""
_ROUNDING = 1e-6
"""How far one probability may exceed 1: float32 rounding."""
_CACHED_NUMBERS = 32_768
_FEW_CLASSES = 32


@dataclass(frozen=True)
class Predictions:
    """What a variant said of some rows.

    Attributes:
        prediction: Shape (R,): the class index as int64; the class name (an object array of strings) where the label
            column names its classes; or the value as float64.
        first_row: The dataset's index of the first of these rows, for messages.
        num_classes: C; None for `labels` and `values`.
    """

    prediction: np.ndarray
    first_row: int
    num_classes: int | None = None
    _made: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Shape (R, C), float64, in the order of the classes; made when asked for. None for `labels` and `values`."""
        return None if self._made is None else self._made()


def predictions_of(raw_RC: np.ndarray, *, output: Output, label: FrozenColumn, first_row: int = 0) -> Predictions:
    """Brings an answer into its one form.

    Logits become probabilities by softmax, or by the logistic function where there is one number a row, which
    then stands for the second of two classes. The predicted class is the one with the greatest logit or
    probability, the first of equals; with one number a row, the second class above a probability of one half.

    Args:
        raw_RC: The answer for the real rows alone: cut the padding off first, nothing is known of it.
        output: The variant's declared output.
        label: The label column, which says whether classes have names.
        first_row: The dataset's index of the first of these rows.

    Raises:
        PredictionError: An entry is not finite, is no probability, or is no class; the first such row is named.
    """
    classes = label.classes
    if output == "labels":
        return Predictions(_class_labels(raw_RC, first_row, classes), first_row)
    _refuse_first(~np.isfinite(raw_RC), first_row, raw_RC, f"the {output} must be finite")
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
        # The greatest logit, not the greatest probability: softmax makes equals of neighbours.
        index = raw_RC.argmax(axis=1).astype(np.int64)
        num_classes = raw_RC.shape[1]
    if classes and num_classes != len(classes):
        raise PredictionError(
            f"the variant answers with {output} for {num_classes} classes, but the label column names "
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
    """The column of the probabilities that belongs to each label.

    Args:
        labels: Shape (R,): class indices, or class names.
        label: The label column.
        num_classes: The number of columns.
        first_row: The dataset's index of the first of these rows, for messages.

    Returns:
        int64 of shape (R,).

    Raises:
        PredictionError: A label is none of the classes.
    """
    classes = label.classes
    if classes:
        order = {name: index for index, name in enumerate(classes)}
        index = np.fromiter((order.get(name, -1) for name in labels), dtype=np.int64, count=len(labels))
    elif labels.dtype.kind in "iub":
        index = labels.astype(np.int64)
    else:
        raise PredictionError(
            f"the labels are {labels.dtype}, but the variant answers with {num_classes} classes; "
            "a class label is a whole number, or a string with the contract's classes"
        )
    known = ", ".join(classes[:5]) + ", …" * (len(classes) > 5) if classes else f"0 to {num_classes - 1}"
    outside = (index < 0) | (index >= num_classes)
    _refuse_first(outside, first_row, labels, f"the label must be one of the variant's {num_classes} classes ({known})")
    return index


def _class_labels(raw: np.ndarray, first_row: int, classes: tuple[str, ...]) -> np.ndarray:
    if not classes:
        if raw.dtype.kind not in "iub":
            raise PredictionError(
                f"row {first_row}: the variant answers with class names ({raw[0]!r}), but the labels are numbers"
            )
        return raw.astype(np.int64)
    names = np.array(classes, dtype=object)
    known = f"the label must be one of the {len(classes)} classes of the label column"
    if raw.dtype.kind in "iub":
        _refuse_first((raw < 0) | (raw >= len(classes)), first_row, raw, known)
        return names[raw.astype(np.int64)]
    _refuse_first(np.array([name not in classes for name in raw], dtype=bool), first_row, raw, known)
    return raw.astype(object)


def _check_probabilities(raw: np.ndarray, first_row: int) -> None:
    outside = (raw < 0) | (raw > 1 + (_ROUNDING if raw.ndim == 1 else SUM_TOLERANCE))
    _refuse_first(
        outside, first_row, raw, "probabilities lie between 0 and 1; for other numbers declare output: logits"
    )
    if raw.ndim == 2:
        sums = raw.sum(axis=1)
        _refuse_first(
            np.abs(sums - 1) > SUM_TOLERANCE,
            first_row,
            sums,
            f"the probabilities must sum to 1 within {SUM_TOLERANCE:g}",
        )


def _refuse_first(bad: np.ndarray, first_row: int, values: np.ndarray, rule: str) -> None:
    if not bad.any():
        return
    rows = np.flatnonzero(bad.any(axis=1) if bad.ndim == 2 else bad)
    row = rows[0]
    value = values[row][bad[row]][0] if values.ndim == 2 else values[row]
    more = f" ({rows.size - 1} more of {len(bad)} rows)" if rows.size > 1 else ""
    raise PredictionError(f"row {first_row + row}: {rule}; found {value}{more}")


def _softmax(logits_RC: np.ndarray) -> np.ndarray:
    """Softmax in float64, in pieces that stay in the cache; what a row gets does not depend on the others.

    Few classes are laid out and added up column by column, many rows at once. Not by `sum(axis=1)`: of that layout it
    adds a lone row in another order than one among many.
    """
    num_rows, num_classes = logits_RC.shape
    are_few = num_classes <= _FEW_CLASSES
    rows_at_once = max(1, _CACHED_NUMBERS // num_classes)
    probabilities_RC = np.empty((num_rows, num_classes))
    for start in range(0, num_rows, rows_at_once):
        powers = logits_RC[start : start + rows_at_once].astype(np.float64, order="F" if are_few else "C")
        powers -= powers.max(axis=1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= (_added_up(powers) if are_few else powers.sum(axis=1))[:, None]
        probabilities_RC[start : start + rows_at_once] = powers
    return probabilities_RC


def _added_up(numbers_RC: np.ndarray) -> np.ndarray:
    """The sum of each row, from its first number to its last."""
    total = numbers_RC[:, 0].copy()
    for column in numbers_RC.T[1:]:
        total += column
    return total


def _logistic(logits_R: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), computed from exp(-|x|) so that nothing overflows."""
    power = np.exp(-np.abs(logits_R))
    return np.where(logits_R >= 0, 1.0, power) / (1.0 + power)
