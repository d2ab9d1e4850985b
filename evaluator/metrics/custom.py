"""Custom scorers: a user's own function, which computes one number per row of a batch."""

from typing import Any

import numpy as np

from assay.evaluator.metrics.predictions import Predictions
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.predictor import PredictionError


def score(scorer: str, predictions: Predictions, labels: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Calls `function(predictions, probabilities, labels)` with one batch after another.

    The arguments are read-only views: `predictions` and `labels` have shape (rows,); `probabilities` has shape
    (rows, classes), or is None. The function returns an array-like object of shape (rows,) with finite numbers.

    Args:
        scorer: `module:function`.
        predictions: The variant's predictions.
        labels: Shape (rows,).
        batch_size: Rows per call.

    Returns:
        float64 of shape (rows,).

    Raises:
        VariantError: The function does not exist.
        PredictionError: The function raises, or does not return one finite number per row.
    """
    function = resolve_entrypoint(scorer)
    probabilities = predictions.probabilities
    scores = np.empty(len(labels))
    for first in range(0, len(labels), batch_size):
        rows = slice(first, min(first + batch_size, len(labels)))
        place = f"scorer {scorer}, rows {predictions.first_row + rows.start} to {predictions.first_row + rows.stop - 1}"
        outputs = [None if each is None else _read_only(each[rows]) for each in (predictions.prediction, probabilities)]
        try:
            returned = function(*outputs, _read_only(labels[rows]))
        except Exception as error:  # the scorer's own code may raise anything
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
    view = array.view()
    view.flags.writeable = False
    return view
