"""Training: a set of rows that a variant may have learned from; only the columns of the dataset are read."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.frozen.shards import ShardReader, open_dataset
from assay.evaluator.data.ingest import Chunk, Origin, arrow_type, read_chunks
from assay.evaluator.data.ingest.arrow_schema import MISSING_COLUMN, UNKNOWN_COLUMN
from assay.evaluator.data.ingest.source import require_source, unreadable
from assay.evaluator.errors import DataError
from assay.evaluator.storage import Store
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from assay.manifests.leakage import TrainingSet

WANTED = ("feature", "id", "timestamp")
"""The roles of the columns that are read; only features are required."""


@dataclass(frozen=True)
class TrainingRows:
    """Some consecutive rows.

    Attributes:
        table: The columns of the dataset with a role in `WANTED` that the training set has, in the dataset's types.
        origin: The position of the rows.
    """

    table: pa.Table
    origin: Origin

    def numbers(self) -> npt.NDArray[np.int64]:
        """The line or row number of each row, shape (rows,)."""
        steps = self.origin.steps
        return self.origin.first + (np.arange(self.table.num_rows) if steps is None else steps.astype(np.int64))


@dataclass
class Training:
    """A training set: a file, or a frozen dataset.

    Attributes:
        name: The file's name or `name@version`.
        sha256: The digest of its bytes or of its frozen rows.
        num_rows: The number of rows; known once they have been read.
    """

    name: str
    sha256: str
    num_rows: int = field(default=0, init=False)

    def rows(self) -> Iterator[TrainingRows]:
        """Reads all rows, in pieces; may be called several times.

        Raises:
            DataError: A feature is missing, or a value does not have the dataset's type.
        """
        num_rows = 0
        for rows in self._read():
            num_rows += rows.table.num_rows
            yield rows
        self.num_rows = num_rows

    def _read(self) -> Iterator[TrainingRows]:
        raise NotImplementedError

    @property
    def manifest(self) -> TrainingSet:
        """What is recorded about the training set."""
        return TrainingSet(name=self.name, sha256=self.sha256, num_rows=self.num_rows)


def open_training(location: str, *, dataset: Dataset) -> Training:
    """Opens a training set.

    Args:
        location: A file of rows, or `STORE/name@version`.
        dataset: The dataset whose rows are searched for.

    Raises:
        DataError: There is no such file or dataset, or it lacks a feature.
        DamageError: The frozen dataset is damaged.
    """
    path = Path(location)
    if "@" in path.name and not os.path.isfile(path):  # noqa: PTH113  # Path.is_file raises without permission
        return _Frozen(*open_dataset(location), wanted=dataset)
    return _File(path, dataset.contract)


class _File(Training):
    """A file in any format that can be frozen."""

    def __init__(self, path: Path, contract: Contract) -> None:
        self._path, self._columns, self._contract = path, _columns(contract), contract
        require_source(path)
        try:
            with path.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise unreadable(path, error) from error
        super().__init__(path.name, digest)

    def _read(self) -> Iterator[TrainingRows]:
        """Reads the file; restarts after an unknown column, since chunk boundaries do not depend on the columns."""
        num_yielded, has_value = 0, set[str]()
        features = [column.name for column in self._columns if column.role == "feature"]
        while True:
            try:
                for number, chunk in enumerate(read_chunks(self._path, contract=self._as_contract())):
                    if number < num_yielded:
                        continue
                    self._require_readable(chunk)
                    has_value |= {name for name in features if chunk.table[name].null_count < chunk.table.num_rows}
                    num_yielded += 1
                    yield TrainingRows(chunk.table, chunk.origin)
                break
            except _UnknownColumnError as error:
                self._columns.append(Column(name=error.name, role="ignored"))
            except DataError as error:
                self._adapt(error)
        for name in features:
            if name not in has_value:
                raise DataError(
                    MISSING_COLUMN, place=self._path.name, field=name, remedy="this feature is missing in every row"
                )

    def _as_contract(self) -> Contract:
        return self._contract.model_copy(update={"columns": tuple(self._columns)})

    def _adapt(self, error: DataError) -> None:
        """Adapts the columns to those of the file, or raises the error again."""
        if error.problem == UNKNOWN_COLUMN:
            self._columns.append(Column(name=error.field, role="ignored"))
            return
        optional = [column for column in self._columns if column.role in ("id", "timestamp")]
        missing = [column for column in optional if column.name == error.field]
        if error.problem != MISSING_COLUMN or not missing:
            raise error
        self._columns.remove(missing[0])

    def _require_readable(self, chunk: Chunk) -> None:
        for offence in chunk.offences:
            if offence.problem == UNKNOWN_COLUMN:
                raise _UnknownColumnError(offence.column)
        for offence in chunk.offences:
            raise offence.error(remedy="training sets must have the types of the dataset's contract")
        for column in self._columns:
            if column.shape and chunk.table[column.name].null_count:
                raise DataError("a tensor is null", place=chunk.origin.place(chunk.origin.first), field=column.name)


class _UnknownColumnError(Exception):
    """An object of a jsonl file has a name that no earlier object had."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Frozen(Training):
    """A frozen dataset."""

    def __init__(self, frozen: Dataset, store: Store, *, wanted: Dataset) -> None:
        super().__init__(frozen.reference, frozen.rows_digest)
        self._frozen, self._store = frozen, store
        available = {column.name: column for column in frozen.columns}
        self._names = []
        for column in wanted.columns:
            if column.role not in WANTED:
                continue
            match = available.get(column.name)
            if match is None and column.role != "feature":
                continue
            if match is None or arrow_type(match) != arrow_type(column):
                raise DataError(
                    "the training set lacks this feature" if match is None else "the column has another type",
                    place=frozen.reference,
                    field=column.name,
                    value=None if match is None else str(arrow_type(match)),
                    bound=str(arrow_type(column)),
                )
            self._names.append(column.name)

    def _read(self) -> Iterator[TrainingRows]:
        reader = ShardReader(self._frozen, self._store)
        for shard in self._frozen.shards:
            table = reader.table(reader.fetch(shard)).select(self._names)
            yield TrainingRows(table, Origin(self._frozen.reference, "row", shard.first_row + 1))


def _columns(contract: Contract) -> list[Column]:
    return [
        column if column.role in WANTED else Column(name=column.name, role="ignored") for column in contract.columns
    ]
