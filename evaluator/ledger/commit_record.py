"""A file of the ledger, as a commit record lists it."""

from dataclasses import dataclass

from assay.manifests.ledger_layout import Table


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
