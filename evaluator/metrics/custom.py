"""Custom scorers: a user's own function from a batch to one number a row."""

from typing import Any

import numpy as np

from assay.evaluator.metrics.predictions import Predictions
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.predictor import PredictionError


def score(scorer: str, predictions: Predictions, labels: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Calls `function(predictions, probabilities, labels)` with one batch after the other.

    The arrays are read-only views: `predictions` and `labels` of shape (rows,), `probabilities` (rows, classes) or
    None. What comes back is array-like of shape (rows,), finite.

    Args:
        scorer: `module:function`.
        predictions: What the variant said.
        labels: Shape (rows,).
        batch_size: Rows a call.

    Returns:
        float64 of shape (rows,).

    Raises:
        VariantError: There is no such function.
        PredictionError: It raises, or does not answer one finite number a row.
    """
    function = resolve_entrypoint(scorer)
    probabilities = predictions.probabilities
    scores = np.empty(len(labels))
    for first in range(0, len(labels), batch_size):
        rows = slice(first, min(first + batch_size, len(labels)))
        place = f"scorer {scorer}, rows {predictions.first_row + rows.start} to {predictions.first_row + rows.stop - 1}"
        given = [None if each is None else _read_only(each[rows]) for each in (predictions.prediction, probabilities)]
        try:
            returned = function(*given, _read_only(labels[rows]))
        except Exception as error:  # whatever the scorer's own code raises
            raise PredictionError(f"{place}: {type(error).__name__}: {error}") from error
        scores[rows] = _numbers(returned, rows.stop - rows.start, place)
        bad = np.flatnonzero(~np.isfinite(scores[rows]))
        if bad.size:
            row = first + int(bad[0])
            raise PredictionError(
                f"scorer {scorer}, row {predictions.first_row + row}: the score is {scores[row]}, which is not finite; "
                f"the prediction is {predictions.prediction[row]}, the label {labels[row]}"
            )
    return scores


def _numbers(returned: Any, num_rows: int, place: str) -> np.ndarray:
    try:
        found = np.asarray(returned)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionError(f"{place}: {type(returned).__name__} is no array: {error}; return an array") from None
    if found.shape != (num_rows,):
        raise PredictionError(f"{place}: the scores have shape {found.shape}; allowed: ({num_rows},), one for each row")
    if found.dtype.kind not in "fiub":
        raise PredictionError(f"{place}: the scores are {found.dtype}; allowed: real numbers")
    return found


def _read_only(given: np.ndarray) -> np.ndarray:
    view = given.view()
    view.flags.writeable = False
    return view
