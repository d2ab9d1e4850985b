"""Staging: checked rows written as shard files in a folder of their own, before any of them goes to a store."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest import arrow_schema
from assay.evaluator.data.ingest.arrow_schema import value_bytes
from assay.evaluator.fingerprint import RowsDigest
from assay.manifests.column import FrozenColumn
from assay.manifests.dataset import Shard

ROUND_ROWS = 1024
"""What the rows of a shard and of its record batches are a multiple of: common batch sizes never straddle."""
SHARD_BYTES = 1 << 26
"""What a shard holds at most, uncompressed: large enough for one read at full speed, small enough to hold many."""
CHUNK_BYTES = 1 << 23
"""What a record batch holds at most, uncompressed: many batches of a suite, so that cutting them costs nothing."""


@dataclass(frozen=True)
class StagedShard:
    """A complete shard file that waits to be put into a store.

    Attributes:
        path: The file.
        shard: Its entry in the dataset's manifest.
    """

    path: Path
    shard: Shard


class Staging:
    """Writes rows into shard files. Equal rows give equal files, in whatever pieces they come."""

    def __init__(
        self,
        folder: Path,
        *,
        columns: tuple[FrozenColumn, ...],
        shard_rows: int | None,
        on_rows: Callable[[pa.Table], None] = lambda _: None,
    ) -> None:
        """Starts with no rows.

        Args:
            folder: An empty folder.
            columns: The columns of the rows.
            shard_rows: Rows of each shard; None asks for shards of about `SHARD_BYTES`.
            on_rows: Called with all rows, in their order.
        """
        self._folder, self._columns, self._on_rows = folder, columns, on_rows
        self._schema = arrow_schema(columns)
        self._digest = RowsDigest(self._schema)
        self._shard_rows = shard_rows
        self._chunk_rows = ROUND_ROWS  # until the first rows tell how long one is
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
        self.num_rows = 0
        """Rows so far."""
        self._file: pa.OSFile | None = None
        self._writer: pa.RecordBatchFileWriter | None = None
        self._rows_in_shard = 0
        self._staged: list[StagedShard] = []

    @property
    def shard_rows(self) -> int:
        """Rows of every shard but the last; known once rows have been staged."""
        assert self._shard_rows is not None
        return self._shard_rows

    @property
    def rows_digest(self) -> str:
        """The digest of the rows so far."""
        return self._digest.digest()

    @property
    def parent(self) -> None:
        """The rows that these are a sample of: they are none."""

    def add(self, rows: pa.Table) -> None:
        """Takes the next rows, any number of them."""
        self._digest.update(rows)
        self._on_rows(rows)
        self.num_rows += rows.num_rows
        self._waiting.append(rows)
        self._num_waiting += rows.num_rows
        if self._num_waiting >= self._chunk_rows:
            self._write_chunks(is_last=False)

    def finish(self) -> tuple[StagedShard, ...]:
        """Writes what is left and gives all shards, in row order."""
        if self._num_waiting:
            self._write_chunks(is_last=True)
        if self._writer is not None:
            self._close_shard()
        return tuple(self._staged)

    def _write_chunks(self, *, is_last: bool) -> None:
        """Writes what is waiting, but for rows that more rows will make a whole chunk of."""
        table = pa.concat_tables(self._waiting)
        if self.num_rows == self._num_waiting:
            head = table.slice(0, ROUND_ROWS)
            self._chunk_rows = rows_within(CHUNK_BYTES, head, columns=self._columns)
            self._shard_rows = self._shard_rows or rows_within(SHARD_BYTES, head, columns=self._columns)
        while table.num_rows:
            # Chunks are counted from the start of their shard, so that the pieces in which rows came do not show.
            num_rows = min(self._chunk_rows, self.shard_rows - self._rows_in_shard)
            if table.num_rows < num_rows and not is_last:
                break
            self._write(normalised(table.slice(0, num_rows)))
            table = table.slice(num_rows)
        self._waiting, self._num_waiting = [table], table.num_rows

    def _write(self, chunk: pa.RecordBatch) -> None:
        if self._writer is None:
            self._file = pa.OSFile(str(self._path), "wb")
            self._writer = pa.ipc.new_file(self._file, self._schema, options=self._options())
        self._writer.write_batch(chunk)
        self._rows_in_shard += chunk.num_rows
        if self._rows_in_shard == self._shard_rows:
            self._close_shard()

    def _close_shard(self) -> None:
        assert self._writer is not None
        assert self._file is not None
        self._writer.close()
        self._file.close()
        first_row = len(self._staged) * self.shard_rows
        shard = _described(self._path, index=len(self._staged), first_row=first_row, num_rows=self._rows_in_shard)
        self._staged.append(StagedShard(self._path, shard))
        self._writer, self._rows_in_shard = None, 0

    @property
    def _path(self) -> Path:
        return self._folder / f"{len(self._staged):06d}.arrow"

    def _options(self) -> pa.ipc.IpcWriteOptions:
        """Numbers are read from the file as they lie; texts are worth compressing."""
        has_text = any(column.type == "string" and column.role == "feature" for column in self._columns)
        return pa.ipc.IpcWriteOptions(compression="zstd" if has_text else None, use_threads=False)


def rows_within(num_bytes: int, head: pa.Table, *, columns: tuple[FrozenColumn, ...]) -> int:
    """As many rows as take about some bytes: a multiple of `ROUND_ROWS`, at least one.

    Args:
        num_bytes: The most that they may take, uncompressed.
        head: The first `ROUND_ROWS` rows: the length of texts is taken from them.
        columns: The columns of the rows.
    """
    row_bytes = 0
    for column in columns:
        text_bytes = 0
        if column.type == "string":
            texts: Any = head[column.name].combine_chunks()
            text_bytes = -(-(pc.sum(pc.binary_length(texts)).as_py() or 0) // head.num_rows)
        row_bytes += value_bytes(column, text_bytes=text_bytes)
    return max(1, num_bytes // row_bytes // ROUND_ROWS) * ROUND_ROWS


def normalised(rows: pa.Table) -> pa.RecordBatch:
    """The rows as one record batch whose buffers hold nothing else: equal rows are written as equal bytes."""
    (batch,) = rows.combine_chunks().to_batches()
    # Slices keep the buffers that they were cut from, and with them an offset; taking the rows makes new ones.
    # The writer does not: it pads a text's bytes with those of the next row, and keeps what lies under a null.
    return batch.take(np.arange(batch.num_rows))


def _described(path: Path, *, index: int, first_row: int, num_rows: int) -> Shard:
    blake, sha = blake3.blake3(), hashlib.sha256()
    for piece in _pieces(path):
        blake.update(piece)
        sha.update(piece)
    digest = blake.hexdigest()
    return Shard(
        index=index,
        key=f"objects/blake3/{digest[:2]}/{digest}.arrow",
        first_row=first_row,
        num_rows=num_rows,
        size_bytes=path.stat().st_size,
        blake3=f"blake3:{digest}",
        sha256=f"sha256:{sha.hexdigest()}",
    )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            yield piece
