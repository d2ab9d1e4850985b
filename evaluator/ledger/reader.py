"""Reading the ledger: records of runs, receipts of units, and the tables of committed runs."""

import json
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, LedgerError, StoreError
from assay.evaluator.ledger.commit_record import CommitRecord, LedgerFile
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, Sharing, UnitReceipt
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.ledger.stored_scores import from_stored
from assay.evaluator.storage import Store, StoredObject
from assay.manifests.errors import did_you_mean
from assay.manifests.ledger_layout import (
    LAYOUT,
    Table,
    commit_key,
    progress_key,
    run_key,
    table_prefix,
)
from assay.manifests.progress import Progress
from assay.manifests.run import Run

REMEDY = "restore it from a copy of the ledger, or run the experiment again under another name"
"""What to do about a file of a committed run that was changed."""


@dataclass(frozen=True)
class RunState:
    """One run in a listing.

    Attributes:
        run_id: The run's id.
        committed: Whether the run is committed and therefore complete.
    """

    run_id: str
    committed: bool


@dataclass(frozen=True)
class OpenedRun:
    """The part of an opened run's record that other runs need.

    Attributes:
        run_id: The run's id.
        opened_at: When it was opened: UTC, ISO 8601.
        keys: For each arm, the digest of everything that the scores of its units depend on.
        source: The state of the repository that the driver ran in.
        variant_digests: For each arm, the digest of its variant.
        base_digests: For each arm, the digest of its variant without the files that its code was seen to open.
        opened: For each arm, those files with their digests, as far as they had changed when the run was opened.
        entrypoints: For each arm, its entrypoint.
        has_gpus: Whether its slots had GPUs.
        project: The project that it is charged to; empty if none.
        supersedes: The run that it partly repeats; None if there is none.
        repeats: How often every row was scored.
    """

    run_id: str
    opened_at: str
    dataset: str
    keys: Mapping[str, str]
    source: Mapping[str, Any]
    variant_digests: Mapping[str, str]
    base_digests: Mapping[str, str]
    opened: Mapping[str, Mapping[str, str]]
    entrypoints: Mapping[str, str]
    has_gpus: bool
    project: str
    supersedes: str | None
    repeats: int


def runs(store: Store) -> tuple[RunState, ...]:
    """Every opened run, sorted by id."""
    opened = [_stem(entry.key) for entry in store.listing(f"{LAYOUT}/runs/")]
    committed = {_stem(entry.key) for entry in store.listing(f"{LAYOUT}/commits/")}
    return tuple(RunState(run_id, run_id in committed) for run_id in opened)


def read_run(store: Store, run_id: str) -> Run:
    """The record of an opened run.

    Raises:
        LedgerError: The run does not exist.
        DamageError: The record does not have the form that this release writes.
    """
    return read_run_record(store, run_id)[0]


