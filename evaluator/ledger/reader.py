"""Reading the ledger: records of runs, receipts of units, and the tables of committed runs."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from assay.evaluator import fingerprint
from assay.evaluator.batches import Unit
from assay.evaluator.errors import DamageError, LedgerError, NoObjectError, StoreError, UnitDamageError
from assay.evaluator.ledger.checksum import footer_length
from assay.evaluator.ledger.commit_record import CommitRecord, LedgerFile
from assay.evaluator.ledger.receipt import Sharing, UnitReceipt
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.ledger.unit_file import check_owner, has_impossible_size, lineage_of, receipt_in, verified_unit
from assay.evaluator.ledger.unreadable import UNREADABLE, first_line
from assay.evaluator.storage import Store, StoredObject
from assay.manifests.errors import did_you_mean
from assay.manifests.ledger_layout import (
    LAYOUT,
    RECORD_KEY,
    Table,
    commit_key,
    progress_key,
    run_key,
    table_prefix,
    unit_place,
)
from assay.manifests.progress import Progress
from assay.manifests.run import Run, seal_of

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


_OPENED = TypeAdapter(OpenedRun)


def runs(store: Store) -> tuple[RunState, ...]:
    """Every opened run, sorted by id. Files that are no records are left out; `assay ledger verify` names them."""
    opened, committed = (
        [match[part] for entry in store.listing(f"{LAYOUT}/{folder}/") if (match := RECORD_KEY.fullmatch(entry.key))]
        for folder, part in (("runs", "opened"), ("commits", "committed"))
    )
    return tuple(RunState(run_id, run_id in set(committed)) for run_id in opened)


def read_run(store: Store, run_id: str) -> Run:
    """The record of an opened run.

    Raises:
        LedgerError: The run does not exist.
        DamageError: The record was changed, or does not have the form that this release writes.
    """
    return read_run_record(store, run_id)[0]


def read_run_record(store: Store, run_id: str) -> tuple[Run, str]:
    """The record of an opened run, and the sha256 of its bytes.

    Raises:
        LedgerError: The run does not exist.
        DamageError: The record was changed, or does not have the form that this release writes.
    """
    try:
        record = store.get(run_key(run_id))
    except FileNotFoundError:
        run_ids = [run.run_id for run in runs(store)]
        remedy = did_you_mean(run_id, run_ids) or "the ledger is empty: create a run with 'assay run EXPERIMENT'"
        raise LedgerError(f"{store.uri}: the ledger has no run '{run_id}'; {remedy}") from None
    try:
        content = record.to_pybytes()
        run = Run.model_validate_json(content)
        is_sealed = seal_of(json.loads(content)) == run.seal
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        reason = f"was changed, or was written by another release of Assay: {field}: {first['msg']}"
        raise DamageError(_damaged_record(store, run_id, reason)) from None
    if not is_sealed:
        raise DamageError(_damaged_record(store, run_id, "was changed: its content does not match its seal"))
    if run.run_id != run_id:
        raise DamageError(_damaged_record(store, run_id, f"is that of another run, '{run.run_id}'"))
    return run, fingerprint.sha256_digest(record)


def _damaged_record(store: Store, run_id: str, reason: str) -> str:
    return (
        f"{store.uri}: the record of run '{run_id}' {reason}; restore '{run_key(run_id)}', or, if the run is not "
        "committed, delete it: 'assay run' then opens the run again"
    )


def opened_run(record: pa.Buffer) -> OpenedRun:
    """What the record of an opened run says to other runs.

    Other fields are not validated, because another release may have written them.

    Raises:
        DamageError: The record lacks something that this release writes, or is no record.
    """
    try:
        content = json.loads(record.to_pybytes())
        opened, is_sealed = _OPENED.validate_python(_opened_fields(content)), content["seal"] == seal_of(content)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except KeyError as error:
        reason = f"it has no {error}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = first_line(error)
    else:
        if is_sealed:
            return opened
        reason = "its content does not match its seal"
    raise DamageError(f"was changed, or was written by another release of Assay ({reason})")


def _opened_fields(content: Any) -> dict[str, Any]:
    experiment = content["experiment"]
    return {
        "run_id": content["run_id"],
        "opened_at": content["opened_at"],
        "dataset": experiment["dataset"],
        "keys": content["unit_keys"],
        "source": content["lineage"]["circumstance"].get("source") or {},
        "variant_digests": content["variant_digests"],
        "base_digests": content["base_digests"],
        "opened": {arm["name"]: arm["variant"]["opened"] for arm in experiment["arms"]},
        "entrypoints": {arm["name"]: arm["variant"]["entrypoint"] for arm in experiment["arms"]},
        "has_gpus": experiment["resources"]["num_gpus"] > 0,
        "project": experiment["project"] or "",
        "supersedes": content["supersedes"],
        "repeats": experiment["suite"]["repeats"],
    }


def recorded_progress(store: Store, run_id: str) -> Progress | None:
    """The progress that a run's driver reported last; None if there is none or it cannot be read: it is no evidence."""
    with suppress(FileNotFoundError, DamageError, StoreError, OSError, ValueError):
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
    try:
        content = store.get(commit_key(run_id))
    except FileNotFoundError:
        read_run(store, run_id)
        raise LedgerError(
            f"{store.uri}: run '{run_id}' is not committed; run 'assay run' on its experiment again to resume it"
        ) from None
    try:
        return CommitRecord.parse(content)
    except ValueError as error:
        raise DamageError(f"{store.uri}: '{commit_key(run_id)}' {error}; {REMEDY}") from error


