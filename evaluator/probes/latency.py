"""Latency: how long a variant takes per batch compared with the control, timed alternately on one slot."""

import time
from collections.abc import Callable, Iterator
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


class BatchTimer:
    """Times single batches of one loaded variant, from rows in memory to outputs in memory.

    That includes copies to and from the device.
    """

    def __init__(
        self, unit: Unit, *, predictor: Predictor, variant: Variant, suite: Suite, reader: ShardReader
    ) -> None:
        """Reads the batches, and predicts some for warming up.

        Args:
            unit: The dataset's first batches, so that every slot times the same rows.
            predictor: The loaded variant.
            variant: Its manifest.
            suite: Sets the seed.
            reader: Reads the rows.

        Raises:
            PredictionError: The variant fails on a batch.
        """
        self._predictor, self._batches = predictor, _batches(unit, variant, reader)
        for batch in islice(self._batches, _NUM_WARM_UP):
            predictor.predict([batch])
        determinism.seed_all(suite.seed)

    def seconds(self) -> float:
        """The time of the next batch. The same few batches are timed again and again.

        Raises:
            PredictionError: The variant fails on it.
        """
        batch = next(self._batches)
        started = time.perf_counter()
        self._predictor.predict([batch])
        return time.perf_counter() - started


def time_in_turn(arm: Callable[[], float], control: Callable[[], float], *, num_batches: int) -> PairedTimes:
    """Times both variants on the same batches in alternating order: each goes first on every second batch.

    Other load on the host drifts over time, but it is nearly equal for two calls in immediate succession. Timing does
    not affect scores, because the seeds are set again before every unit.

    Args:
        arm: Gives the seconds of the arm's next batch.
        control: The same for the control.
        num_batches: The number of batches to time for each variant.

    Raises:
        PredictionError: One of the variants fails on a batch.
    """
    times_s: tuple[list[float], list[float]] = ([], [])
    timers = (control, arm)
    for number in range(num_batches):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            times_s[which].append(timers[which]())
    return PairedTimes(tuple(times_s[0]), tuple(times_s[1]))


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
