"""Staging: writes checked rows as shard files to a temporary folder, before any of them is stored."""

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
from assay.manifests.dataset import Shard, shard_key

ROUND_ROWS = 1024
"""Shards and record batches have a multiple of this many rows, so that common batch sizes do not cross their ends."""
SHARD_BYTES = 1 << 26
"""The maximum size of a shard, uncompressed: large enough to read at full speed, small enough to keep many."""
CHUNK_BYTES = 1 << 23
"""The maximum size of a record batch, uncompressed: many batches of a suite, so that slicing them is cheap."""


@dataclass(frozen=True)
class StagedShard:
    """A complete shard file that has not been stored yet.

    Attributes:
        path: The file.
        shard: Its entry in the dataset's manifest.
    """

    path: Path
    shard: Shard


class Staging:
    """Writes rows to shard files. Equal rows give equal files, in whatever pieces they are added."""

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
            shard_rows: Rows in each shard; None: shards of about `SHARD_BYTES`.
            on_rows: Called with all rows, in their order.
        """
        self._folder, self._columns, self._on_rows = folder, columns, on_rows
        self._schema = arrow_schema(columns)
        self._digest = RowsDigest(self._schema)
        self._shard_rows = shard_rows
        self._chunk_rows = ROUND_ROWS  # until the first rows show the size of a row
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
        self.num_rows = 0
        """Rows added so far."""
        self._file: pa.OSFile | None = None
        self._writer: pa.RecordBatchFileWriter | None = None
        self._rows_in_shard = 0
        self._staged: list[StagedShard] = []

    @property
    def shard_rows(self) -> int:
        """Rows in every shard but the last; known once rows have been staged."""
        assert self._shard_rows is not None
        return self._shard_rows

    @property
    def rows_digest(self) -> str:
        """The digest of the rows so far."""
        return self._digest.digest()

    @property
    def parent(self) -> None:
        """The rows that these are a sample of: always None, since they are not a sample."""

    def add(self, rows: pa.Table) -> None:
        """Adds the next rows, any number of them."""
        self._digest.update(rows)
        self._on_rows(rows)
        self.num_rows += rows.num_rows
        self._waiting.append(rows)
        self._num_waiting += rows.num_rows
        if self._num_waiting >= self._chunk_rows:
            self._write_chunks(is_last=False)

    def finish(self) -> tuple[StagedShard, ...]:
        """Writes the remaining rows and returns all shards, in row order."""
        if self._num_waiting:
            self._write_chunks(is_last=True)
        if self._writer is not None:
            self._close_shard()
        return tuple(self._staged)

    def _write_chunks(self, *, is_last: bool) -> None:
        """Writes the waiting rows as complete chunks; the rest waits for more rows, unless `is_last`."""
        table = pa.concat_tables(self._waiting)
        if self.num_rows == self._num_waiting:
            head = table.slice(0, ROUND_ROWS)
            self._chunk_rows = rows_within(CHUNK_BYTES, head, columns=self._columns)
            self._shard_rows = self._shard_rows or rows_within(SHARD_BYTES, head, columns=self._columns)
        while table.num_rows:
            # Chunks are counted from the start of their shard, so that files do not depend on the pieces rows were added in.
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
        """Numbers are mapped from the file without a copy; texts are worth compressing."""
        has_text = any(column.type == "string" and column.role == "feature" for column in self._columns)
        return pa.ipc.IpcWriteOptions(compression="zstd" if has_text else None, use_threads=False)


def rows_within(num_bytes: int, head: pa.Table, *, columns: tuple[FrozenColumn, ...]) -> int:
    """The number of rows that fit a size: a multiple of `ROUND_ROWS`, at least `ROUND_ROWS`.

    Args:
        num_bytes: The maximum size, uncompressed.
        head: The first `ROUND_ROWS` rows, from which the length of texts is estimated.
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
    """The rows as one record batch whose buffers contain nothing else: equal rows are written as equal bytes."""
    (batch,) = rows.combine_chunks().to_batches()
    # Slices keep the buffers that they were cut from, with an offset; taking the rows creates new buffers.
    # The writer does not: it would pad text with the bytes of the next row, and keep the values under nulls.
    return batch.take(np.arange(batch.num_rows))


def _described(path: Path, *, index: int, first_row: int, num_rows: int) -> Shard:
    blake, sha = blake3.blake3(), hashlib.sha256()
    for piece in _pieces(path):
        blake.update(piece)
        sha.update(piece)
    digest = f"blake3:{blake.hexdigest()}"
    return Shard(
        index=index,
        key=shard_key(digest),
        first_row=first_row,
        num_rows=num_rows,
        size_bytes=path.stat().st_size,
        blake3=digest,
        sha256=f"sha256:{sha.hexdigest()}",
    )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            yield piece
