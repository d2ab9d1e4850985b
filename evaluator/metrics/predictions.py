"""Predictions: turns a variant's raw output, in any of the declared forms, into predictions and probabilities.

Axes: R rows, C classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from assay.evaluator.predictors.predictor import PredictionError, Unanswered
from assay.manifests.base_variant import Output
from assay.manifests.column import FrozenColumn

SUM_TOLERANCE = 1e-4
"""How far the sum of a row's probabilities may differ from 1: enough for float32 softmax over 10,000 classes."""
_ROUNDING = 1e-6
"""How far a single probability may exceed 1 because of float32 rounding."""
_ENOUGH_ROWS = 16
"""From how many rows on it cannot be chance that none of them is valid."""
_CACHED_NUMBERS = 32_768
_FEW_CLASSES = 32


@dataclass(frozen=True)
class RowNumbers:
    """The indices of some rows in the dataset, for messages.

    Attributes:
        first: The index of the first row of the unit.
        kept: The rows' places in the unit; None: they are all of its rows.
    """

    first: int = 0
    kept: np.ndarray | None = None

    def __getitem__(self, place: int) -> int:
        """The index of one of the rows in the dataset."""
        return self.first + (int(place) if self.kept is None else int(self.kept[place]))


@dataclass(frozen=True)
class Predictions:
    """A variant's predictions for some rows.

    Attributes:
        prediction: Shape (R,): the class index as int64; the class name (an object array of strings) if the label
            column names its classes; or the value as float64.
        rows: The indices of these rows in the dataset, for messages.
        num_classes: C; None for `labels` and `values`.
    """

    prediction: np.ndarray
    rows: RowNumbers
    num_classes: int | None = None
    _made: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Shape (R, C), float64, in the order of the classes; computed on first use. None for `labels` and `values`."""
        return None if self._made is None else self._made()


@dataclass(frozen=True)
class RowAnswers:
    """A variant's answers for the rows of a unit.

    Attributes:
        predictions: Predictions for the rows that have an answer.
        unanswered: The other rows, by their place in the unit, in order.
    """

    predictions: Predictions
    unanswered: Mapping[int, Unanswered]

    def is_answered(self, num_rows: int) -> np.ndarray:
        """Shape (num_rows,), bool: whether each row of the unit has an answer."""
        answered_R = np.ones(num_rows, dtype=bool)
        answered_R[list(self.unanswered)] = False
        return answered_R


def answers_of(
    raw_RC: np.ndarray,
    *,
    output: Output,
    label: FrozenColumn,
    first_row: int = 0,
    unanswered: Mapping[int, Unanswered] | None = None,
) -> RowAnswers:
    """Turns raw output into predictions. Rows whose output is not valid have the status `invalid`.

    Args:
        raw_RC: The output for the real rows, without padding.
        output: The variant's declared output.
        label: The label column, which may name the classes.
        first_row: The index of the first of these rows in the dataset.
        unanswered: The rows for which the variant says that it has no answer.

    Raises:
        PredictionError: None of at least `_ENOUGH_ROWS` rows has valid output, or the number of classes is wrong: the
            declared output is not what the variant returns.
    """
    none = dict(unanswered or {})
    invalid = {
        row: reason for row, reason in invalid_rows(raw_RC, output=output, label=label).items() if row not in none
    }
    if len(invalid) == len(raw_RC) >= _ENOUGH_ROWS:
        row, reason = next(iter(invalid.items()))
        more = f", and the other {len(raw_RC) - 1} rows are wrong, too" if len(raw_RC) > 1 else ""
        raise PredictionError(f"row {first_row + row}: {reason}{more}")
    none |= {row: Unanswered("invalid", reason) for row, reason in invalid.items()}
    if not none:
        return RowAnswers(predictions_of(raw_RC, output=output, label=label, rows=RowNumbers(first_row)), {})
    kept = np.delete(np.arange(len(raw_RC)), list(none))
    predictions = predictions_of(raw_RC[kept], output=output, label=label, rows=RowNumbers(first_row, kept))
    return RowAnswers(predictions, dict(sorted(none.items())))


def predictions_of(
    raw_RC: np.ndarray, *, output: Output, label: FrozenColumn, rows: RowNumbers = RowNumbers()
) -> Predictions:
    """Turns valid raw output into predictions.

    Logits become probabilities by softmax or, if there is one number per row, by the logistic function; that number
    belongs to the second of two classes. The predicted class is the one with the greatest logit or probability, and
    the first one among equals. With one number per row it is the second class if its probability exceeds 0.5.

    Args:
        raw_RC: The output of rows that are not among the `invalid_rows`.
        output: The variant's declared output.
        label: The label column, which may name the classes.
        rows: The indices of these rows in the dataset.

    Raises:
        PredictionError: The number of classes is not that of the label column.
    """
    classes = label.classes
    if output == "labels":
        if not classes or raw_RC.dtype.kind == "O":
            return Predictions(raw_RC if classes else raw_RC.astype(np.int64), rows)
        return Predictions(np.array(classes, dtype=object)[raw_RC.astype(np.int64)], rows)
    if output == "values":
        return Predictions(raw_RC.astype(np.float64), rows)
    if output == "probabilities":
        raw_RC = np.minimum(raw_RC.astype(np.float64), 1.0)
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
    return Predictions(prediction, rows, num_classes, lambda: _probabilities(raw_RC, output))


def invalid_rows(raw_RC: np.ndarray, *, output: Output, label: FrozenColumn) -> dict[int, str]:
    """The rows whose raw output is not what the variant declares, each with the reason.

    Raises:
        PredictionError: The variant returns class names although the labels are numbers.
    """
    found: dict[int, str] = {}
    if output == "labels":
        _find_unknown_classes(found, raw_RC, label.classes)
        return found
    _find(found, ~np.isfinite(raw_RC), raw_RC, f"the {output} must be finite")
    if output == "probabilities":
        raw_RC = raw_RC.astype(np.float64)
        outside = (raw_RC < 0) | (raw_RC > 1 + (_ROUNDING if raw_RC.ndim == 1 else SUM_TOLERANCE))
        rule = "probabilities must be between 0 and 1; for other numbers declare output: logits"
        _find(found, outside, raw_RC, rule)
        if raw_RC.ndim == 2:
            with np.errstate(invalid="ignore"):  # rows that are not finite were found above
                sums = raw_RC.sum(axis=1)
                are_wrong = np.abs(sums - 1) > SUM_TOLERANCE
            _find(found, are_wrong, sums, f"the probabilities must sum to 1 within {SUM_TOLERANCE:g}")
    return found


def _probabilities(raw_RC: np.ndarray, output: Output) -> np.ndarray:
    if raw_RC.ndim == 2:
        return _softmax(raw_RC) if output == "logits" else raw_RC
    second = raw_RC.astype(np.float64)
    if output == "logits":
        return np.stack([_logistic(-second), _logistic(second)], axis=1)
    return np.stack([1.0 - second, second], axis=1)


def label_index(
    labels: np.ndarray, *, label: FrozenColumn, num_classes: int, rows: RowNumbers = RowNumbers()
) -> np.ndarray:
    """The index of each label's class, which is its column in the probabilities.

    Args:
        labels: Shape (R,): class indices or class names.
        label: The label column.
        num_classes: The number of classes that the variant predicts.
        rows: The indices of these rows in the dataset, for messages.

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
    bad = np.flatnonzero((index < 0) | (index >= num_classes))
    if bad.size:
        more = f", and {bad.size - 1} of the other {len(labels) - 1} rows are wrong, too" if bad.size > 1 else ""
        raise PredictionError(f"row {rows[bad[0]]}: {rule}; got {labels[bad[0]]}{more}")
    return index