def read_run_record(store: Store, run_id: str) -> tuple[Run, str]:
    """The record of an opened run, and the sha256 of its bytes.

    Raises:
        LedgerError: The run does not exist.
        DamageError: The record does not have the form that this release writes.
    """
    try:
        content = store.get(run_key(run_id))
    except FileNotFoundError:
        run_ids = [run.run_id for run in runs(store)]
        remedy = did_you_mean(run_id, run_ids) or "the ledger is empty: create a run with 'assay run EXPERIMENT'"
        raise LedgerError(f"{store.uri}: the ledger has no run '{run_id}'; {remedy}") from None
    try:
        return Run.model_validate_json(content.to_pybytes()), fingerprint.sha256_digest(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DamageError(
            f"{store.uri}: the record of run '{run_id}' was changed, or was written by another release of Assay: "
            f"{field}: {first['msg']}; {REMEDY}"
        ) from None


def opened_run(record: pa.Buffer) -> OpenedRun:
    """What the record of an opened run says to other runs.

    Other fields are not validated, because another release may have written them.
    """
    content = json.loads(record.to_pybytes())
    experiment = content["experiment"]
    return OpenedRun(
        run_id=content["run_id"],
        opened_at=content["opened_at"],
        dataset=experiment["dataset"],
        keys=content["unit_keys"],
        source=content["lineage"]["circumstance"].get("source") or {},
        variant_digests=content["variant_digests"],
        base_digests=content["base_digests"],
        opened={arm["name"]: arm["variant"]["opened"] for arm in experiment["arms"]},
        entrypoints={arm["name"]: arm["variant"]["entrypoint"] for arm in experiment["arms"]},
        has_gpus=experiment["resources"]["num_gpus"] > 0,
        project=experiment["project"] or "",
        supersedes=content["supersedes"],
        repeats=experiment["suite"]["repeats"],
    )


def recorded_progress(store: Store, run_id: str) -> Progress | None:
    """The progress that a run's driver reported last; None if there is none or it cannot be read: it is no evidence."""
    with suppress(FileNotFoundError, StoreError, OSError, ValueError):
        return Progress.model_validate_json(store.get(progress_key(run_id)).to_pybytes())
    return None


def is_committed(store: Store, run_id: str) -> bool:
    """Whether the run is committed and therefore complete."""
    return store.exists(commit_key(run_id))


def committed_files(store: Store, run_id: str) -> tuple[LedgerFile, ...]:
    """The files of a committed run.

    Raises:
        LedgerError: The run is unknown, or not committed yet.
    """
    return read_commit_record(store, run_id).files


def read_commit_record(store: Store, run_id: str) -> CommitRecord:
    """The commit record of a committed run.

    Raises:
        LedgerError: The run is unknown, or not committed yet.
        DamageError: It is not a commit record.
    """
    if not is_committed(store, run_id):
        read_run(store, run_id)
        raise LedgerError(
            f"{store.uri}: run '{run_id}' is not committed; run 'assay run' on its experiment again to resume it"
        )
    try:
        return CommitRecord.parse(store.get(commit_key(run_id)))
    except ValueError as error:
        raise DamageError(f"{store.uri}: '{commit_key(run_id)}' {error}; {REMEDY}") from error


def published_units(store: Store, run_id: str) -> tuple[UnitReceipt, ...]:
    """The receipts of all units of a run that are in the ledger. A resumed run does not score these again.

    Only the ends of the files are read, so the receipts have no `sha256`. The rows are read and compared with the
    receipts when the run is committed.
    """
    share = Sharing()
    listing = store.listing(table_prefix("scores", run_id))
    return tuple(share(read_receipt(store, entry)) for entry in listing)


def read_receipt(store: Store, stored: StoredObject) -> UnitReceipt:
    """The receipt of a stored unit, without its `sha256`, read from the end of the unit's file.

    A Parquet file ends with its metadata, their length and a magic number. One request is enough unless the metadata
    are unusually long.

    Raises:
        DamageError: The file is not a unit file.
    """
    try:
        end = store.get_end(stored.key, FOOTER_BYTES)
    except FileNotFoundError:
        raise DamageError(_missing(store, stored.key)) from None
    length = _footer_length(end)
    if end.size < length <= stored.size_bytes:
        end = store.get_end(stored.key, length)
    try:
        schema = pq.read_schema(pa.BufferReader(end))
        return _receipt(store, stored.key, schema, size_bytes=stored.size_bytes, sha256=None)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:  # any byte may be damaged
        raise DamageError(_not_a_unit(store, stored.key, f"its metadata cannot be read: {error}")) from error


FOOTER_BYTES = 64 * 1024
"""How much of the end of a unit's file is read for its receipt; longer metadata take a second request."""


def _footer_length(end: pa.Buffer) -> int:
    """The length of a Parquet file's metadata with the length field and the magic number after them."""
    return struct.unpack("<I", end.slice(end.size - 8, 4))[0] + 8 if end.size >= 8 else 0


def first_receipt(store: Store, run_id: str, arm: str) -> UnitReceipt | None:
    """The receipt of an arm's first published unit; None if there is none yet."""
    first = next(iter(store.listing(f"{table_prefix('scores', run_id)}{arm}/")), None)
    return None if first is None else read_receipt(store, first)


def stored_units(store: Store, run_id: str, arm: str) -> dict[int, str]:
    """The keys of the published units of one arm, by index. This only lists the store; no file is read."""
    listing = store.listing(f"{table_prefix('scores', run_id)}{arm}/")
    return {int(_stem(entry.key).removeprefix("u")): entry.key for entry in listing}


def read_unit(store: Store, key: str, *, committed_sha256: str | None) -> tuple[UnitReceipt, pa.Table]:
    """A stored unit's receipt and its scored rows, without the lineage columns.

    Args:
        store: The ledger's store.
        key: The file's key.
        committed_sha256: The digest in the commit record; None if the file is in no commit record.

    Raises:
        DamageError: The file differs from what was committed, or its rows do not match its receipt.
    """
    content = _content(store, key)
    digest_now = fingerprint.sha256_digest(content)
    if committed_sha256 not in (None, digest_now):
        raise DamageError(_changed(store, key, committed_sha256, digest_now))
    return _unit(store, key, content, sha256=digest_now)


def read_scores(store: Store, stored: LedgerFile | UnitReceipt) -> tuple[LedgerFile, pa.Buffer]:
    """A score file as a commit record lists it, and its content, which was compared with what is known about it.

    Args:
        store: The ledger's store.
        stored: The file in a commit record, or the receipt of a unit. If the receipt has no `sha256`, since only the
            end of the file was read, the rows are compared with the digest in it.

    Returns:
        The file, with the digest of the bytes that were read, and these bytes.

    Raises:
        DamageError: The file is missing or was changed, or its rows do not match its receipt.
    """
    content = _content(store, stored.key)
    digest_now = fingerprint.sha256_digest(content)
    if isinstance(stored, UnitReceipt) and stored.sha256 is None:
        receipt, _ = _unit(store, stored.key, content, sha256=digest_now)
        if receipt.scores_digest != stored.scores_digest:
            raise DamageError(_changed(store, stored.key, stored.scores_digest, receipt.scores_digest))
    elif digest_now != stored.sha256:
        raise DamageError(_changed(store, stored.key, stored.sha256, digest_now))
    return LedgerFile("scores", stored.key, stored.num_rows, content.size, digest_now), content


def read_table(store: Store, files: Sequence[LedgerFile], table: Table, columns: list[str] | None = None) -> pa.Table:
    """Reads one table of a run and checks every file against its recorded digest.

    Args:
        store: The ledger's store.
        files: The files of the run.
        table: The table to read.
        columns: The columns to read; None: all.

    Returns:
        The rows of all its files; an empty table if the run has no file of it.

    Raises:
        DamageError: A file is missing or was changed.
    """
    parts = [_verified(store, file, columns) for file in files if file.table == table]
    return pa.concat_tables(parts) if parts else SCHEMAS[table].empty_table()


def score_files(files: Sequence[LedgerFile], arm: str) -> tuple[LedgerFile, ...]:
    """The files of one arm's scores, in row order."""
    of_arm = [file for file in files if file.table == "scores" and file.key.split("/")[-2] == arm]
    return tuple(sorted(of_arm, key=lambda file: file.key))


def _receipt(store: Store, key: str, schema: pa.Schema, *, size_bytes: int, sha256: str | None) -> UnitReceipt:
    metadata = schema.metadata or {}
    if RECEIPT_METADATA not in metadata:
        raise DamageError(_not_a_unit(store, key, "its metadata have no receipt"))
    return UnitReceipt.from_json(metadata[RECEIPT_METADATA], key=key, size_bytes=size_bytes, sha256=sha256)


def _not_a_unit(store: Store, key: str, reason: str) -> str:
    return f"{store.uri}: '{key}' is not a unit file written by Assay: {reason}; delete it, then run again"


def _unit(store: Store, key: str, content: pa.Buffer, *, sha256: str) -> tuple[UnitReceipt, pa.Table]:
    """A unit's receipt and scored rows, which match the digest in the receipt."""
    try:
        table = pq.read_table(pa.BufferReader(content))
        receipt = _receipt(store, key, table.schema, size_bytes=content.size, sha256=sha256)
        rows = from_stored(table)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:  # any byte may be damaged
        raise DamageError(f"{store.uri}: '{key}' cannot be read: {error}") from error
    if fingerprint.rows_digest(rows) != receipt.scores_digest:
        raise DamageError(
            f"{store.uri}: the rows of '{key}' do not match the digest in its receipt, {receipt.scores_digest}; "
            "restore the file, or, if its run is not committed, delete it and run again"
        )
    return receipt, rows


def _content(store: Store, key: str) -> pa.Buffer:
    try:
        return store.get(key)
    except FileNotFoundError:
        raise DamageError(
            f"{store.uri}: '{key}' was recorded in the ledger but is not in the store; {REMEDY}"
        ) from None


def _missing(store: Store, key: str) -> str:
    return f"{store.uri}: '{key}' was recorded in the ledger but is not in the store; {REMEDY}"


def _changed(store: Store, key: str, recorded: str | None, now: str) -> str:
    return f"{store.uri}: '{key}' was changed: recorded as {recorded}, now {now}; {REMEDY}"


def _verified(store: Store, file: LedgerFile, columns: list[str] | None) -> pa.Table:
    content = _content(store, file.key)
    digest_now = fingerprint.sha256_digest(content)
    if digest_now != file.sha256:
        raise DamageError(_changed(store, file.key, file.sha256, digest_now))
    return pq.read_table(pa.BufferReader(content), columns=columns)


def _stem(key: str) -> str:
    return key.rpartition("/")[2].rpartition(".")[0]
