"""Row log: the place and the keys of every row, kept in a temporary file so that the few offenders can be named."""

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from assay.evaluator.data.ingest import Chunk, Origin

_NUMBER = "#number"


class RowLog:
    """Takes chunks in row order; returns the place and the values of any of their rows."""

    def __init__(self, columns: Sequence[str]) -> None:
        """Starts with no rows.

        Args:
            columns: The plain columns whose values are kept.
        """
        self._columns = list(dict.fromkeys(columns))
        self._file = tempfile.TemporaryFile(prefix="assay-check-")  # noqa: SIM115  # needed as long as this object
        self._writer: pa.RecordBatchFileWriter | None = None
        self._reader: pa.RecordBatchFileReader | None = None
        self._origins: list[Origin] = []
        self._starts: list[int] = []
        self.num_rows = 0
        """Rows added."""

    def add(self, chunk: Chunk) -> None:
        """Adds the next chunk.

        Raises:
            OSError: The temporary file cannot be written.
        """
        if not chunk.table.num_rows:
            return
        table, origin = chunk.table, chunk.origin
        steps = np.arange(table.num_rows) if origin.steps is None else origin.steps
        numbers = pa.array(steps.astype(np.int64) + origin.first)
        kept = pa.table([numbers, *(table[name] for name in self._columns)], names=[_NUMBER, *self._columns])
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._file, kept.schema)
        (batch,) = kept.to_batches()
        self._writer.write_batch(batch)
        self._origins.append(Origin(origin.file, origin.unit, origin.first))
        self._starts.append(self.num_rows)
        self.num_rows += table.num_rows

    def number_and_place(self, row: int) -> tuple[int, str]:
        """The line or row number of a row in its file, and its place as text, such as `digits.csv:12`."""
        at, within = self._find(row)
        number = self._batch(at)[_NUMBER][within].as_py()
        return number, self._origins[at].place(number)

    def value(self, row: int, column: str) -> Any:
        """The value of a column in a row."""
        at, within = self._find(row)
        return self._batch(at)[column][within].as_py()

    def _find(self, row: int) -> tuple[int, int]:
        at = int(np.searchsorted(self._starts, row, side="right")) - 1
        return at, row - self._starts[at]

    def _batch(self, at: int) -> pa.RecordBatch:
        if self._reader is None:
            assert self._writer is not None
            self._writer.close()
            self._reader = pa.ipc.open_file(self._file)
        return self._reader.get_batch(at)
