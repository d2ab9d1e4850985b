"""Reading the ledger: committed runs only, and what is stored rather than what was sent."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator import fingerprint
from evaluator.errors import DamageError, LedgerError
from evaluator.storage import Store
from manifests.errors import did_you_mean
from manifests.ledger import LAYOUT, Run, Table, commit_key, run_key, table_prefix

RECEIPT_METADATA = b"assay.receipt"
"""Where a unit file keeps its own receipt, so that a resumed run needs no other state."""

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
"""The commit record: one row a file. `path` is relative to the ledger's layout folder."""


@dataclass(frozen=True)
class LedgerFile:
    """One file of one table of one run.

    Attributes:
        table: The table it belongs to.
        key: Its key in the ledger's store.
        num_rows: How many rows it has.
        size_bytes: Its size.
        sha256: The digest of its bytes.
    """

    table: Table
    key: str
    num_rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class UnitReceipt:
    """What is known of one published unit without reading its rows.

    Attributes:
        arm: The arm.
        unit: The unit's index.
        key: The file's key.
        num_rows: How many rows it has.
        size_bytes: Its size.
        sha256: The digest of the file's bytes.
        scores_digest: The digest of the scored rows, whoever wrote them.
        facts: Where, when and how fast it was evaluated.
    """

    arm: str
    unit: int
    key: str
    num_rows: int
    size_bytes: int
    sha256: str
    scores_digest: str
    facts: dict[str, Any]

    @property
    def file(self) -> LedgerFile:
        """The file as the commit record lists it."""
        return LedgerFile("scores", self.key, self.num_rows, self.size_bytes, self.sha256)


@dataclass(frozen=True)
class RunState:
    """One run in a listing.

    Attributes:
        run_id: The run.
        committed: Whether it is whole.
    """

    run_id: str
    committed: bool


def runs(store: Store) -> tuple[RunState, ...]:
    """Every opened run, by id."""
    found = [_stem(entry.key) for entry in store.listing(f"{LAYOUT}/runs/")]
    committed = {_stem(entry.key) for entry in store.listing(f"{LAYOUT}/commits/")}
    return tuple(RunState(run_id, run_id in committed) for run_id in found)


def read_run(store: Store, run_id: str) -> Run:
    """The record of an opened run.

    Raises:
        LedgerError: There is no such run.
    """
    try:
        return Run.model_validate_json(store.get(run_key(run_id)).to_pybytes())
    except FileNotFoundError:
        known = [run.run_id for run in runs(store)]
        hint = did_you_mean(run_id, known) or "it holds no run yet: 'assay run EXPERIMENT' makes one"
        raise LedgerError(f"{store.uri}: the ledger has no run '{run_id}'; {hint}") from None


def is_committed(store: Store, run_id: str) -> bool:
    """Whether the run is whole."""
    return store.exists(commit_key(run_id))


def committed_files(store: Store, run_id: str) -> tuple[LedgerFile, ...]:
    """The files of a committed run.

    Raises:
        LedgerError: The run is unknown, or not committed yet.
    """
    if not is_committed(store, run_id):
        read_run(store, run_id)
        raise LedgerError(
            f"{store.uri}: run '{run_id}' is not committed; 'assay run' on its experiment goes on where it stopped"
        )
    record = pq.read_table(pa.BufferReader(store.get(commit_key(run_id))))
    return tuple(
        LedgerFile(row["table"], f"{LAYOUT}/{row['path']}", row["num_rows"], row["size_bytes"], row["sha256"])
        for row in record.to_pylist()
    )


def published_units(store: Store, run_id: str) -> tuple[UnitReceipt, ...]:
    """The receipts of every unit of a run that is in the ledger: what a resumed run need not do again."""
    return tuple(read_receipt(store, entry.key) for entry in store.listing(table_prefix("scores", run_id)))


def read_receipt(store: Store, key: str) -> UnitReceipt:
    """The receipt of a stored unit, from the file itself."""
    content = store.get(key)
    metadata = pq.read_schema(pa.BufferReader(content)).metadata or {}
    if RECEIPT_METADATA not in metadata:
        raise DamageError(f"{store.uri}: '{key}' is not a unit file of Assay's; remove it, then run again")
    receipt = json.loads(metadata[RECEIPT_METADATA])
    return UnitReceipt(key=key, size_bytes=len(content), sha256=fingerprint.sha256_digest(content), **receipt)


def read_table(store: Store, files: Sequence[LedgerFile], table: Table, columns: list[str] | None = None) -> pa.Table:
    """One table of a run, every file checked against its recorded digest. No files: an empty table.

    Raises:
        DamageError: A file is missing or was changed.
    """
    parts = [_verified(store, file, columns) for file in files if file.table == table]
    return pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})


def score_files(files: Sequence[LedgerFile], arm: str) -> tuple[LedgerFile, ...]:
    """The files of one arm's scores, in row order."""
    found = [file for file in files if file.table == "scores" and file.key.split("/")[-2] == arm]
    return tuple(sorted(found, key=lambda file: file.key))


def score_tables(
    store: Store, files: Sequence[LedgerFile], arm: str, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """One arm's scores unit by unit, in row order, so that nobody has to hold them all."""
    for file in score_files(files, arm):
        yield _verified(store, file, columns)


def _verified(store: Store, file: LedgerFile, columns: list[str] | None) -> pa.Table:
    try:
        content = store.get(file.key)
    except FileNotFoundError:
        raise DamageError(f"{store.uri}: '{file.key}' is in the commit record but not in the store") from None
    found = fingerprint.sha256_digest(content)
    if found != file.sha256:
        raise DamageError(f"{store.uri}: '{file.key}' was changed: committed as {file.sha256}, now {found}")
    return pq.read_table(pa.BufferReader(content), columns=columns)


def _stem(key: str) -> str:
    return key.rpartition("/")[2].rpartition(".")[0]
