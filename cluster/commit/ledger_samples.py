"""The samples of one metric, on identical rows of every arm, from the columns of a run's scores."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from assay.cluster.commit import arm_metrics
from assay.evaluator import list_columns
from assay.evaluator.ledger.run_scores import RunScores
from assay.evaluator.metrics import operating_point, ranking, row
from assay.evaluator.metrics.corpus import NUM_BINS, CorpusValue
from assay.manifests import Metric, PlanColumns
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX
from assay.manifests.run import Run
from assay.stats.corpus.calibration_error import Confidences
from assay.stats.corpus.class_counts import CLASS_METRICS, Classes
from assay.stats.corpus.corpus_samples import CorpusStatistic, corpus_samples
from assay.stats.corpus.queries import QueryScores
from assay.stats.corpus.ranked import Ranked
from assay.stats.corpus.regression import ExplainedVariance, SquaredErrors
from assay.stats.samples.samples import Samples


def samples_of(scores: RunScores, metric: Metric, *, columns: PlanColumns) -> Samples:
    """The scores of one metric, rows x arms; for a corpus metric, its pseudo-values.

    Args:
        scores: The scores of the arms to compare, with `columns_of(metric, columns=columns)` kept.
        metric: The metric.
        columns: The plan's segment and cluster columns.

    Raises:
        DamageError: The arms do not have the same rows, or scores of a binary metric are not 0 or 1.
    """
    run, arms, rows = scores.run, scores.arms, scores.rows()
    grouping = {
        "segments_R": rows[SEGMENT_COLUMN_PREFIX + columns.segment].to_numpy() if columns.segment else None,
        "clusters_R": np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1] if columns.cluster else None,
    }
    row_ids = rows["row_index"].to_numpy()
    if metric.row_measure is not None:
        statistic = scores.scores_RA(SCORE_COLUMN_PREFIX + metric.name)
    else:
        names = _predictions_of(metric)
        tables = [pa.Table.from_arrays([scores.predictions(arm, name) for name in names], names) for arm in arms]
        if metric.of_queries:
            statistic = _query_scores(metric, rows, tables, is_grouped=columns.cluster is not None)
        else:
            labels = rows["label"]
            control = tables[arms.index(run.experiment.suite.plan.control)].append_column("label", labels)
            threshold = arm_metrics.threshold(run, metric, control=control)
            statistic = _statistic(metric, run, labels.to_numpy(), tables, threshold)
    if isinstance(statistic, np.ndarray):
        return Samples(arms, statistic, row_ids, **grouping, num_repeats=run.experiment.suite.repeats)
    if isinstance(statistic, str):  # the reason why the metric is undefined
        nothing_RA = np.full((len(row_ids), len(arms)), np.nan)
        return Samples(arms, nothing_RA, row_ids, **grouping, corpus="unbounded", undefined=statistic)
    return corpus_samples(statistic, arms=arms, row_ids=row_ids, **grouping)


def columns_of(metric: Metric, *, columns: PlanColumns) -> list[str]:
    """The columns of the table `scores` that `samples_of` needs."""
    segment = [SEGMENT_COLUMN_PREFIX + columns.segment] if columns.segment else []
    groups = [*segment, "cluster"] if columns.cluster else segment
    if metric.row_measure is not None:
        return [SCORE_COLUMN_PREFIX + metric.name, *groups]
    return ["label", *_predictions_of(metric), *groups]


def _predictions_of(metric: Metric) -> list[str]:
    """What a metric without row scores is computed from, in addition to the labels."""
    if metric.measure == "calibration_error":
        return ["prediction", "probabilities"]
    return ["probabilities" if metric.of_probabilities else "prediction"]


def _statistic(
    metric: Metric, run: Run, labels_R: np.ndarray, of_arms: Sequence[pa.Table], threshold: CorpusValue
) -> np.ndarray | CorpusStatistic | str:
    """Row scores, or the inputs of a corpus metric, or the reason why the metric is undefined."""
    if threshold.reason:
        return threshold.reason
    match metric.measure:
        case "auroc" | "average_precision" as measure:
            return _ranked(measure, run, labels_R, of_arms)
        case "calibration_error":
            return Confidences(
                NUM_BINS,
                _stacked([table["prediction"].to_numpy() == labels_R for table in of_arms]),
                _stacked([list_columns.matrix(table["probabilities"]).max(axis=1) for table in of_arms]),
            )
    if threshold.value is None:
        predictions_RA = _stacked([table["prediction"].to_numpy() for table in of_arms])
    else:
        matrices = (list_columns.matrix(table["probabilities"]) for table in of_arms)
        predictions_RA = _stacked(
            [operating_point.predicted(each, threshold=threshold.value, label=run.label) for each in matrices]
        )
    match metric.measure:
        case "accuracy":
            return (predictions_RA == labels_R[:, None]).astype(np.float64)
        case "value_per_row":
            assert metric.values is not None
            return _stacked([row.values_of(metric.values, each, labels_R) for each in predictions_RA.T])
        case "mae":
            return np.abs(predictions_RA - labels_R[:, None])
        case "rmse":
            return SquaredErrors(predictions_RA - labels_R[:, None])
        case "r2":
            return ExplainedVariance(predictions_RA - labels_R[:, None], labels_R.astype(np.float64))
    classes = run.label.classes or tuple(range(int(max(labels_R.max(), predictions_RA.max())) + 1))
    if metric.of_two_classes and not run.label.classes:
        if len(classes) > 2:
            return f"{metric.measure} needs two classes, 0 and 1; the labels or predictions contain {classes[-1]}"
        classes = (0, 1)
    assert metric.measure in CLASS_METRICS
    order = {name: number for number, name in enumerate(classes)}
    numbered = np.vectorize(order.__getitem__, otypes=[np.int32])
    return Classes(metric.measure, classes, numbered(labels_R), numbered(predictions_RA))


def _query_scores(
    metric: Metric, rows: pa.Table, of_arms: Sequence[pa.Table], *, is_grouped: bool
) -> QueryScores | str:
    if not is_grouped:
        return f"'{metric.name}' is compared query by query: plan.columns.cluster must name the query column"
    labels_R, names_R = rows["label"].to_numpy(), rows["cluster"].to_numpy()
    columns, query_R = [], np.empty(0, dtype=np.int64)
    for table in of_arms:
        queries = ranking.queries(metric, table["prediction"].to_numpy(), labels_R, names_R)
        if isinstance(queries, str):
            return queries
        query_R = queries.query_R
        columns.append(queries.scores_Q[query_R])
    return QueryScores(_stacked(columns), query_R)


def _ranked(
    measure: Literal["auroc", "average_precision"], run: Run, labels_R: np.ndarray, of_arms: Sequence[pa.Table]
) -> Ranked | str:
    scores_ARK = [list_columns.matrix(table["probabilities"]) for table in of_arms]
    widths = {scores_RK.shape[1] for scores_RK in scores_ARK}
    if len(widths) > 1:
        return f"the arms predict different numbers of classes: {sorted(widths)}"
    width = widths.pop()
    names = run.label.classes or tuple(range(width))
    columns = [1] if width == 2 else range(width)
    return Ranked(
        np.stack([_stacked([scores_RK[:, k] for scores_RK in scores_ARK]) for k in columns]),
        np.stack([labels_R == names[k] for k in columns]),
        measure,
    )


def _stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.column_stack(columns)
