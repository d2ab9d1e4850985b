"""Batch-size sensitivity: how much a variant's scores depend on the batch size, measured before its first unit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from assay.evaluator import determinism, list_columns, repeats
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy
from assay.evaluator.evaluate import inputs_of, scored
from assay.evaluator.predictors.batching import batches_of
from assay.evaluator.predictors.predictor import PredictionError, Predictor
from assay.manifests import Suite, Variant
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX

NUM_BATCHES = 4
"""Batches to probe, evenly spaced over the first unit. The last of them may be padded."""
ROWS_PER_BATCH = 16
"""Rows of each probed batch that are also scored with batch size 1."""


@dataclass(frozen=True)
class BatchSizeSensitivity:
    """What changes when rows are scored one by one instead of in their batches.

    If the suite has several repeats, rows are scored that often in both ways, and row scores are means over the
    repeats, as in a run. A variant that draws random numbers may draw different ones with batch size 1: its noise
    floor then includes that noise, which more repeats lower.

    Attributes:
        num_rows: Rows that were scored in both ways.
        num_flips: Rows whose predictions differ, in the first repeat.
        max_abs_difference: The largest absolute difference of any number in the variant's raw output, in the first
            repeat. For output that is not floating-point: 1 if any prediction differs, else 0.
        noise_floor: How much the batch size changes the primary metric on these rows, in the metric's units. For a
            metric with row scores: their mean absolute difference. For a corpus metric: the share of flipped
            predictions (at the metric's threshold if that is fixed), or the mean absolute difference of the
            probabilities that it is computed from. For a ranking: the share of pairs of rows that change order. For
            RMSE: the root mean square difference of the values. For R2: the mean absolute difference of squared errors
            divided by the labels' variance. None if rows cannot be scored with batch size 1.
        reason: Why they cannot; empty if they can.
    """

    num_rows: int
    num_flips: int
    max_abs_difference: float | None
    noise_floor: float | None
    reason: str = ""

    def exceeds(self, tolerance: float) -> bool:
        """Whether the noise floor exceeds the tolerance."""
        return self.floor > tolerance

    @property
    def floor(self) -> float:
        """The noise floor; infinite if it is unknown."""
        return float("inf") if self.noise_floor is None else self.noise_floor

    def description(self, suite: Suite) -> str:
        """The message for a sensitivity that exceeds the suite's tolerance."""
        return self.reason or (
            f"{self.num_flips} of {self.num_rows} predictions differ between batch size 1 and {suite.batch_size}; "
            f"{suite.primary.name} changes by {self.noise_floor:.4g} (tolerance {suite.batch_sensitivity_tolerance:g})"
        )


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
    batched: list[list[np.ndarray]] = [[] for _ in repeats_P]
    single: list[list[np.ndarray]] = [[] for _ in repeats_P]
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
                batched[number].append(_raw(batch_rows, batch, predictor, variant, reader, seed=seed)[picked])
                try:
                    single[number].append(_raw(rows[-1], one_by_one, predictor, variant, reader, seed=seed))
                except PredictionError as error:
                    return BatchSizeSensitivity(0, 0, None, None, f"rows cannot be scored with batch size 1: {error}")
    finally:
        determinism.seed_all(suite.seed)
    return _compared(pa.concat_tables(rows), _joined(batched), _joined(single), variant, suite, reader)


def _joined(spans_P: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(spans) for spans in spans_P]


def _raw(
    rows: pa.Table, unit: Unit, predictor: Predictor, variant: Variant, reader: ShardReader, *, seed: int
) -> np.ndarray:
    determinism.seed_all(seed)
    chunk = columns_as_numpy(rows.select(inputs_of(variant, reader.dataset)), reader.dataset.columns)
    return predictor.predict(batches_of([chunk], unit=unit)).raw


def _compared(
    rows: pa.Table,
    batched_P: list[np.ndarray],
    single_P: list[np.ndarray],
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
    batched, single = batched_P[0], single_P[0]
    flips_R = np.not_equal(*(table["prediction"].to_numpy() for table in tables))
    is_float = batched.dtype.kind == "f"
    largest = float(np.abs(batched - single).max()) if is_float else float(flips_R.any())
    return BatchSizeSensitivity(len(rows), int(flips_R.sum()), largest, _noise_floor(tables, flips_R, suite))


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
