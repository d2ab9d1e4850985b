"""Reads the samples of one metric from the ledger, on identical rows of every arm, for the statistics."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from assay.cluster.commit import arm_metrics
from assay.cluster.errors import RunError
from assay.evaluator import list_columns
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.metrics import operating_point, ranking, row
from assay.evaluator.metrics.corpus import NUM_BINS, CorpusValue
from assay.evaluator.storage import Store
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


def samples_of(
    store: Store,
    files: Sequence[LedgerFile],
    run: Run,
    metric: Metric,
    *,
    columns: PlanColumns,
    arms: Sequence[str],
) -> Samples:
    """The scores of one metric, rows x arms; for a corpus metric, its pseudo-values.

    Args:
        store: The ledger.
        files: The run's files.
        run: The run.
        metric: The metric.
        columns: The plan's segment and cluster columns.
        arms: The arms, all complete.

    Raises:
        RunError: The arms do not have the same rows, or scores of a binary metric are not 0 or 1.
    """
    groups = {
        "segments": SEGMENT_COLUMN_PREFIX + columns.segment if columns.segment else None,
        "clusters": "cluster" if columns.cluster else None,
    }
    named = "row_id" in reader.column_names(store, files, arms[0])
    shared = ["row_index", *["row_id"] * named, "label", *(name for name in groups.values() if name)]
    kept = [name for name in shared if name != "row_id" and (name != "label" or metric.row_measure is None)]
    pieces: list[pa.Table] = []
    of_arms: list[list[pa.Table]] = [[] for _ in arms]
    # The scores take most of the memory. In addition, at most two score files are in memory at a time.
    num_rows = _num_rows(files, run, arms)
    are_bits = metric.is_binary and run.experiment.suite.repeats == 1
    dtype = np.bool_ if are_bits else np.float64
    scores_RA = np.empty((num_rows, len(arms)), dtype) if metric.row_measure is not None else None
    streams = [reader.score_tables(store, files, arm, [*shared, *_columns_of(metric)]) for arm in arms]
    stop = 0
    for first in streams[0]:
        rows = first.select(shared)
        pieces.append(first.select(kept))
        start, stop = stop, stop + len(first)
        for index, arm in enumerate(arms):
            table = first if index == 0 else next(streams[index])
            if not table.select(shared).equals(rows):
                raise _rows_differ(run, arm, arms)
            if scores_RA is None:
                of_arms[index].append(table.select(_columns_of(metric)))
            else:
                scores_R = table[SCORE_COLUMN_PREFIX + metric.name].to_numpy()
                scores_RA[start:stop, index] = scores_R
                if are_bits and not np.array_equal(scores_RA[start:stop, index], scores_R):
                    raise RunError(f"run '{run.run_id}': scores of '{metric.name}' for arm '{arm}' are not all 0 or 1")
    rows = pa.concat_tables(pieces)
    grouping = {
        "segments_R": rows[groups["segments"]].to_numpy() if groups["segments"] else None,
        "clusters_R": np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1] if groups["clusters"] else None,
    }
    row_ids = rows["row_index"].to_numpy()
    if scores_RA is not None:
        statistic = scores_RA
    elif metric.of_queries:
        statistic = _query_scores(metric, rows, [pa.concat_tables(each) for each in of_arms])
    else:
        threshold = arm_metrics.threshold(run, files, store, metric)
        tables = [pa.concat_tables(each) for each in of_arms]
        statistic = _statistic(metric, run, rows["label"].to_numpy(), tables, threshold)
    if isinstance(statistic, np.ndarray):
        return Samples(tuple(arms), statistic, row_ids, **grouping, num_repeats=run.experiment.suite.repeats)
    if isinstance(statistic, str):  # the reason why the metric is undefined
        nothing_RA = np.full((len(row_ids), len(arms)), np.nan)
        return Samples(tuple(arms), nothing_RA, row_ids, **grouping, corpus="unbounded", undefined=statistic)
    return corpus_samples(statistic, arms=arms, row_ids=row_ids, **grouping)


def _num_rows(files: Sequence[LedgerFile], run: Run, arms: Sequence[str]) -> int:
    """The number of rows of every arm, checked to be the same file by file."""
    lengths = [[file.num_rows for file in reader.score_files(files, arm)] for arm in arms]
    for arm, lengths_of_arm in zip(arms, lengths, strict=True):
        if lengths_of_arm != lengths[0]:
            raise _rows_differ(run, arm, arms)
    return sum(lengths[0])


def _rows_differ(run: Run, arm: str, arms: Sequence[str]) -> RunError:
    return RunError(f"run '{run.run_id}': arm '{arm}' does not have the same rows as arm '{arms[0]}'")


def _columns_of(metric: Metric) -> list[str]:
    """The score columns that a metric is computed from, in addition to the label."""
    if metric.row_measure is not None:
        return [SCORE_COLUMN_PREFIX + metric.name]
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


def _query_scores(metric: Metric, rows: pa.Table, of_arms: Sequence[pa.Table]) -> QueryScores | str:
    if "cluster" not in rows.column_names:
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
