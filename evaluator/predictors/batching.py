"""Batching: splits a unit's rows, as they are chunked in the shards, into the batches that a variant receives."""

from collections.abc import Iterable, Iterator

import numpy as np

from assay.evaluator.batches import Unit, padded
from assay.evaluator.predictors.predictor import Batch

Chunk = dict[str, np.ndarray]
"""The features of consecutive rows, by name."""


def batches_of(chunks: Iterable[Chunk], *, unit: Unit) -> Iterator[Batch]:
    """Yields the unit's batches, each padded to full size. The batches do not depend on how the rows are chunked.

    Shards are written in small chunks, so nearly every batch is a view of one chunk. Joining all chunks first would
    cost more than the forward pass of a small variant.

    Args:
        chunks: The unit's rows in order; consumed one chunk at a time.
        unit: Determines the batches.
    """
    left = iter(chunks)
    chunk: Chunk = {}
    first = end = 0  # the range of the chunk's rows that are not in a batch yet
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
