"""The commit record: lists the files of a committed run."""

from dataclasses import dataclass

import pyarrow as pa

from assay.manifests.ledger_layout import Table

COMMIT_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("table", pa.string()),
        ("path", pa.string()),
        ("num_rows", pa.int64()),
        ("size_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("run_digest", pa.string()),
        ("committer", pa.string()),
        ("committed_at", pa.string()),
    ]
)
"""The columns of the commit record, which has one row per file. `path` is relative to the ledger's layout folder."""


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