@dataclass(frozen=True)
class PublishedUnits:
    """The units of a run that are in the ledger.

    Attributes:
        receipts: The receipts of those whose file has an intact footer.
        damaged: The others, each as the error that reading it raised.
        foreign: The keys beside them that are not those of the run's units.
    """

    receipts: tuple[UnitReceipt, ...]
    damaged: tuple[UnitDamageError, ...]
    foreign: tuple[str, ...]


def published_units(store: Store, run: Run, units: Sequence[Unit]) -> PublishedUnits:
    """The receipts of all units of a run that are in the ledger. A resumed run does not score these again.

    Only the ends of the files are read, so the receipts have no `sha256`. The rows are read and compared with the
    receipts when the run is committed.

    Args:
        store: The ledger's store.
        run: The opened run.
        units: The dataset's units.
    """
    share = Sharing()
    arms = {arm.name for arm in run.experiment.arms}
    receipts: list[UnitReceipt] = []
    damaged: list[UnitDamageError] = []
    foreign: list[str] = []
    for entry in store.listing(table_prefix("scores", run.run_id)):
        place = unit_place(entry.key)
        if place is None or place.arm not in arms or place.unit >= len(units):
            foreign.append(entry.key)
            continue
        try:
            receipt = read_receipt(store, entry)
            _check_owner(store, receipt, run, units[place.unit])
        except UnitDamageError as error:
            if not _is_gone(store, entry.key):
                damaged.append(error)
        else:
            receipts.append(share(receipt))
    return PublishedUnits(tuple(receipts), tuple(damaged), tuple(foreign))


def _is_gone(store: Store, key: str) -> bool:
    """Whether another driver has set a unit's file aside since it was listed."""
    with suppress(NoObjectError):
        return not store.exists(key)
    return False


def read_receipt(store: Store, stored: StoredObject) -> UnitReceipt:
    """The receipt of a stored unit, without its `sha256`, read from the end of the unit's file.

    A Parquet file ends with its metadata, their length and a magic number. One request is enough unless the metadata
    are unusually long.

    Raises:
        UnitDamageError: The end of the file was changed, or it is not the file of the unit that its key names.
    """
    try:
        end = store.get_end(stored.key, FOOTER_BYTES)
    except FileNotFoundError:
        raise UnitDamageError(store.uri, stored.key, "is missing") from None
    except NoObjectError as error:
        raise UnitDamageError(store.uri, stored.key, _no_file(error)) from None
    try:
        length = footer_length(end)
        if end.size < length <= stored.size_bytes:
            end = store.get_end(stored.key, length)
        return receipt_in(end, key=stored.key, size_bytes=stored.size_bytes, sha256=None)
    except UNREADABLE as error:
        raise UnitDamageError(store.uri, stored.key, _not_a_unit(error)) from error


FOOTER_BYTES = 64 * 1024
"""How much of the end of a unit's file is read for its receipt; longer metadata take a second request."""


def first_receipt(store: Store, run_id: str, arm: str) -> UnitReceipt | None:
    """The receipt of an arm's first published unit whose file has an intact footer; None if there is none."""
    for entry in store.listing(f"{table_prefix('scores', run_id)}{arm}/"):
        if unit_place(entry.key):
            with suppress(UnitDamageError):  # the run that it belongs to sets it aside
                return read_receipt(store, entry)
    return None


def stored_units(store: Store, run_id: str, arm: str) -> dict[int, str]:
    """The keys of the published units of one arm, by index. This only lists the store; no file is read."""
    listing = store.listing(f"{table_prefix('scores', run_id)}{arm}/")
    return {place.unit: entry.key for entry in listing if (place := unit_place(entry.key))}


def read_unit(store: Store, key: str, *, committed_sha256: str | None) -> tuple[UnitReceipt, pa.Table]:
    """A stored unit's receipt and its scored rows, without the lineage columns.

    Args:
        store: The ledger's store.
        key: The file's key.
        committed_sha256: The digest in the commit record; None if the file is in no commit record.

    Raises:
        UnitDamageError: The file is missing, differs from what was committed, its rows do not match its receipt, or it
            is not the file of the unit that its key names.
    """
    content, digest = _unit_content(store, key, sha256=committed_sha256)
    return _unit(store, key, content, sha256=digest)