def _find_unknown_classes(found: dict[int, str], raw: np.ndarray, classes: tuple[str, ...]) -> None:
    if not classes:
        if raw.dtype.kind not in "iub":
            raise PredictionError(
                f"the variant returns class names ({raw[0]!r}), but the labels are numbers; return integers, or list "
                "the label's classes in the contract"
            )
        return
    shown = ", ".join(classes[:5]) + ", …" * (len(classes) > 5)
    rule = f"the predicted label must be one of the {len(classes)} classes of the label column ({shown})"
    if raw.dtype.kind in "iub":
        _find(found, (raw < 0) | (raw >= len(classes)), raw, rule)
    else:
        known = frozenset(classes)
        _find(found, np.array([name not in known for name in raw], dtype=bool), raw, rule)


def _find(found: dict[int, str], bad: np.ndarray, values: np.ndarray, rule: str) -> None:
    """Adds the rows that violate a rule, unless they violate an earlier one.

    Args:
        found: The rows so far.
        bad: Shape (R,) or (R, C): which entries violate the rule.
        values: The values, for the reason; shape (R,) or (R, C).
        rule: The rule, for the reason.
    """
    if not bad.any():
        return
    for row in np.flatnonzero(bad.any(axis=1) if bad.ndim == 2 else bad).tolist():
        value = values[row][bad[row]][0] if values.ndim == 2 else values[row]
        found.setdefault(row, f"{rule}; got {value}")


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
