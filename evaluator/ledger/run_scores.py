"""The scores of some arms of a run, on the same rows: each file is read and verified once, and some columns are kept.

Axes: R rows, A arms.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator.errors import DamageError, UnitDamageError
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.reader import read_scores
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.stored_scores import CLASSES, from_stored, rows_schema, stored_columns
from assay.evaluator.ledger.unreadable import UNREADABLE
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX
from assay.manifests.run import Run

_ALWAYS_COMPARED = ("row_index", "row_id", "label")
_PREDICTIONS = ("prediction", "probabilities")


class RunScores:
    """Columns of the scores of some arms.

    An arm is read when it is asked for, and all arms when one of the kept columns is. The memory is that of the scores
    of row metrics (rows x arms; bool if they are 0 or 1), of the predictions and probabilities of every arm if they
    are kept, and of the other columns once. In addition, one file is in memory at a time.

    Attributes:
        run: The run's record.
        arms: The names of the arms, the axis A.
    """

    def __init__(
        self,
        store: Store,
        run: Run,
        units: Mapping[str, Sequence[LedgerFile | UnitReceipt]],
        *,
        columns: Iterable[str],
    ) -> None:
        """Reads nothing yet.

        Args:
            store: The ledger's store.
            run: The run's record.
            units: Per arm, its score files in row order: files of a commit record, or receipts of units.
            columns: The columns to keep, under their names in the table `scores`. `row_index` is always kept.
        """
        self.run, self.arms = run, tuple(units)
        self._store, self._units = store, units
        self._kept = dict.fromkeys(["row_index", *columns])
        metrics = run.experiment.suite.metrics if run.experiment.suite.repeats == 1 else ()
        self._bits = {SCORE_COLUMN_PREFIX + metric.name for metric in metrics if metric.is_binary}
        self._files: dict[str, list[LedgerFile]] = {}
        self._rows: list[pa.Table] = []  # of the first arm, per unit; the other arms are compared with them
        self._scores: dict[str, np.ndarray] = {}
        self._predictions: dict[tuple[str, str], list[pa.ChunkedArray]] = {}
        self._first: tuple[LedgerFile, pq.ParquetFile] | None = None

    @cached_property
    def segment_columns(self) -> list[str]:
        """The segment columns that the scores have, under their names in the dataset.

        Opens the first file; it is kept until its rows are read.
        """
        self._first = self._opened(self.arms[0], 0)
        names = rows_schema(self._first[1].schema_arrow).names
        return [name.removeprefix(SEGMENT_COLUMN_PREFIX) for name in names if name.startswith(SEGMENT_COLUMN_PREFIX)]

    def tables(self, arm: str) -> Iterator[pa.Table]:
        """Yields an arm's scores unit by unit, in row order, with all columns.

        Raises:
            DamageError: A file was changed, or the arm does not have the same rows as the first arm.
        """
        return self._read(arm, whole=True)

    def files(self, arm: str) -> list[LedgerFile]:
        """An arm's files, with the digests of the bytes that were read."""
        if arm not in self._files:
            for _ in self._read(arm, whole=False):
                pass
        return self._files[arm]

    def rows(self) -> pa.Table:
        """The kept columns that all arms share: `row_index`, `label`, `cluster` and segments."""
        self._read_all()
        return pa.concat_tables(self._rows)

    def scores_RA(self, column: str) -> np.ndarray:
        """A kept score column, rows x arms, read-only: bool if the metric's scores are 0 or 1, else float64."""
        self._read_all()
        scores_RA = self._scores[column].view()
        scores_RA.flags.writeable = False
        return scores_RA

    def predictions(self, arm: str, column: str) -> pa.ChunkedArray:
        """An arm's column `prediction` or `probabilities`, if it is kept."""
        self._read_all()
        return pa.chunked_array([chunk for each in self._predictions[arm, column] for chunk in each.chunks])

    def keeps(self, columns: Iterable[str]) -> bool:
        """Whether all of these columns are kept."""
        return self._kept.keys() >= set(columns)

    def forget(self, columns: Iterable[str]) -> None:
        """Frees the columns `prediction` and `probabilities`, if they are among these. Other columns are kept."""
        for column in set(columns).intersection(_PREDICTIONS):
            self._kept.pop(column, None)
            for arm in self.arms:
                self._predictions.pop((arm, column), None)

    def _read_all(self) -> None:
        for arm in self.arms:
            self.files(arm)
        self._rows = [rows.select([name for name in rows.column_names if name in self._kept]) for rows in self._rows]

    def _read(self, arm: str, *, whole: bool) -> Iterator[pa.Table]:
        """Yields an arm's units, with all columns or with those that are needed, and keeps the columns to be kept."""
        if arm != self.arms[0]:
            self.files(self.arms[0])  # the rows to compare with
        if self._num_rows(arm) != self._num_rows(self.arms[0]):
            raise self._rows_differ(arm)
        kept = [column for column in self._kept if column in _PREDICTIONS]
        self._predictions.update({(arm, column): [] for column in kept})
        files: list[LedgerFile] = []
        rows: list[pa.Table] = []
        stop = 0
        for unit in range(len(self._units[arm])):
            file, content = self._opened(arm, unit)
            self._first = None
            try:
                names = rows_schema(content.schema_arrow).names
                wanted = names if whole else [name for name in names if name in {*self._kept, *_ALWAYS_COMPARED}]
                table = from_stored(content.read(stored_columns(wanted)), wanted)
            except UNREADABLE as error:
                raise UnitDamageError(self._store.uri, file.key, f"does not hold scored rows: {error}") from error
            start, stop = stop, stop + len(table)
            files.append(file)
            if arm == self.arms[0]:
                rows.append(table.select(self._shared(names)))
            elif not table.select(self._rows[unit].column_names).equals(self._rows[unit]):
                raise self._rows_differ(arm, f"'{file.key}': ")
            self._keep_scores(arm, table, start)
            for column in kept:
                self._predictions[arm, column].append(table[column])
            yield table
        self._files[arm] = files
        if arm == self.arms[0]:
            self._rows = rows

    def _opened(self, arm: str, unit: int) -> tuple[LedgerFile, pq.ParquetFile]:
        """One file, verified."""
        if self._first is not None and (arm, unit) == (self.arms[0], 0):
            return self._first
        file, content = read_scores(self._store, self._units[arm][unit])
        try:
            return file, pq.ParquetFile(pa.BufferReader(content), read_dictionary=CLASSES)
        except UNREADABLE as error:
            raise UnitDamageError(self._store.uri, file.key, f"is no Parquet file: {error}") from error

    def _num_rows(self, arm: str) -> list[int]:
        return [unit.num_rows for unit in self._units[arm]]

    def _shared(self, names: Sequence[str]) -> list[str]:
        """Of a file's columns, those that all arms must have in common."""
        of_arms = {*_PREDICTIONS, *(name for name in names if name.startswith(SCORE_COLUMN_PREFIX))}
        return [name for name in names if name in {*self._kept, *_ALWAYS_COMPARED} - of_arms]

    def _keep_scores(self, arm: str, table: pa.Table, start: int) -> None:
        at = slice(start, start + len(table)), self.arms.index(arm)
        for column in self._kept:
            if column.startswith(SCORE_COLUMN_PREFIX):
                scores_R = table[column].to_numpy()
                are_bits = column in self._bits
                if column not in self._scores:
                    shape = sum(self._num_rows(arm)), len(self.arms)
                    self._scores[column] = np.empty(shape, np.bool_ if are_bits else np.float64)
                if are_bits and table[column].null_count:  # a row without an answer has no score
                    self._scores[column] = self._scores[column].astype(np.float64)
                self._scores[column][at] = scores_R
                if are_bits and not np.isin(scores_R[~np.isnan(scores_R)], (0, 1)).all():
                    metric = column.removeprefix(SCORE_COLUMN_PREFIX)
                    raise DamageError(
                        f"run '{self.run.run_id}': scores of '{metric}' for arm '{arm}' are not all 0 or 1"
                    )

    def _rows_differ(self, arm: str, place: str = "") -> DamageError:
        return DamageError(
            f"{place}run '{self.run.run_id}': arm '{arm}' does not have the same rows as arm '{self.arms[0]}'"
        )