def verified(store: Store, key: str, *, run: Run, unit: Unit, sha256: str | None = None) -> UnitReceipt:
    """The receipt of a published unit, after everything in its file was verified.

    Args:
        store: The ledger's store.
        key: The file's key.
        run: The run that the unit must belong to.
        unit: The unit.
        sha256: The digest of the file as it was stored; None if it is unknown.

    Raises:
        UnitDamageError: The file is missing or damaged, or belongs to another unit or run.
    """
    content, digest = _unit_content(store, key, sha256=sha256)
    receipt, _ = _unit(store, key, content, sha256=digest)
    _check_owner(store, receipt, run, unit)
    return receipt


def _check_owner(store: Store, receipt: UnitReceipt, run: Run, unit: Unit) -> None:
    lineage = lineage_of(run, receipt.arm, environment_digest=receipt.facts.conditions.environment_digest)
    try:
        check_owner(receipt, lineage=lineage, unit=unit)
    except ValueError as error:
        reason = f"is not this unit's: {error}"
        raise UnitDamageError(store.uri, receipt.key, reason, digest=receipt.sha256) from error


def read_scores(store: Store, stored: LedgerFile | UnitReceipt) -> tuple[LedgerFile, pa.Buffer]:
    """A score file as a commit record lists it, and its content, which was compared with what is known about it.

    Args:
        store: The ledger's store.
        stored: The file in a commit record, or the receipt of a unit. If the receipt has no `sha256`, since only the
            end of the file was read, everything in the file is verified.

    Returns:
        The file, with the digest of the bytes that were read, and these bytes.

    Raises:
        UnitDamageError: The file is missing or was changed, or its rows do not match its receipt.
    """
    content, digest = _unit_content(store, stored.key, sha256=stored.sha256)
    if isinstance(stored, UnitReceipt) and stored.sha256 is None:
        receipt, _ = _unit(store, stored.key, content, sha256=digest)
        if receipt.to_json() != stored.to_json():
            raise UnitDamageError(store.uri, stored.key, "was changed since its receipt was read")
    return LedgerFile("scores", stored.key, stored.num_rows, content.size, digest), content


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


def _not_a_unit(error: Exception) -> str:
    return f"is not a unit file as Assay wrote it: {error}"


def _no_file(error: NoObjectError) -> str:
    return f"is {error.kind}, but must be a file"


def _unit(store: Store, key: str, content: pa.Buffer, *, sha256: str) -> tuple[UnitReceipt, pa.Table]:
    """A unit's receipt and scored rows, verified."""
    try:
        return verified_unit(content, key=key, sha256=sha256)
    except UNREADABLE as error:
        raise UnitDamageError(store.uri, key, _not_a_unit(error), digest=sha256) from error


def _unit_content(store: Store, key: str, *, sha256: str | None) -> tuple[pa.Buffer, str]:
    """The bytes of a unit's file and their digest, which must be this one, if it is known."""
    try:
        content = store.get(key)
    except FileNotFoundError:
        raise UnitDamageError(store.uri, key, "was recorded in the ledger but is not in the store") from None
    except NoObjectError as error:
        raise UnitDamageError(store.uri, key, _no_file(error)) from None
    if has_impossible_size(content):
        reason = f"has {content.size:,} bytes, which do not follow from the end of the file: it is not read further"
        raise UnitDamageError(store.uri, key, reason)
    digest_now = fingerprint.sha256_digest(content)
    if sha256 not in (None, digest_now):
        raise UnitDamageError(store.uri, key, _changed(sha256, digest_now), digest=digest_now)
    return content, digest_now


def _content(store: Store, key: str) -> pa.Buffer:
    try:
        return store.get(key)
    except FileNotFoundError:
        raise DamageError(
            f"{store.uri}: '{key}' was recorded in the ledger but is not in the store; {REMEDY}"
        ) from None


def _changed(recorded: str | None, now: str) -> str:
    return f"was changed: recorded as {recorded}, now {now}"


def _verified(store: Store, file: LedgerFile, columns: list[str] | None) -> pa.Table:
    content = _content(store, file.key)
    if content.size != file.size_bytes:  # without reading them: a sparse file may have any size
        sizes = f"was changed: it has {content.size:,} bytes, but was committed with {file.size_bytes:,}"
        raise DamageError(f"{store.uri}: '{file.key}' {sizes}; {REMEDY}")
    digest_now = fingerprint.sha256_digest(content)
    if digest_now != file.sha256:
        raise DamageError(f"{store.uri}: '{file.key}' {_changed(file.sha256, digest_now)}; {REMEDY}")
    try:
        return pq.read_table(pa.BufferReader(content), columns=columns)
    except UNREADABLE as error:
        raise DamageError(
            f"{store.uri}: '{file.key}' was written by another release of Assay: {first_line(error)}"
        ) from error
