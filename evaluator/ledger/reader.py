"""Reading the ledger: committed runs only, and what is stored rather than what was sent."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, Sharing, UnitReceipt
from assay.evaluator.storage import Store
from assay.manifests.errors import did_you_mean
from assay.manifests.ledger_layout import (
    LAYOUT,
    LINEAGE_COLUMNS,
    SEGMENT_COLUMN_PREFIX,
    Table,
    commit_key,
    run_key,
    table_prefix,
)
from assay.manifests.run import Run


@dataclass(frozen=True)
class RunState:
    """One run in a listing.

    Attributes:
        run_id: The run.
        committed: Whether it is whole.
    """

    run_id: str
    committed: bool


@dataclass(frozen=True)
class OpenedRun:
    """What the record of an opened run says to other runs.

    Attributes:
        run_id: The run.
        opened_at: When it was opened: UTC, ISO 8601.
        keys: Per arm, the digest of all that its units' scores depend on.
        source: The repository's state, as the driver found it.
        variant_digests: Per arm, its variant's digest.
        entrypoints: Per arm, the code that it runs.
        has_gpus: Whether its slots held GPUs.
        project: The project that it is paid by; empty if none.
        supersedes: The run that it repeats in part.
        repeats: How often every row was scored.
    """

    run_id: str
    opened_at: str
    keys: Mapping[str, str]
    source: Mapping[str, Any]
    variant_digests: Mapping[str, str]
    entrypoints: Mapping[str, str]
    has_gpus: bool
    project: str
    supersedes: str | None
    repeats: int


def runs(store: Store) -> tuple[RunState, ...]:
    """Every opened run, by id."""
    found = [_stem(entry.key) for entry in store.listing(f"{LAYOUT}/runs/")]
    committed = {_stem(entry.key) for entry in store.listing(f"{LAYOUT}/commits/")}
    return tuple(RunState(run_id, run_id in committed) for run_id in found)


def read_run(store: Store, run_id: str) -> Run:
    """The record of an opened run.

    Raises:
        LedgerError: There is no such run.
        DamageError: Its record is not one that this release writes.
    """
    try:
        return Run.model_validate_json(store.get(run_key(run_id)).to_pybytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DamageError(
            f"{store.uri}: the record of run '{run_id}' was changed, or is of another release: {field}: {first['msg']}"
        ) from None
    except FileNotFoundError:
        known = [run.run_id for run in runs(store)]
        hint = did_you_mean(run_id, known) or "it holds no run yet: 'assay run EXPERIMENT' makes one"
        raise LedgerError(f"{store.uri}: the ledger has no run '{run_id}'; {hint}") from None


def opened_runs(store: Store) -> tuple[OpenedRun, ...]:
    """What every opened run says to others, the oldest first: one small file a run.

    The rest of a record is not looked at: another release may have written it.
    """
    found = []
    for entry in store.listing(f"{LAYOUT}/runs/"):
        record = json.loads(store.get(entry.key).to_pybytes())
        experiment = record["experiment"]
        found.append(
            OpenedRun(
                run_id=record["run_id"],
                opened_at=record["opened_at"],
                keys=record["unit_keys"],
                source=record["lineage"]["circumstance"].get("source") or {},
                variant_digests=record["variant_digests"],
                entrypoints={arm["name"]: arm["variant"]["entrypoint"] for arm in experiment["arms"]},
                has_gpus=experiment["resources"]["num_gpus"] > 0,
                project=experiment["project"] or "",
                supersedes=record["supersedes"],
                repeats=experiment["suite"]["repeats"],
            )
        )
    return tuple(sorted(found, key=lambda each: (each.opened_at, each.run_id)))


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


def committed_at(store: Store, run_id: str) -> str:
    """When a committed run was committed: UTC, ISO 8601."""
    record = pq.read_table(pa.BufferReader(store.get(commit_key(run_id))), columns=["committed_at"])
    return record["committed_at"][0].as_py()


def published_units(store: Store, run_id: str) -> tuple[UnitReceipt, ...]:
    """The receipts of every unit of a run that is in the ledger: what a resumed run need not do again."""
    share = Sharing()
    return tuple(share(read_receipt(store, entry.key)) for entry in store.listing(table_prefix("scores", run_id)))


def read_receipt(store: Store, key: str) -> UnitReceipt:
    """The receipt of a stored unit, from the file itself."""
    content = store.get(key)
    return _receipt(store, key, content, pq.read_schema(pa.BufferReader(content)), fingerprint.sha256_digest(content))


def stored_units(store: Store, run_id: str, arm: str) -> dict[int, str]:
    """The keys of the published units of one arm, by index: a listing, no file is read."""
    listing = store.listing(f"{table_prefix('scores', run_id)}{arm}/")
    return {int(_stem(entry.key).removeprefix("u")): entry.key for entry in listing}


def read_unit(store: Store, key: str, *, committed_sha256: str | None) -> tuple[UnitReceipt, pa.Table]:
    """A stored unit's receipt and its scored rows, without the columns that say which run they belong to.

    Args:
        store: The ledger's store.
        key: The file's key.
        committed_sha256: The digest in the commit record; None if there is none.

    Raises:
        DamageError: The file is not what was committed, or its rows are not those that its receipt speaks of.
    """
    content = store.get(key)
    found = fingerprint.sha256_digest(content)
    if committed_sha256 not in (None, found):
        raise DamageError(f"{store.uri}: '{key}' was changed: committed as {committed_sha256}, now {found}")
    try:
        table = pq.read_table(pa.BufferReader(content))
        receipt = _receipt(store, key, content, table.schema, found)
        rows = table.drop_columns(list(LINEAGE_COLUMNS)).replace_schema_metadata(None)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:  # any byte of it may be wrong
        raise DamageError(f"{store.uri}: '{key}' cannot be read: {error}") from error
    if fingerprint.rows_digest(rows) != receipt.scores_digest:
        raise DamageError(f"{store.uri}: the rows of '{key}' are not those of its receipt, {receipt.scores_digest}")
    return receipt, rows


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


def segment_columns(store: Store, files: Sequence[LedgerFile], arm: str) -> list[str]:
    """The dataset's columns that group the rows of an arm's scores."""
    names = column_names(store, files, arm)
    return [name.removeprefix(SEGMENT_COLUMN_PREFIX) for name in names if name.startswith(SEGMENT_COLUMN_PREFIX)]


def column_names(store: Store, files: Sequence[LedgerFile], arm: str) -> list[str]:
    """The columns of an arm's scores; none if it has no scores."""
    files = score_files(files, arm)[:1]
    return pq.read_schema(pa.BufferReader(store.get(files[0].key))).names if files else []


def _receipt(store: Store, key: str, content: pa.Buffer, schema: pa.Schema, sha256: str) -> UnitReceipt:
    metadata = schema.metadata or {}
    if RECEIPT_METADATA not in metadata:
        raise DamageError(f"{store.uri}: '{key}' is not a unit file of Assay's; remove it, then run again")
    receipt = json.loads(metadata[RECEIPT_METADATA])
    return UnitReceipt(key=key, size_bytes=len(content), sha256=sha256, **receipt)


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
