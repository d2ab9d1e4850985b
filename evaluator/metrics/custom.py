"""Custom scorers: a user's own function, which computes one number per row of a batch."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.evaluator.metrics.predictions import Predictions
from assay.evaluator.predictors.entrypoint import check_parameters, resolve_entrypoint
from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.metric import Metric
from assay.manifests.plain_text import error_text

_COLUMNS = "columns"
_NUM_PARAMETERS = 3


def takes_columns(function: Callable[..., Any]) -> bool:
    """Whether a scorer's fourth parameter is `columns`, so that it is given the row's other columns."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return False
    return names[_NUM_PARAMETERS : _NUM_PARAMETERS + 1] == [_COLUMNS]


def check(scorer: str) -> None:
    """Checks that a scorer exists and can be called as `score` calls it.

    Raises:
        VariantError: It does not exist, or its parameters differ.
    """
    function = resolve_entrypoint(scorer)
    given = {_COLUMNS: None} if takes_columns(function) else {}
    check_parameters(function, given, entrypoint=scorer, num_leading=_NUM_PARAMETERS)


def score(
    metric: Metric,
    predictions: Predictions,
    labels: np.ndarray,
    *,
    batch_size: int,
    columns: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Calls `function(predictions, probabilities, labels)` with one batch after another.

    The arguments are read-only: `predictions` and `labels` have shape (rows,); `probabilities` has shape
    (rows, classes), or is None. A function whose fourth parameter is `columns` is also given a dictionary of the rows'
    other columns, as a variant is given its inputs. The function returns an array-like object of shape (rows,) with
    finite numbers; if the metric's scale is binary, each is 0 or 1.

    Args:
        metric: The metric, with its scorer `module:function`.
        predictions: The variant's predictions.
        labels: Shape (rows,).
        batch_size: Rows per call.
        columns: The rows' other columns by name; needed only if the function takes them.

    Returns:
        float64 of shape (rows,).

    Raises:
        VariantError: The function does not exist.
        PredictionError: The function raises, or does not return one number per row that is allowed.
    """
    scorer = metric.scorer or ""
    function = resolve_entrypoint(scorer)
    has_columns = takes_columns(function)
    probabilities = predictions.probabilities
    scores = np.empty(len(labels))
    for first in range(0, len(labels), batch_size):
        rows = slice(first, min(first + batch_size, len(labels)))
        place = f"scorer {scorer}, rows {predictions.rows[rows.start]} to {predictions.rows[rows.stop - 1]}"
        outputs = [None if each is None else _read_only(each[rows]) for each in (predictions.prediction, probabilities)]
        more = {_COLUMNS: {name: _read_only(each[rows]) for name, each in columns.items()}} if has_columns else {}
        try:
            returned = function(*outputs, _read_only(labels[rows]), **more)
        except Exception as error:  # the scorer's own code may raise anything
            raise PredictionError(f"{place}: {error_text(error)}") from error
        scores[rows] = _numbers(returned, rows.stop - rows.start, place)
        _check_numbers(metric, predictions, labels, scores, rows=rows)
    return scores


def _check_numbers(
    metric: Metric, predictions: Predictions, labels: np.ndarray, scores: np.ndarray, *, rows: slice
) -> None:
    """Raises a PredictionError for the first of some scores that is not finite, or not of the metric's scale."""
    found = scores[rows]
    is_bad, rule = ~np.isfinite(found), "is not finite"
    if metric.is_binary and not is_bad.any():
        is_bad, rule = (found != 0) & (found != 1), "is neither 0 nor 1; return one of them, or remove 'scale: binary'"
    if is_bad.any():
        row = rows.start + int(is_bad.argmax())
        raise PredictionError(
            f"scorer {metric.scorer}, row {predictions.rows[row]}: the score is {scores[row]}, which {rule}; "
            f"the prediction is {predictions.prediction[row]}, the label {labels[row]}"
        )


def _numbers(returned: Any, num_rows: int, place: str) -> np.ndarray:
    try:
        scores = np.asarray(returned)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionError(
            f"{place}: the returned {type(returned).__name__} cannot be converted to an array: {error}; "
            "return an array with one number per row"
        ) from None
    if scores.shape != (num_rows,):
        raise PredictionError(
            f"{place}: the scores have shape {scores.shape}; allowed: ({num_rows},), one for each row"
        )
    if scores.dtype.kind not in "fiub":
        raise PredictionError(f"{place}: the scores are {scores.dtype}; allowed: real numbers")
    return scores


def _read_only(array: np.ndarray) -> np.ndarray:
    """A read-only copy: what a scorer writes in spite of the mark reaches no other scorer, and nothing that is stored."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy
