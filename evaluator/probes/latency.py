"""Latency: how long a variant takes per batch compared with the control, timed alternately in one process."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import pyarrow as pa

from assay.evaluator import determinism
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy
from assay.evaluator.evaluate import inputs_of
from assay.evaluator.predictors.batching import batches_of
from assay.evaluator.predictors.predictor import Batch, Predictor
from assay.evaluator.results import PairedTimes
from assay.manifests import Suite, Variant

_MOST_BATCHES = 16
"""Number of different batches, which are timed over and over. They stay in memory, so no time is spent reading."""
_NUM_WARM_UP = 9


def time_in_turn(
    unit: Unit,
    *,
    arm: tuple[Predictor, Variant],
    control: tuple[Predictor, Variant],
    num_batches: int,
    suite: Suite,
    reader: ShardReader,
) -> PairedTimes:
    """Times both variants on the same batches in alternating order: each goes first on every second batch.

    Other load on the host drifts over time, but it is nearly equal for two calls in immediate succession. A batch is
    timed from rows in memory to outputs in memory, including copies to and from the device. Timing does not affect
    scores, because the seeds are set again before every unit.

    Args:
        unit: The dataset's first batches, so that every slot times the same rows.
        arm: The loaded arm and its manifest.
        control: The control and its manifest, loaded in the same process.
        num_batches: The number of batches to time for each variant.
        suite: Sets the seed.
        reader: Reads the rows.

    Raises:
        PredictionError: One of the variants fails on a batch.
    """
    pair = [(predictor, _batches(unit, variant, reader)) for predictor, variant in (control, arm)]
    for predictor, batches in pair:
        for batch in islice(batches, _NUM_WARM_UP):
            predictor.predict([batch])
    times_s: tuple[list[float], list[float]] = ([], [])
    determinism.seed_all(suite.seed)
    for number in range(num_batches):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            predictor, batches = pair[which]
            times_s[which].append(_timed(predictor.predict, next(batches)))
    determinism.seed_all(suite.seed)
    return PairedTimes(tuple(times_s[0]), tuple(times_s[1]))


def _timed(predict: Callable[[Sequence[Batch]], object], batch: Batch) -> float:
    started = time.perf_counter()
    predict([batch])
    return time.perf_counter() - started


def _batches(unit: Unit, variant: Variant, reader: ShardReader) -> Iterator[Batch]:
    """Yields the same whole batches over and over, or the unit's only batch, which is padded.

    They are views of the rows in memory, or new arrays each time: a variant that writes to them changes no later batch.
    """
    num_rows = min(unit.num_rows, _MOST_BATCHES * unit.batch_size)
    first = replace(unit, num_rows=num_rows - num_rows % unit.batch_size or num_rows)
    rows = reader.rows(first.first_row, first.num_rows).select(inputs_of(variant, reader.dataset)).to_batches()
    while True:
        chunks = (columns_as_numpy(pa.Table.from_batches([chunk]), reader.dataset.columns) for chunk in rows)
        yield from batches_of(chunks, unit=first)
