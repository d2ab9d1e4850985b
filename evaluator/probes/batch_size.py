"""Batch-size sensitivity: how far a variant's scores depend on the batch size, measured on a few rows before its first unit."""

from dataclasses import dataclass, replace

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
"""Whole batches that are probed, evenly spaced over the first unit; the last of them may be padded."""
ROWS_PER_BATCH = 16
"""Rows of each of them that are also scored alone."""


@dataclass(frozen=True)
class BatchSizeSensitivity:
    """What changes when rows are scored one by one instead of in their batches.

    Where the suite scores rows several times, both ways are scored as often, and row scores are means as in a run; a
    variant that draws random numbers may draw others alone: its floor then holds that noise, too, and repeats lower it.

    Attributes:
        num_rows: Rows that were scored both ways.
        num_flips: Rows with another prediction in the first repeat.
        max_abs_difference: The largest difference of a number in the variant's raw answer in the first repeat.
        noise_floor: How far the batch size moves the primary metric on these rows, in its units: the mean absolute
            difference of its row scores; of a corpus metric the share of flipped rows, at its threshold if that is
            fixed, or the mean difference of values or probabilities that it is made of; of a ranking the share of
            pairs of rows that change places; of R2 the mean difference of squared errors over the labels' variance.
            None where rows cannot be scored alone.
        reason: Why they cannot; empty if they can.
    """

    num_rows: int
    num_flips: int
    max_abs_difference: float | None
    noise_floor: float | None
    reason: str = ""

    def exceeds(self, tolerance: float) -> bool:
        """Whether the batch size matters more than is tolerated."""
        return self.floor > tolerance

    @property
    def floor(self) -> float:
        """The noise floor, infinite where nothing bounds it."""
        return float("inf") if self.noise_floor is None else self.noise_floor

    def description(self, suite: Suite) -> str:
        """What is wrong where it exceeds the suite's tolerance, in words."""
        return self.reason or (
            f"alone, {self.num_flips} of {self.num_rows} rows are predicted otherwise than in batches of "
            f"{suite.batch_size}, and {suite.primary.name} moves by {self.noise_floor:.4g}, more than the tolerance of "
            f"{suite.batch_sensitivity_tolerance:g}"
        )


def probe(
    unit: Unit, *, predictor: Predictor, variant: Variant, suite: Suite, reader: ShardReader
) -> BatchSizeSensitivity:
    """Scores some rows of a unit in their batches and alone.

    Args:
        unit: The dataset's first unit: every slot on every host probes the same rows.
        predictor: The loaded variant.
        variant: Says what its output is.
        suite: Batch size, seed, repeats and primary metric.
        reader: Reads the rows.

    Raises:
        PredictionError: The variant fails on whole batches.
    """
    spans = list(unit.batches())
    chosen = [spans[index] for index in np.unique(np.linspace(0, len(spans) - 1, NUM_BATCHES).round().astype(int))]
    repeats_P = range(suite.repeats)
    together: list[list[np.ndarray]] = [[] for _ in repeats_P]
    alone: list[list[np.ndarray]] = [[] for _ in repeats_P]
    rows: list[pa.Table] = []
    try:
        for span in chosen:
            batch = replace(unit, first_row=unit.first_row + span.start, num_rows=span.stop - span.start)
            given = reader.rows(batch.first_row, batch.num_rows)
            picked = np.unique(np.linspace(0, batch.num_rows - 1, ROWS_PER_BATCH).round().astype(int))
            rows.append(given.take(picked))
            single = replace(batch, num_rows=len(picked), batch_size=1)
            for number in repeats_P:
                seed = suite.seed + number
                together[number].append(_raw(given, batch, predictor, variant, reader, seed=seed)[picked])
                try:
                    alone[number].append(_raw(rows[-1], single, predictor, variant, reader, seed=seed))
                except PredictionError as error:
                    return BatchSizeSensitivity(0, 0, None, None, f"a row cannot be scored alone: {error}")
    finally:
        determinism.seed_all(suite.seed)
    return _compared(pa.concat_tables(rows), _joined(together), _joined(alone), variant, suite, reader)


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
    together_P: list[np.ndarray],
    alone_P: list[np.ndarray],
    variant: Variant,
    suite: Suite,
    reader: ShardReader,
) -> BatchSizeSensitivity:
    tables = [
        repeats.averaged(
            [scored(rows, raw, variant=variant, suite=suite, dataset=reader.dataset, first_row=0) for raw in raw_P]
        )
        for raw_P in (together_P, alone_P)
    ]
    together, alone = together_P[0], alone_P[0]
    flips_R = np.not_equal(*(table["prediction"].to_numpy() for table in tables))
    differs = together.dtype.kind == "f"
    largest = float(np.abs(together - alone).max()) if differs else float(flips_R.any())
    return BatchSizeSensitivity(len(rows), int(flips_R.sum()), largest, _noise_floor(tables, flips_R, suite))


def _noise_floor(tables: list[pa.Table], flips_R: np.ndarray, suite: Suite) -> float:
    primary = suite.primary
    if primary.row_measure is not None:
        return float(_difference(tables, SCORE_COLUMN_PREFIX + primary.name).mean())
    if primary.of_queries:
        first, second = (np.sign(np.subtract.outer(*2 * [table["prediction"].to_numpy()])) for table in tables)
        return float((first != second).mean())
    if primary.threshold is not None:
        first, second = (list_columns.matrix(table["probabilities"])[:, -1] >= primary.threshold for table in tables)
        return float((first != second).mean())
    if primary.operating_point is not None:  # not known before the control has scored every row
        span = 1.0
        if primary.values is not None:
            worth = [value for row in primary.values.values() for value in row.values()]
            span = max(worth) - min(worth)
        return span * float(_difference(tables, "probabilities").mean())
    match primary.measure:
        case "mae":
            return float(_difference(tables, "prediction").mean())
        case "rmse":
            return float(np.sqrt((_difference(tables, "prediction") ** 2).mean()))
        case "r2":
            labels = tables[0]["label"].to_numpy()
            first, second = ((table["prediction"].to_numpy() - labels) ** 2 for table in tables)
            moved = float(np.abs(first - second).mean())
            spread = float(labels.var())
            return moved / spread if spread else float("inf") if moved else 0.0
        case "auroc" | "average_precision" | "calibration_error":
            return float(_difference(tables, "probabilities").mean())
        case _:
            return float(flips_R.mean())


def _difference(tables: list[pa.Table], name: str) -> np.ndarray:
    """How far each row's number is moved, the farthest of several."""
    first, second = (_numbers(table[name]) for table in tables)
    return np.abs(first - second).reshape(len(first), -1).max(axis=1)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return list_columns.matrix(column) if pa.types.is_fixed_size_list(column.type) else column.to_numpy()
