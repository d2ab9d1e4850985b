"""The evaluation loop: one unit x one predictor x the suite's metrics -> one UnitResult."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator import determinism, fingerprint, list_columns, repeats
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy
from assay.evaluator.metrics import custom, operating_point, row
from assay.evaluator.metrics.predictions import RowAnswers, answers_of
from assay.evaluator.predictors.batching import batches_of
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.predictor import Predictor, RawOutput
from assay.evaluator.results import UnitResult, UnitTiming, count_unanswered
from assay.manifests import Dataset, Suite, Variant
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX


def evaluate(
    unit: Unit,
    *,
    predictor: Predictor,
    variant: Variant,
    suite: Suite,
    reader: ShardReader,
    cpu_clock: Callable[[], float] = time.process_time,
) -> UnitResult:
    """Scores the rows of one unit, batch by batch, once for each of the suite's repeats.

    The result depends only on the rows, the variant and the suite: the seeds are set again before every repeat of
    every unit, so neither the order of units nor a retry changes it.

    Args:
        unit: The rows to score.
        predictor: The loaded variant.
        variant: Names the inputs and declares the output.
        suite: Sets the metrics, the seed and the number of repeats.
        reader: Reads the dataset's rows.
        cpu_clock: Says how many CPU seconds this process has used for scoring.

    Raises:
        DamageError: A shard is missing or differs from what was frozen.
        PredictionError: The variant fails, or its output is not what its manifest declares.
    """
    started, cpu_started = time.perf_counter(), cpu_clock()
    dataset = reader.dataset
    rows = reader.rows(unit.first_row, unit.num_rows)
    read, reads = time.perf_counter(), reader.reads()

    inputs = rows.select(inputs_of(variant, dataset)).to_batches()
    tables: list[pa.Table] = []
    batch_times_s: list[float] = []
    predict_s = copy_s = forward_s = 0.0
    for number in range(suite.repeats):
        began = time.perf_counter()
        determinism.seed_all(determinism.unit_seed(suite.seed + number, unit=unit.index))
        chunks = (columns_as_numpy(pa.Table.from_batches([chunk]), dataset.columns) for chunk in inputs)
        answers = predictor.predict(batches_of(chunks, unit=unit))
        predict_s += time.perf_counter() - began
        copy_s += answers.copy_s
        forward_s += answers.forward_s
        batch_times_s += answers.batch_times_s
        table = scored(rows, answers, variant=variant, suite=suite, dataset=dataset, first_row=unit.first_row)
        tables.append(table.select(repeats.needed_columns(table)) if number else table)
    table = repeats.averaged(tables)
    digest = fingerprint.rows_digest(table)
    timing = UnitTiming(
        read_s=read - started,
        decode_s=read - started - reader.waited_s,
        fetch_s=reads.fetch_s,
        shards_fetched=reads.shards_fetched,
        bytes_fetched=reads.bytes_fetched,
        predict_s=predict_s,
        copy_s=copy_s,
        forward_s=forward_s,
        score_s=time.perf_counter() - read - predict_s,
        cpu_s=cpu_clock() - cpu_started,
        batch_p50_s=float(np.median(batch_times_s)),
        batch_max_s=max(batch_times_s),
    )
    score_sums = {name: total for name, (total,) in repeats.sums([table]).items()}
    return UnitResult(
        table, digest, timing, *count_unanswered(table), score_sums, repeats.sums(tables) if suite.repeats > 1 else {}
    )


def scored(
    rows: pa.Table, output: RawOutput, *, variant: Variant, suite: Suite, dataset: Dataset, first_row: int
) -> pa.Table:
    """Computes the rows of the scores table from dataset rows and the variant's raw output.

    Args:
        rows: The dataset rows, in the frozen order.
        output: The variant's output, one entry per row.
        variant: Declares what the output is.
        suite: Lists the metrics.
        dataset: Gives the role of each column.
        first_row: The index of the first row in the dataset.

    Returns:
        The columns of `UnitResult.table`, one row per dataset row.

    Raises:
        PredictionError: No row has valid output, a label is not valid, or a score is not finite.
    """
    kept = [dataset.label.name, *dataset.names("id"), *dataset.names("segment"), *dataset.names("cluster")]
    answers = answers_of(
        output.raw, output=variant.output, label=dataset.label, first_row=first_row, unanswered=output.unanswered
    )
    answered_R = answers.is_answered(len(rows))
    predictions, are_complete = answers.predictions, not answers.unanswered
    answered_rows = rows if are_complete else rows.filter(pa.array(answered_R))
    others = _columns_of_scorers(answered_rows, suite=suite, dataset=dataset)
    labels = columns_as_numpy(answered_rows.select([dataset.label.name]), dataset.columns)[dataset.label.name]
    rows = rows.select(kept).combine_chunks()
    columns: dict[str, Any] = {"row_index": pa.array(np.arange(first_row, first_row + len(rows), dtype=np.int64))}
    for name in dataset.names("id")[:1]:
        columns["row_id"] = pc.cast(rows[name], pa.string())
    columns |= _statuses(answers, len(rows))
    columns["label"] = rows[dataset.label.name]
    columns["prediction"] = _spread(predictions.prediction, answered_R)
    if suite.stores_probabilities and predictions.probabilities is not None:
        columns["probabilities"] = _spread(predictions.probabilities, answered_R)
    for name in dataset.names("segment"):
        columns[SEGMENT_COLUMN_PREFIX + name] = pc.cast(rows[name], pa.string())
    for name in dataset.names("cluster"):
        columns["cluster"] = pc.cast(rows[name], pa.string())
    scored_rows = row.ScoredRows(predictions, labels, dataset.label, suite.batch_size, others)
    for metric in suite.metrics:
        if metric.has_threshold:
            operating_point.check(metric, predictions, labels, label=dataset.label)
        if metric.scores_rows:
            columns[SCORE_COLUMN_PREFIX + metric.name] = _spread(row.score(metric, scored_rows), answered_R)
    return pa.table(columns)


def _statuses(answers: RowAnswers, num_rows: int) -> dict[str, Any]:
    """The columns `status` and `reason`; none if every row has an answer."""
    if not answers.unanswered:
        return {}
    status, reason = np.full(num_rows, "ok", dtype=object), np.full(num_rows, None, dtype=object)
    for place, unanswered in answers.unanswered.items():
        status[place], reason[place] = unanswered
    return {"status": pa.array(status, pa.string()), "reason": pa.array(reason, pa.string())}


def _spread(values: np.ndarray, answered_R: np.ndarray) -> Any:
    """The values of answered rows as a column of all rows, null elsewhere; lists of one length if they have two axes."""
    mask = None
    if not answered_R.all():
        spread = np.zeros((len(answered_R), *values.shape[1:]), dtype=values.dtype)
        spread[answered_R] = values
        values, mask = spread, ~answered_R
    if values.ndim == 1:
        return pa.array(values, pa.string() if values.dtype.kind == "O" else None, mask=mask)
    return list_columns.lists(values, mask=mask)


def _columns_of_scorers(rows: pa.Table, *, suite: Suite, dataset: Dataset) -> dict[str, np.ndarray]:
    """The rows' columns other than the label, if a custom scorer takes them; otherwise none."""
    scorers = [metric.scorer for metric in suite.metrics if metric.scorer is not None]
    if not any(custom.takes_columns(resolve_entrypoint(scorer)) for scorer in scorers):
        return {}
    names = [name for name in rows.column_names if name != dataset.label.name]
    return columns_as_numpy(rows.select(names), dataset.columns)


def inputs_of(variant: Variant, dataset: Dataset) -> list[str]:
    """The feature columns that a variant receives, in the order of its arguments."""
    return list(variant.inputs or dataset.names("feature"))
