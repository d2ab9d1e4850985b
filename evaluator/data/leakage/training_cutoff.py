"""Training cut-off: whether the rows of a dataset are newer than those of the training sets."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.errors import DataError
from assay.manifests.base import Instant

_MICROSECONDS = pa.timestamp("us", "UTC")


class TrainingCutoff:
    """The newest row of the training sets, and the number of their rows that are not older than a cut-off."""

    def __init__(self, cutoff: Instant | None) -> None:
        self._cutoff = None if cutoff is None else _microseconds(datetime.fromisoformat(cutoff))
        self._newest: int | None = None
        self.num_not_older = 0

    def add(self, column: pa.ChunkedArray) -> None:
        """Adds the timestamps of some rows of a training set."""
        values = as_microseconds(column)
        if not len(values):
            return
        newest = int(values.max())
        self._newest = newest if self._newest is None else max(newest, self._newest)
        if self._cutoff is not None:
            self.num_not_older += int((values >= self._cutoff).sum())

    def too_old(self, values: np.ndarray) -> np.ndarray | None:
        """A mask of rows before the cut-off or, without one, not newer than all training rows; None: cannot be decided.

        Args:
            values: Microseconds since 1970, shape (rows,).
        """
        if self._cutoff is not None:
            return values < self._cutoff
        return None if self._newest is None else values <= self._newest

    @property
    def description(self) -> str:
        """What the rows are compared with, in words."""
        if self._cutoff is not None:
            return f"rows before the cut-off {_in_words(self._cutoff)}"
        if self._newest is None:
            return "no training set has the timestamp column, and there is no --cutoff"
        return f"rows not newer than the newest training row, {_in_words(self._newest)}"


def as_microseconds(column: Any) -> np.ndarray:
    """Dates and timestamps as microseconds since 1970, without nulls; a date counts as its start in UTC."""
    moments = pc.cast(column.drop_null(), _MICROSECONDS)
    return pc.cast(moments, pa.int64()).to_numpy()


def instant(text: str) -> Instant:
    """Parses a date or time; without a time zone it is in UTC.

    Raises:
        DataError: It is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(
            "not a date or time",
            field="--cutoff",
            value=text,
            bound="ISO 8601, such as 2026-01-31 or 2026-01-31T12:00:00",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _microseconds(moment: datetime) -> int:
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def _in_words(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, tz=UTC).isoformat(sep=" ", timespec="seconds")
