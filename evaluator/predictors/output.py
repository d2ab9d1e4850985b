"""Output: checks what a variant returned for a batch against its declared output."""

from typing import Any

import numpy as np

from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.base_variant import Output

_BLOCK_BYTES = 1 << 22


def checked_output(returned: Any, *, output: Output, num_rows: int, variant: str) -> np.ndarray:
    """Checks what a variant returned for a batch, and converts it to the standard form of its declared output.

    Args:
        returned: What the variant returned: any array-like object.
        output: The output that the variant declares.
        num_rows: Rows of the batch, including padding.
        variant: The variant's name in messages.

    Returns:
        `logits`, `probabilities`: floats of shape (rows, classes) or, with one number a row, (rows,).
        `labels`: int64 or class names (an object array), shape (rows,). `values`: floats of shape (rows,).

    Raises:
        PredictionError: The number of rows, the shape or the type does not match the declared output.
    """
    prefix = f"{variant} declares output: {output}"
    array = _array(returned, prefix)
    if array.ndim == 0 or array.shape[0] != num_rows:
        raise PredictionError(
            f"{prefix}, but returned an array of shape {array.shape} for a batch of {num_rows} rows; "
            f"the first axis must be {num_rows}, one entry per row of the batch (a last, shorter batch is padded)"
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    max_axes = 2 if output in ("logits", "probabilities") else 1
    if array.ndim > max_axes:
        allowed = "(rows, classes) or (rows,)" if max_axes == 2 else "(rows,)"
        raise PredictionError(f"{prefix}, but returned shape {array.shape}; allowed: {allowed}")
    if output == "labels":
        return _labels(array, prefix)
    if array.dtype.kind not in "fiu":
        raise PredictionError(f"{prefix}, but returned {array.dtype}; allowed: real numbers")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


class CollectedOutput:
    """Collects a copy of the output for consecutive batches, because a variant may reuse its memory.

    Copies go into blocks of many batches. Small arrays kept between short-lived ones would make every batch use new
    memory, which is not in the CPU's cache.
    """

    def __init__(self, *, variant: str) -> None:
        """Starts without output.

        Args:
            variant: The variant's name in messages.
        """
        self._variant = variant
        self._blocks: list[np.ndarray] = []
        self._num_rows = 0  # in the last block; those before it are full

    def add(self, batch: np.ndarray) -> None:
        """Adds the output for the next batch, without padding."""
        last = self._blocks[-1] if self._blocks else batch[:0]
        stop = self._num_rows + len(batch)
        if stop > len(last) or last.shape[1:] != batch.shape[1:] or last.dtype != batch.dtype:
            self._trim()
            num_batches = max(1, _BLOCK_BYTES // max(1, batch.nbytes))
            last, stop = np.empty((len(batch) * num_batches, *batch.shape[1:]), batch.dtype), len(batch)
            self._blocks.append(last)
        last[stop - len(batch) : stop] = batch
        self._num_rows = stop

    def joined(self) -> np.ndarray:
        """The output of all batches as one array.

        Raises:
            PredictionError: The shape or the kind of the output differs between batches.
        """
        self._trim()
        shapes = sorted({block.shape[1:] for block in self._blocks})
        if len(shapes) > 1:
            first, second = (f"(rows{''.join(f', {size}' for size in shape)})" for shape in shapes[:2])
            raise PredictionError(
                f"{self._variant} returns shape {first} for some batches and {second} for others; "
                "allowed: one shape for every batch"
            )
        if len({block.dtype.kind for block in self._blocks}) > 1:
            raise PredictionError(
                f"{self._variant} returns class names for some batches and numbers for others; "
                "allowed: one kind for every batch"
            )
        return np.concatenate(self._blocks)

    def _trim(self) -> None:
        if self._blocks:
            self._blocks[-1] = self._blocks[-1][: self._num_rows]


def _array(returned: Any, prefix: str) -> np.ndarray:
    try:
        array = np.asarray(returned)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionError(
            f"{prefix}, but returned a {type(returned).__name__} that cannot be converted to an array: {error}; "
            "return an array or a list with one entry per row"
        ) from error
    if array.dtype.kind in ("U", "T"):
        return array.astype(object)
    return array


def _labels(labels: np.ndarray, prefix: str) -> np.ndarray:
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if labels.dtype.kind == "O" and all(isinstance(name, str) for name in labels):
        return labels
    raise PredictionError(
        f"{prefix}, but returned {labels.dtype}; allowed: integers or class names; "
        "return the argmax, or declare output: logits"
    )
