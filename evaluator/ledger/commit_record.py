"""The commit record of a run: the files that it lists with their digests, and the digest of the run's own record."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.ledger.log_chain import Position
from assay.evaluator.ledger.schema import COMMITS
from assay.evaluator.ledger.unreadable import UNREADABLE, first_line
from assay.manifests.ledger_layout import LAYOUT, Table, table_key, table_prefix


@dataclass(frozen=True)
class LedgerFile:
    """One file of one table of one run.

    Attributes:
        table: The table it belongs to.
        key: Its key in the ledger's store.
        num_rows: The number of its rows.
        size_bytes: Its size in bytes.
        sha256: The digest of its bytes.
    """

    table: Table
    key: str
    num_rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class CommitRecord:
    """What a commit record says.

    Attributes:
        run_id: The run.
        files: The run's files.
        record_digest: The sha256 of the run's record, `runs/RUN.json`.
        logged_before: A position that the version log had before the commit.
        committed_at: When it was committed: UTC, ISO 8601.
        sha256: The digest of the commit record itself.
    """

    run_id: str
    files: tuple[LedgerFile, ...]
    record_digest: str
    committed_at: str
    logged_before: Position
    sha256: str

    @classmethod
    def parse(cls, content: pa.Buffer) -> "CommitRecord":
        """Reads a commit record.

        Raises:
            ValueError: The bytes are not those of a commit record; the message follows the record's key.
        """
        try:
            table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)  # small: threads cost more
            columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in COMMITS.names}
        except UNREADABLE as error:
            raise ValueError(f"cannot be read: {first_line(error)}") from error
        if not table.schema.equals(COMMITS):
            raise ValueError("was changed: its columns are not those of a commit record")
        names = ("run_id", "record_digest", "committed_at", "log_number", "log_seal", "committer")
        of_all = [set(columns[name]) for name in names]
        if any(len(values) != 1 for values in of_all):
            raise ValueError("was changed: its rows do not belong to one commit of one run")
        keys = [f"{LAYOUT}/{path}" for path in columns["path"]]
        listed = zip(columns["table"], keys, columns["num_rows"], columns["size_bytes"], columns["sha256"], strict=True)
        run_id, record_digest, committed_at, log_number, log_seal, _ = (values.pop() for values in of_all)
        files = tuple(LedgerFile(*row) for row in listed)
        before = Position(log_number, log_seal)
        return cls(run_id, files, record_digest, committed_at, before, fingerprint.sha256_digest(content))

    def problems(self, run_id: str) -> Iterator[str]:
        """What contradicts that this is a commit record of a run, as phrases that follow the record's key."""
        if self.run_id != run_id:
            yield f"is the commit record of another run: {self.run_id}"
        keys = [file.key for file in self.files]
        if keys != sorted(set(keys)):
            yield "was changed: its files are not in order, or are listed twice"
        tables = set(get_args(Table))
        for file in self.files:
            if file.table not in tables or not file.key.startswith(table_prefix(file.table, run_id)):
                yield f"was changed: it lists '{file.key}' as a file of the table {file.table}"
            elif file.table != "scores" and file.key != table_key(file.table, run_id, file.sha256):
                yield f"was changed: it lists '{file.key}' with another digest than the one in its name, {file.sha256}"
        counts = Counter(file.table for file in self.files if file.table != "scores")
        for table, count in counts.items():
            if count > 1:
                yield f"was changed: it lists {count} files of the table {table}, but a run has one"
