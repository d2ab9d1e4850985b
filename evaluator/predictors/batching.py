"""Batching: a unit's rows, as they lie in the shards, cut into the batches that its variant is given."""

from collections.abc import Iterable, Iterator

import numpy as np

from assay.evaluator.batches import Unit, padded
from assay.evaluator.predictors.predictor import Batch

Chunk = dict[str, np.ndarray]
"""The features of some consecutive rows, by name."""


def batches_of(chunks: Iterable[Chunk], *, unit: Unit) -> Iterator[Batch]:
    """The unit's batches, each of full size; how its rows are chunked leaves no trace.

    Shards are written in small chunks, so that nearly every batch is a view of one. Joining them all first would
    cost more than a small variant's own work.

    Args:
        chunks: The unit's rows in their order; taken one by one.
        unit: Says how they are batched.
    """
    left = iter(chunks)
    chunk: Chunk = {}
    first = end = 0  # the rows of the chunk that are in no batch yet
    for span in unit.batches():
        num_rows = span.stop - span.start
        parts: list[Chunk] = []
        missing = num_rows
        while missing:
            if first == end:
                chunk = next(left)
                first, end = 0, len(next(iter(chunk.values())))
            taken = slice(first, min(first + missing, end))
            parts.append({name: values[taken] for name, values in chunk.items()})
            missing -= taken.stop - first
            first = taken.stop
        features = _joined(parts)
        if num_rows < unit.batch_size:
            features = {name: padded(values, batch_size=unit.batch_size) for name, values in features.items()}
        yield Batch(features=features, num_rows=num_rows)


def _joined(parts: list[Chunk]) -> Chunk:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
