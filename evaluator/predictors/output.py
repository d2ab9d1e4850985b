"""Output: what a variant returned for a batch, in the one shape that its declared output allows."""

from typing import Any

import numpy as np

from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.variant import Output

_BLOCK_BYTES = 1 << 22


def answer(returned: Any, *, output: Output, num_rows: int, variant: str) -> np.ndarray:
    """Brings a variant's answer into its declared form, or says why it is none.

    Args:
        returned: What the variant returned: anything array-like.
        output: What the variant declares.
        num_rows: The rows it was asked for, padding included.
        variant: What to call the variant in a message.

    Returns:
        `logits`, `probabilities`: floats of shape (rows, classes) or, with one number a row, (rows,).
        `labels`: int64 or class names (an object array), shape (rows,). `values`: floats of shape (rows,).

    Raises:
        PredictionError: The rows, the shape or the type are not what the output declares.
    """
    place = f"{variant} declares output: {output}"
    found = _array(returned, place)
    if found.ndim == 0 or found.shape[0] != num_rows:
        raise PredictionError(
            f"{place}, but answered a batch of {num_rows} rows with an array of shape {found.shape}; "
            f"the first axis must be {num_rows}: one entry for each row, padding included"
        )
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    most_axes = 2 if output in ("logits", "probabilities") else 1
    if found.ndim > most_axes:
        wanted = "(rows, classes) or (rows,)" if most_axes == 2 else "(rows,)"
        raise PredictionError(f"{place}, but answered with shape {found.shape}; allowed: {wanted}")
    if output == "labels":
        return _labels(found, place)
    if found.dtype.kind not in "fiu":
        raise PredictionError(f"{place}, but answered with {found.dtype}; allowed: real numbers")
    return found if found.dtype.kind == "f" else found.astype(np.float64)


class Collected:
    """The answers for consecutive batches, copied: a variant may use its memory again.

    Into blocks of many batches, since small arrays kept among those that come and go would spread a batch's work over
    ever new memory, which no cache holds.
    """

    def __init__(self, *, variant: str) -> None:
        """Starts with none.

        Args:
            variant: What to call the variant in a message.
        """
        self._variant = variant
        self._blocks: list[np.ndarray] = []
        self._num_rows = 0  # in the last block; those before it are full

    def add(self, batch: np.ndarray) -> None:
        """Takes the next batch's answers, the real rows alone."""
        last = self._blocks[-1] if self._blocks else batch[:0]
        stop = self._num_rows + len(batch)
        if stop > len(last) or last.shape[1:] != batch.shape[1:] or last.dtype != batch.dtype:
            self._cut()
            num_batches = max(1, _BLOCK_BYTES // max(1, batch.nbytes))
            last, stop = np.empty((len(batch) * num_batches, *batch.shape[1:]), batch.dtype), len(batch)
            self._blocks.append(last)
        last[stop - len(batch) : stop] = batch
        self._num_rows = stop

    def joined(self) -> np.ndarray:
        """All of them as one array.

        Raises:
            PredictionError: They differ in shape or kind from batch to batch.
        """
        self._cut()
        shapes = sorted({block.shape[1:] for block in self._blocks})
        if len(shapes) > 1:
            words = " and ".join(f"(rows{''.join(f', {size}' for size in shape)})" for shape in shapes[:2])
            raise PredictionError(
                f"{self._variant} answers some batches with shape {words}; allowed: one shape for every batch"
            )
        if len({block.dtype.kind for block in self._blocks}) > 1:
            raise PredictionError(f"{self._variant} answers some batches with class names and others with numbers")
        return np.concatenate(self._blocks)

    def _cut(self) -> None:
        if self._blocks:
            self._blocks[-1] = self._blocks[-1][: self._num_rows]


def _array(returned: Any, place: str) -> np.ndarray:
    try:
        found = np.asarray(returned)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionError(
            f"{place}, but answered with {type(returned).__name__}, which is no array: {error}; return an array or a list"
        ) from error
    if found.dtype.kind in ("U", "T"):
        return found.astype(object)
    return found


def _labels(labels: np.ndarray, place: str) -> np.ndarray:
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if labels.dtype.kind == "O" and all(isinstance(name, str) for name in labels):
        return labels
    raise PredictionError(
        f"{place}, but answered with {labels.dtype}; allowed: whole numbers or class names; "
        "take the argmax, or declare output: logits"
    )
