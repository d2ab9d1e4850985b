"""Batch-size sensitivity: how much a variant's scores depend on the batch size, measured before its first unit."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from assay.evaluator import determinism, list_columns, repeats
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy
from assay.evaluator.evaluate import inputs_of, scored
from assay.evaluator.predictors.batching import batches_of
from assay.evaluator.predictors.predictor import InputWrittenError, PredictionError, Predictor, RawOutput
from assay.evaluator.results import BatchSizeSensitivity, is_answered
from assay.manifests import Suite, Variant
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX

NUM_BATCHES = 4
"""Batches to probe, evenly spaced over the first unit. The last of them may be padded."""
ROWS_PER_BATCH = 16
"""Rows of each probed batch that are also scored with batch size 1."""


def probe(
    unit: Unit, *, predictor: Predictor, variant: Variant, suite: Suite, reader: ShardReader
) -> BatchSizeSensitivity:
    """Scores some rows of some batches both in their batches and with batch size 1.

    Args:
        unit: The dataset's first batches, so that every slot on every host probes the same rows.
        predictor: The loaded variant.
        variant: Declares the output.
        suite: Sets the batch size, the seed, the repeats and the primary metric.
        reader: Reads the rows.

    Raises:
        PredictionError: The variant fails on batches of the suite's size. A failure with batch size 1 is not raised:
            it becomes the result's `reason`.
    """
    spans = list(unit.batches())
    chosen = [spans[index] for index in np.unique(np.linspace(0, len(spans) - 1, NUM_BATCHES).round().astype(int))]
    repeats_P = range(suite.repeats)
    batched: list[list[RawOutput]] = [[] for _ in repeats_P]
    single: list[list[RawOutput]] = [[] for _ in repeats_P]
    rows: list[pa.Table] = []
    try:
        for span in chosen:
            batch = replace(unit, first_row=unit.first_row + span.start, num_rows=span.stop - span.start)
            batch_rows = reader.rows(batch.first_row, batch.num_rows)
            picked = np.unique(np.linspace(0, batch.num_rows - 1, ROWS_PER_BATCH).round().astype(int))
            rows.append(batch_rows.take(picked))
            one_by_one = replace(batch, num_rows=len(picked), batch_size=1)
            for number in repeats_P:
                seed = suite.seed + number
                batched[number].append(_taken(_raw(batch_rows, batch, predictor, variant, reader, seed=seed), picked))
                try:
                    # Taken again for each repeat: unlike those of the shard, these rows are in memory that can be written to.
                    picked_rows = batch_rows.take(picked)
                    single[number].append(_raw(picked_rows, one_by_one, predictor, variant, reader, seed=seed))
                except InputWrittenError:
                    raise
                except PredictionError as error:
                    return BatchSizeSensitivity(0, 0, None, None, f"rows cannot be scored with batch size 1: {error}")
    finally:
        determinism.seed_all(suite.seed)
    joined_P = [_joined(spans) for spans in batched], [_joined(spans) for spans in single]
    return _compared(pa.concat_tables(rows), *joined_P, variant, suite, reader)


def _taken(output: RawOutput, picked: np.ndarray) -> RawOutput:
    """The output of some rows."""
    places = {row: place for place, row in enumerate(picked.tolist())}
    unanswered = {places[row]: each for row, each in output.unanswered.items() if row in places}
    return replace(output, raw=output.raw[picked], unanswered=unanswered)


def _joined(spans: list[RawOutput]) -> RawOutput:
    """The output of consecutive spans of rows."""
    unanswered, first = {}, 0
    for span in spans:
        unanswered |= {first + row: each for row, each in span.unanswered.items()}
        first += len(span.raw)
    return replace(spans[0], raw=np.concatenate([span.raw for span in spans]), unanswered=unanswered)


def _raw(
    rows: pa.Table, unit: Unit, predictor: Predictor, variant: Variant, reader: ShardReader, *, seed: int
) -> RawOutput:
    determinism.seed_all(seed)
    chunk = columns_as_numpy(rows.select(inputs_of(variant, reader.dataset)), reader.dataset.columns)
    return predictor.predict(batches_of([chunk], unit=unit))


def _compared(
    rows: pa.Table,
    batched_P: list[RawOutput],
    single_P: list[RawOutput],
    variant: Variant,
    suite: Suite,
    reader: ShardReader,
) -> BatchSizeSensitivity:
    tables = [
        repeats.averaged(
            [scored(rows, raw, variant=variant, suite=suite, dataset=reader.dataset, first_row=0) for raw in raw_P]
        )
        for raw_P in (batched_P, single_P)
    ]
    answered_R, also_R = map(is_answered, tables)
    num_other = int((answered_R != also_R).sum())
    if num_other or not answered_R.any():
        reason = f"{num_other} of {len(rows)} probed rows have an answer with only one of the two batch sizes"
        return BatchSizeSensitivity(
            len(rows), num_other, None, None, reason if num_other else "no probed row has an answer"
        )
    tables = [table.filter(pa.array(answered_R)) for table in tables]
    batched, single = batched_P[0].raw[answered_R], single_P[0].raw[answered_R]
    flips_R = np.not_equal(*(table["prediction"].to_numpy() for table in tables))
    is_float = batched.dtype.kind == "f"
    largest = float(np.abs(batched - single).max()) if is_float else float(flips_R.any())
    return BatchSizeSensitivity(len(flips_R), int(flips_R.sum()), largest, _noise_floor(tables, flips_R, suite))


def _noise_floor(tables: list[pa.Table], flips_R: np.ndarray, suite: Suite) -> float:
    primary = suite.primary
    if primary.scores_rows:
        return float(_difference(tables, SCORE_COLUMN_PREFIX + primary.name).mean())
    if primary.of_queries:
        first, second = (np.sign(np.subtract.outer(*2 * [table["prediction"].to_numpy()])) for table in tables)
        return float((first != second).mean())
    if primary.threshold is not None:
        first, second = (list_columns.matrix(table["probabilities"])[:, -1] >= primary.threshold for table in tables)
        return float((first != second).mean())
    if primary.operating_point is not None:  # its threshold is unknown until the control has scored every row
        span = 1.0
        if primary.values is not None:
            worth = [value for row in primary.values.values() for value in row.values()]
            span = max(worth) - min(worth)
        return span * float(_difference(tables, "probabilities").mean())
    match primary.definition.needs:
        case "values":
            return OF_VALUES[primary.measure](tables)
        case "probabilities":
            return float(_difference(tables, "probabilities").mean())
        case _:
            return float(flips_R.mean())


def _change_of_rmse(tables: list[pa.Table]) -> float:
    return float(np.sqrt((_difference(tables, "prediction") ** 2).mean()))


def _change_of_r2(tables: list[pa.Table]) -> float:
    labels = tables[0]["label"].to_numpy()
    first, second = ((table["prediction"].to_numpy() - labels) ** 2 for table in tables)
    change = float(np.abs(first - second).mean())
    variance = float(labels.var())
    return change / variance if variance else float("inf") if change else 0.0


OF_VALUES: Mapping[str, Callable[[list[pa.Table]], float]] = MappingProxyType(
    {"rmse": _change_of_rmse, "r2": _change_of_r2}
)
"""The noise floor of every measure of a dataset that is computed from predicted values."""


def _difference(tables: list[pa.Table], name: str) -> np.ndarray:
    """The absolute difference between the two tables in each row; the largest one where a row has several numbers."""
    first, second = (_numbers(table[name]) for table in tables)
    return np.abs(first - second).reshape(len(first), -1).max(axis=1)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return list_columns.matrix(column) if pa.types.is_fixed_size_list(column.type) else column.to_numpy()
