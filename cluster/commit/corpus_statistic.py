"""Builds what a metric without row scores is computed from, out of the score tables of one or several arms.

The table of metrics and the analysis both take their numbers from here, one arm or all of them at a time.

Axes: R rows, A arms, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa

from assay.evaluator import list_columns
from assay.evaluator.metrics import operating_point, row
from assay.evaluator.metrics.predictions import label_index
from assay.manifests import Metric
from assay.manifests.column import FrozenColumn
from assay.stats.corpus import class_counts, ranking
from assay.stats.corpus.calibration_error import NUM_BINS, Confidences
from assay.stats.corpus.class_counts import CLASS_METRICS
from assay.stats.corpus.corpus_samples import CorpusStatistic
from assay.stats.corpus.queries import QueryScores
from assay.stats.corpus.ranked import Ranked
from assay.stats.corpus.regression import ExplainedVariance, SquaredErrors

Source = Literal["predictions", "probabilities", "confidences"]
_COLUMNS: Mapping[Source, tuple[str, ...]] = MappingProxyType(
    {
        "predictions": ("prediction",),
        "probabilities": ("probabilities",),
        "confidences": ("prediction", "probabilities"),
    }
)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a metric needs of an arm's answers for some rows.

    Attributes:
        predictions_R: The predicted classes, at the metric's threshold if it has one, or the values; empty if the
            metric only needs probabilities.
        probabilities: R x K, or only those of the predicted classes, R; None if the metric needs none.
    """

    predictions_R: np.ndarray
    probabilities: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The rows that all arms have scored.

    Attributes:
        label: The label column.
        labels_R: The label of each row.
        queries_R: The name of each row's query, or None if there are no queries.
    """

    label: FrozenColumn
    labels_R: np.ndarray
    queries_R: np.ndarray | None


def source_of(metric: Metric) -> Source:
    """What a metric is computed from. Metrics of one source and threshold can share their `Answers`."""
    if metric.measure == "calibration_error":
        return "confidences"
    return "probabilities" if metric.definition.needs == "probabilities" else "predictions"


def columns_of(metric: Metric) -> list[str]:
    """The columns of the score tables that a metric is computed from, in addition to the label."""
    return ["probabilities"] if metric.has_threshold else list(_COLUMNS[source_of(metric)])


def answers_of(source: Source, table: pa.Table, *, threshold: float | None, label: FrozenColumn) -> Answers:
    """Takes from a score table what metrics of one source need.

    Args:
        source: The source.
        table: Rows of one arm.
        threshold: The threshold at which classes are predicted; None: the predictions are those of the table.
        label: The label column.
    """
    if source == "probabilities":
        return Answers(np.empty(0), list_columns.matrix(table["probabilities"]))
    if threshold is not None:
        second = list_columns.matrix(table["probabilities"])
        return Answers(operating_point.predicted(second, threshold=threshold, label=label))
    predictions_R = table["prediction"].to_numpy()
    if source == "predictions":
        return Answers(predictions_R)
    return Answers(predictions_R, list_columns.matrix(table["probabilities"]).max(axis=1))


def joined(pieces: Sequence[Answers]) -> Answers:
    """One arm's answers for all rows."""
    probabilities = [piece.probabilities for piece in pieces if piece.probabilities is not None]
    return Answers(
        np.concatenate([piece.predictions_R for piece in pieces]),
        np.concatenate(probabilities) if probabilities else None,
    )


def statistic_of(metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> np.ndarray | CorpusStatistic | str:
    """Row scores (R x A) of a measure of rows at an operating point, or the inputs of a corpus metric.

    Args:
        metric: The metric; its `scores_rows` is false.
        rows: The rows.
        arms: Every arm's answers for them.

    Returns:
        The scores, the statistic, or the reason why the metric is undefined for every arm.

    Raises:
        PredictionError: A label is not one of the variant's classes.
    """
    if metric.definition.level == "row":
        return np.column_stack([row.of_classes(metric, arm.predictions_R, rows.labels_R) for arm in arms])
    return STATISTICS[metric.measure](metric, rows, arms)


def _classes(metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> CorpusStatistic | str:
    names = rows.label.classes or ((0, 1) if metric.of_two_classes else None)
    return class_counts.of_predictions(metric.measure, rows.labels_R, _predictions_RA(arms), classes=names)


def _ranked(metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> CorpusStatistic | str:
    scores_ARK = [_probabilities(arm) for arm in arms]
    widths = {scores_RK.shape[1] for scores_RK in scores_ARK}
    if len(widths) > 1:
        return f"the arms predict different numbers of classes: {sorted(widths)}"
    width = widths.pop()
    index_R = label_index(rows.labels_R, label=rows.label, num_classes=width)
    columns = [1] if width == 2 else range(width)
    return Ranked(
        np.stack([np.column_stack([scores_RK[:, k] for scores_RK in scores_ARK]) for k in columns]),
        np.stack([index_R == k for k in columns]),
        "auroc" if metric.measure == "auroc" else "average_precision",
        rows.label.classes,
    )


def _confidences(_metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> CorpusStatistic:
    hits_RA = _predictions_RA(arms) == rows.labels_R[:, None]
    return Confidences(NUM_BINS, hits_RA, np.column_stack([_probabilities(arm) for arm in arms]))


def _squared_errors(_metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> CorpusStatistic:
    return SquaredErrors(_predictions_RA(arms) - rows.labels_R[:, None])


def _explained_variance(_metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> CorpusStatistic:
    return ExplainedVariance(_predictions_RA(arms) - rows.labels_R[:, None], rows.labels_R.astype(np.float64))


def _query_scores(metric: Metric, rows: LabelledRows, arms: Sequence[Answers]) -> CorpusStatistic | str:
    if rows.queries_R is None:
        return f"'{metric.name}' is compared query by query: plan.columns.cluster must name the query column"
    columns, query_R = [], np.empty(0, dtype=np.int64)
    for arm in arms:
        queries = ranking.queries(metric, arm.predictions_R, rows.labels_R, rows.queries_R)
        if isinstance(queries, str):
            return queries
        query_R = queries.query_R
        columns.append(queries.scores_Q[query_R])
    return QueryScores(np.column_stack(columns), query_R)


STATISTICS: Mapping[str, Callable[[Metric, LabelledRows, Sequence[Answers]], CorpusStatistic | str]] = MappingProxyType(
    {
        **dict.fromkeys(CLASS_METRICS, _classes),
        "auroc": _ranked,
        "average_precision": _ranked,
        "calibration_error": _confidences,
        "rmse": _squared_errors,
        "r2": _explained_variance,
        "ndcg": _query_scores,
        "mrr": _query_scores,
        "hit_rate": _query_scores,
    }
)
"""The function of every measure of queries and datasets."""


def _predictions_RA(arms: Sequence[Answers]) -> np.ndarray:
    return np.column_stack([arm.predictions_R for arm in arms])


def _probabilities(arm: Answers) -> np.ndarray:
    assert arm.probabilities is not None, "the suite allows these measures only for outputs with probabilities"
    return arm.probabilities
