"""Output: checks what a variant returned for a batch against its declared output."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from assay.evaluator.predictors.predictor import PredictionError, Unanswered
from assay.manifests.base_variant import Output
from assay.manifests.errors import did_you_mean
from assay.manifests.plain_text import LONGEST_REASON, text_of
from assay.manifests.row_status import ROW_STATUSES

_BLOCK_BYTES = 1 << 22
_OUTPUT, _STATUS, _REASON = "output", "status", "reason"
_NONE = Unanswered("invalid", "the variant returned None or NaN")


class BatchOutput(NamedTuple):
    """The output for a batch.

    Attributes:
        values: One entry per row, in the standard form of the declared output; None if no row has an answer.
        unanswered: The rows without an answer, by their index in the batch; their values mean nothing.
    """

    values: np.ndarray | None
    unanswered: Mapping[int, Unanswered]


def checked_output(returned: Any, *, output: Output, num_rows: int, variant: str) -> BatchOutput:
    """Checks what a variant returned for a batch, and converts it to the standard form of its declared output.

    Args:
        returned: What the variant returned: any array-like object. Or, if some rows have no answer, a mapping with the
            array-like object as `output`, one status per row as `status`, and one text per row as `reason`.
        output: The output that the variant declares.
        num_rows: Rows of the batch, including padding.
        variant: The variant's name in messages.

    Returns:
        `logits`, `probabilities`: floats of shape (rows, classes) or, with one number a row, (rows,).
        `labels`: int64 or class names (an object array), shape (rows,). `values`: floats of shape (rows,).
        A row for which the variant returned None has no answer.

    Raises:
        PredictionError: The number of rows, the shape or the type does not match the declared output.
    """
    prefix = f"{variant} declares output: {output}"
    unanswered: dict[int, Unanswered] = {}
    if isinstance(returned, Mapping):
        returned, unanswered = _with_statuses(returned, prefix, num_rows)
    returned, absent = _filled(returned)
    unanswered = {**absent, **unanswered}
    if returned is None and len(unanswered) == num_rows:
        return BatchOutput(None, unanswered)
    array = _array(returned, prefix)
    if array.ndim == 0 or array.shape[0] != num_rows:
        raise PredictionError(
            f"{prefix}, but returned an array of shape {array.shape} for a batch of {num_rows} rows; "
            f"the first axis must be {num_rows}, one entry per row of the batch (a last, shorter batch is padded)"
        )
    if len(unanswered) == num_rows:
        return BatchOutput(None, unanswered)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    max_axes = 2 if output in ("logits", "probabilities") else 1
    if array.ndim > max_axes:
        allowed = "(rows, classes) or (rows,)" if max_axes == 2 else "(rows,)"
        raise PredictionError(f"{prefix}, but returned shape {array.shape}; allowed: {allowed}")
    if output == "labels":
        if array.dtype.kind == "f" and np.isnan(array).any():  # how NumPy marks missing integers
            is_nan = np.isnan(array)
            unanswered = {**dict.fromkeys(np.flatnonzero(is_nan).tolist(), _NONE), **unanswered}
            whole = np.where(is_nan, 0, array)
            array = whole.astype(np.int64) if (whole == np.floor(whole)).all() else array
        return BatchOutput(_labels(array, prefix), unanswered)
    if array.dtype.kind not in "fiu":
        raise PredictionError(f"{prefix}, but returned {array.dtype}; allowed: real numbers")
    return BatchOutput(array if array.dtype.kind == "f" else array.astype(np.float64), unanswered)


def _filled(returned: Any) -> tuple[Any, dict[int, Unanswered]]:
    """What was returned, with an entry of another row in place of each row that is masked, None or a missing label.

    Returns:
        The object, or None if no row has an entry; and the rows without one.
    """
    if isinstance(returned, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(returned).reshape(len(returned), -1).any(axis=1) if returned.ndim else np.empty(0)
        absent = dict.fromkeys(
            np.flatnonzero(mask).tolist(), Unanswered("invalid", "the variant returned a masked value")
        )
        return returned.data, absent
    is_series = hasattr(returned, "isna") and hasattr(returned, "to_numpy") and returned.ndim == 1
    if is_series and not (isinstance(returned.dtype, np.dtype) and returned.dtype.kind in "biuf"):
        returned = returned.to_numpy(dtype=object)  # types of pandas have markers of their own for missing values
    is_list = isinstance(returned, list | tuple) or (isinstance(returned, np.ndarray) and returned.dtype.kind == "O")
    if not is_list or np.ndim(returned[0] if len(returned) else 0) > 1:
        return returned, {}
    entries = list(returned)
    rows = [row for row, entry in enumerate(entries) if _is_absent(entry)]
    if not rows:
        return returned, {}
    if len(rows) == len(entries):
        return None, dict.fromkeys(rows, _NONE)
    other = next(entry for entry in entries if not _is_absent(entry))
    for row in rows:
        entries[row] = other
    return entries, dict.fromkeys(rows, _NONE)


def _is_absent(entry: Any) -> bool:
    """Whether an entry is None or a marker of pandas for a missing value; NaN among numbers is found later."""
    return (
        entry is None or type(entry).__name__ in ("NAType", "NaTType") or (type(entry) is float and math.isnan(entry))
    )


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
        self._total_rows = 0
        self._unanswered: dict[int, Unanswered] = {}
        self._gaps: list[tuple[int, int]] = []  # first row and number of rows of batches without any answer

    @property
    def unanswered(self) -> Mapping[int, Unanswered]:
        """The rows without an answer, by their index over all batches."""
        return self._unanswered

    def add(self, output: BatchOutput, *, num_rows: int) -> None:
        """Adds the output for the next batch.

        Args:
            output: The output.
            num_rows: The batch's real rows; those after them are padding.
        """
        for row, unanswered in output.unanswered.items():
            if row < num_rows:
                self._unanswered[self._total_rows + row] = unanswered
        self._total_rows += num_rows
        if output.values is None:
            self._gaps.append((self._total_rows - num_rows, num_rows))
            return
        batch = output.values[:num_rows]
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
        if not self._gaps:
            return np.concatenate(self._blocks)
        answered = np.concatenate(self._blocks) if self._blocks else np.zeros(0)
        joined = np.zeros((self._total_rows, *answered.shape[1:]), answered.dtype)
        is_gap = np.zeros(self._total_rows, dtype=bool)
        for first, num_rows in self._gaps:
            is_gap[first : first + num_rows] = True
        joined[~is_gap] = answered
        return joined

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


def _with_statuses(returned: Mapping[Any, Any], prefix: str, num_rows: int) -> tuple[Any, dict[int, Unanswered]]:
    """The output and the rows without an answer, from a mapping that gives each row a status."""
    if _OUTPUT not in returned or not set(returned) <= {_OUTPUT, _STATUS, _REASON}:
        raise PredictionError(
            f"{prefix}, but returned a mapping with the keys {', '.join(map(repr, returned))}; allowed: an array, or a "
            f"mapping with the keys '{_OUTPUT}', '{_STATUS}' and '{_REASON}'"
        )
    lists = {}
    for name in (_STATUS, _REASON):
        given = returned.get(name)
        lists[name] = [None] * num_rows if given is None else list(given)
        if len(lists[name]) != num_rows:
            raise PredictionError(
                f"{prefix}, but returned {len(lists[name])} entries as '{name}' for a batch of {num_rows} rows; "
                "there must be one entry per row of the batch (a last, shorter batch is padded)"
            )
    unanswered = {}
    for row, (status, reason) in enumerate(zip(lists[_STATUS], lists[_REASON], strict=True)):
        if status is not None and not (isinstance(status, str) and status in ROW_STATUSES):
            known = [str(each) for each in ROW_STATUSES]
            raise PredictionError(
                f"{prefix}, but returned the status {status!r}; allowed: {', '.join(known)}; "
                f"{did_you_mean(str(status), known)}"
            )
        if status not in (None, "ok"):
            unanswered[row] = Unanswered(status, "" if reason is None else text_of(reason, limit=LONGEST_REASON))
    return returned[_OUTPUT], unanswered


def _labels(labels: np.ndarray, prefix: str) -> np.ndarray:
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if labels.dtype.kind == "O" and all(isinstance(name, int | np.integer) for name in labels):
        return labels.astype(np.int64)
    if labels.dtype.kind == "O" and all(isinstance(name, str) for name in labels):
        return labels
    raise PredictionError(
        f"{prefix}, but returned {labels.dtype}; allowed: integers or class names; "
        "return the argmax, or declare output: logits"
    )
