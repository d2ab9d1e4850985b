"""Row scores computed again from stored predictions, without the variant."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from assay.evaluator import list_columns
from assay.evaluator.metrics import row
from assay.evaluator.metrics.predictions import Predictions, RowNumbers
from assay.evaluator.predictors.predictor import PredictionError
from assay.evaluator.results import is_answered
from assay.manifests import Metric, Suite
from assay.manifests.column import FrozenColumn
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX


def contradicting_metrics(rows: pa.Table, suite: Suite, label: FrozenColumn) -> Iterator[str]:
    """The metrics whose stored scores do not follow from the stored labels and predictions.

    Scores of custom scorers, scores that are means over repeats, and those that need probabilities that are not
    stored cannot be computed again.

    Args:
        rows: Rows in the form of `UnitResult.table`.
        suite: The suite that they were scored with.
        label: The label column.
    """
    if suite.repeats > 1:
        return
    answered = rows.filter(pa.array(is_answered(rows)))
    has_probabilities = "probabilities" in answered.column_names
    metrics = [each for each in suite.metrics if _can_be_computed(each, has_probabilities=has_probabilities)]
    if not metrics or not len(answered):
        return
    matrix = list_columns.matrix(answered["probabilities"]) if has_probabilities else None
    predictions = Predictions(
        _values(answered["prediction"]),
        RowNumbers(rows["row_index"][0].as_py()),
        None if matrix is None else matrix.shape[1],
        None if matrix is None else lambda: matrix,
    )
    scored = row.ScoredRows(predictions, _values(answered["label"]), label, suite.batch_size)
    for metric in metrics:
        stored_R = answered[SCORE_COLUMN_PREFIX + metric.name].to_numpy()
        try:
            follows = np.allclose(row.score(metric, scored), stored_R, rtol=1e-9, atol=1e-12)
        except (PredictionError, ValueError, TypeError, IndexError):  # a label or a prediction may be anything
            follows = False
        if not follows:
            yield metric.name


def _can_be_computed(metric: Metric, *, has_probabilities: bool) -> bool:
    if not metric.scores_rows or metric.measure == "custom":
        return False
    return has_probabilities or not metric.needs_probabilities


def _values(column: pa.ChunkedArray) -> np.ndarray:
    values: Any = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values
