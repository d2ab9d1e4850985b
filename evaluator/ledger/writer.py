"""Writing the ledger: every file appears completely and only once, and the commit record is written last."""

import datetime as dt
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.batches import Unit
from assay.evaluator.errors import DamageError, LedgerError, NoObjectError, UnitDamageError
from assay.evaluator.ledger import log_chain, version_log
from assay.evaluator.ledger.checksum import CHECKSUM_METADATA, with_checksum
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.log_chain import START, Position
from assay.evaluator.ledger.reader import is_committed, read_run, verified
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, ReuseSource, UnitFacts, UnitReceipt
from assay.evaluator.ledger.schema import COMMITS, SCHEMAS
from assay.evaluator.ledger.stored_scores import to_stored
from assay.evaluator.ledger.unit_file import has_impossible_size, lineage_of
from assay.evaluator.results import UnitResult
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import (
    LAYOUT,
    Table,
    commit_key,
    patch_key,
    run_key,
    set_aside_key,
    table_key,
    unit_key,
)
from assay.manifests.run import Run

_MAX_PUTS = 3
_WRITE_BATCH_ROWS = 65_536
"""How many rows Parquet encodes at once: those of the largest unit. Its default of 1,024 takes 5 % longer."""
_FOLLOWS = (
    "dataset_digest",
    "suite_digest",
    "policy_digest",
    "variant_digests",
    "base_digests",
    "unit_keys",
    "label",
    "supersedes",
)
"""The fields of a run's record that follow from its experiment and environment."""


def open_run(store: Store, run: Run) -> Run:
    """Records a run before its first unit, unless it is already recorded.

    Returns:
        The run as recorded, possibly by another driver that opened it first.

    Raises:
        LedgerError: A run with this id exists with another experiment, plan or environment.
        DamageError: The record was changed.
    """
    store.put_if_absent(run_key(run.run_id), run.sealed().model_dump_json(indent=2).encode())
    recorded = read_run(store, run.run_id)
    for name, before, now in (
        ("experiment", recorded.experiment_digest, run.experiment_digest),
        ("experiment", recorded.experiment.digest(), run.experiment_digest),
        ("analysis plan", recorded.plan_digest, run.plan_digest),
        ("environment", dict(recorded.lineage.identity), dict(run.lineage.identity)),
        *((name.replace("_", " "), getattr(recorded, name), getattr(run, name)) for name in _FOLLOWS),
    ):
        if before != now:
            raise LedgerError(
                f"{store.uri}: run '{run.run_id}' was opened with another {name}: recorded {before}, now {now}; "
                "the record cannot be changed: restore what was recorded, or give the experiment another name"
            )
    return recorded


@dataclass(frozen=True)
class StoredUnit:
    """A unit that is in the ledger.

    Attributes:
        receipt: Its receipt.
        is_ours: Whether this call stored it.
        set_aside: Why a damaged file was moved out of the way before; empty if there was none.
    """

    receipt: UnitReceipt
    is_ours: bool
    set_aside: str = ""


def publish_unit(store: Store, result: UnitResult, facts: UnitFacts, *, run: Run, arm: str, unit: Unit) -> StoredUnit:
    """Stores one unit's rows as one file, unless the unit is already stored.

    Args:
        store: The ledger's store.
        result: The evaluated unit.
        facts: How it was scored; kept in the file and in the table `units`.
        run: The opened run.
        arm: The arm's name.
        unit: The unit.

    Returns:
        The stored unit. If another slot was first and its rows differ from ours, the receipt's digest differs from
        `result.digest`: the variant is not deterministic.

    Raises:
        UnitDamageError: The store damages what it stores.
    """
    return _publish(store, result.table, result.digest, facts, run=run, arm=arm, unit=unit)


def republish_unit(store: Store, rows: pa.Table, source: UnitReceipt, *, run: Run, arm: str, unit: Unit) -> StoredUnit:
    """Stores the rows of another run's unit as a unit of this run, unless the unit is already stored.

    The receipt keeps where and on which hardware the rows were scored, and the slot-seconds that scoring took then. It does not
    repeat the other times, because they were spent only once.

    Args:
        store: The ledger's store.
        rows: The rows that `read_unit` returned.
        source: The receipt that `read_unit` returned, of a unit that its run has scored.
        run: The opened run.
        arm: The arm's name in this run.
        unit: The unit, the same in both runs.

    Raises:
        UnitDamageError: The store damages what it stores.
    """
    attempt = source.facts.attempt
    assert attempt is not None
    reuse = ReuseSource(source.key.removeprefix(f"{LAYOUT}/"), attempt.slot_s - attempt.one_off_s)
    facts = replace(source.facts, attempt=None, reuse=reuse, nonce=secrets.token_hex(16))
    return _publish(store, rows, source.scores_digest, facts, run=run, arm=arm, unit=unit)


def _publish(
    store: Store, table: pa.Table, digest: str, facts: UnitFacts, *, run: Run, arm: str, unit: Unit
) -> StoredUnit:
    started, cpu_started = time.perf_counter(), time.thread_time()  # other threads score the next unit
    key = unit_key(run.run_id, arm, unit.index)
    lineage = lineage_of(run, arm, environment_digest=facts.conditions.environment_digest)
    receipt = UnitReceipt(arm, unit.index, key, len(table), 0, None, digest, facts, lineage)
    stored = to_stored(table, lineage=[*lineage.values()])
    metadata = {**stored.schema.metadata, RECEIPT_METADATA: receipt.to_json(), **CHECKSUM_METADATA}
    content = with_checksum(parquet_bytes(stored.replace_schema_metadata(metadata)))
    damage: list[str] = []
    while True:
        try:
            if store.put_if_absent(key, content):
                break
            # Stored by another slot, or by an attempt whose response was lost.
            there = verified(store, key, run=run, unit=unit)
        except (UnitDamageError, NoObjectError):
            if damage:
                raise
            damage.append(set_aside(store, key, run=run, unit=unit))
        else:
            return StoredUnit(there, there.facts.nonce == facts.nonce, *damage)
    if facts.attempt is not None:  # known only after the file was written, so only the table `units` has it
        write_s, write_cpu_s = time.perf_counter() - started, time.thread_time() - cpu_started
        facts = replace(facts, attempt=replace(facts.attempt, write_s=write_s, write_cpu_s=write_cpu_s))
    sha256 = fingerprint.sha256_digest(content)
    return StoredUnit(replace(receipt, size_bytes=len(content), sha256=sha256, facts=facts), True, *damage)


def set_aside(store: Store, key: str, *, run: Run, unit: Unit, sha256: str | None = None) -> str:
    """Moves the damaged file of a unit out of the way, so that the unit can be published again.

    The file is read once more before: it stays if it is intact, because another driver may have published the unit again
    in the meantime, or because only reading it had failed.

    Args:
        store: The ledger's store.
        key: The file's key.
        run: The run that the unit belongs to.
        unit: The unit.
        sha256: The digest of the file as it was stored; None if it is unknown.

    Returns:
        What happened, for an event; empty if the file is intact.

    Raises:
        UnitDamageError: The run is committed, so its files are evidence and stay where they are.
    """
    try:
        verified(store, key, run=run, unit=unit, sha256=sha256)
    except UnitDamageError as damage:
        if is_committed(store, run.run_id):
            raise
        moved = _moved_aside(store, key, damage.digest)
        return f"'{key}' {damage.reason}; {f'moved to {moved!r}' if moved else 'nothing to move'}; the unit is scored again"
    return ""


def _moved_aside(store: Store, key: str, digest: str | None) -> str | None:
    """Moves an object to where it is kept for people; None if it is gone, or has another digest by now.

    What cannot be read, or should not be because of its size, is moved without reading it.
    """
    with suppress(FileNotFoundError):
        unread = set_aside_key(key, secrets.token_hex(8))
        try:
            content = store.get(key)
        except NoObjectError:
            return unread if store.move_unread(key, unread) else None
        if has_impossible_size(content) and store.move_unread(key, unread, size_bytes=content.size):
            return unread
        if digest is not None and fingerprint.sha256_digest(content) == digest:
            moved = set_aside_key(key, digest)
            store.put_if_absent(moved, content)
            store.remove(key, content)
            return moved
    return None


def _put_named_by_digest(store: Store, key: str, content: bytes | pa.Buffer) -> None:
    """Stores an object whose key follows from its content; a damaged one in its place is moved aside."""
    for _ in range(_MAX_PUTS):
        try:
            if store.put_if_absent(key, content):
                return
            there = store.get(key)
        except FileNotFoundError:  # another driver has just moved it aside
            continue
        except NoObjectError:
            store.move_unread(key, set_aside_key(key, secrets.token_hex(8)))
            continue
        if there.equals(pa.py_buffer(content)):
            return
        is_moved = there.size != len(content) and store.move_unread(
            key, set_aside_key(key, secrets.token_hex(8)), size_bytes=there.size
        )
        if not is_moved:
            _moved_aside(store, key, fingerprint.sha256_digest(there))
    raise DamageError(
        f"{store.uri}: '{key}' was damaged {_MAX_PUTS} times after it was stored: the store is unreliable"
    )


def keep_patch(store: Store, content: bytes) -> str:
    """Stores the patch of uncommitted changes and returns the digest that identifies it."""
    digest = fingerprint.sha256_digest(content)
    _put_named_by_digest(store, patch_key(digest), content)
    return digest


def write_table(store: Store, table: Table, rows: Sequence[Mapping[str, object]], *, run_id: str) -> LedgerFile | None:
    """Stores rows of one of the driver's tables as one file that is named by its digest.

    Args:
        store: The ledger's store.
        table: The table that the rows belong to.
        rows: Column values by name. A column that a row lacks is null there.
        run_id: The run, which becomes the column `run_id`.

    Returns:
        The stored file; None if there are no rows.
    """
    if not rows:
        return None
    schema = SCHEMAS[table]
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:  # Arrow would leave them out without a word
        raise ValueError(f"the table '{table}' has no column {', '.join(sorted(unknown))}")
    content = parquet_bytes(pa.Table.from_pylist([{"run_id": run_id, **row} for row in rows], schema=schema))
    digest = fingerprint.sha256_digest(content)
    key = table_key(table, run_id, digest)
    _put_named_by_digest(store, key, content)
    return LedgerFile(table=table, key=key, num_rows=len(rows), size_bytes=len(content), sha256=digest)


def commit(store: Store, run: Run, files: Sequence[LedgerFile], *, log_position: Position = START) -> str:
    """Commits a run: stores one record, if absent, that lists every file with its digest, and logs it.

    The log's newest entry is looked up before, so that the run's own is found behind it, whoever appends it.

    Args:
        store: The ledger's store.
        run: The run.
        files: All its files.
        log_position: A position in the version log that is known.

    Returns:
        Why the commit could not be logged; empty if it was.
    """
    try:
        before = log_chain.newest(store, known=log_position)
    except DamageError:  # the log cannot be continued, but the run can be committed
        before = START
    committer, record_digest = secrets.token_hex(16), fingerprint.sha256_digest(store.get(run_key(run.run_id)))
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    rows = [
        {
            "run_id": run.run_id,
            "table": file.table,
            "path": file.key.removeprefix(f"{LAYOUT}/"),
            "num_rows": file.num_rows,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "record_digest": record_digest,
            "committer": committer,
            "committed_at": now,
            "log_number": before.number,
            "log_seal": before.seal,
        }
        for file in sorted(files, key=lambda file: file.key)
    ]
    if not store.put_if_absent(commit_key(run.run_id), parquet_bytes(pa.Table.from_pylist(rows, schema=COMMITS))):
        return version_log.record_commits(store, [run.run_id]).problems.get(run.run_id, "")  # another driver was first
    try:
        version_log.record_commit(store, run.run_id, after=before)
    except DamageError as error:
        return str(error)
    return ""


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """The table as one Parquet file in memory.

    Scores hardly compress. With byte-stream split for floats and delta encoding for integers, LZ4 makes files as small
    as dictionaries with zstd do, in a third of the time.
    """
    encodings: dict[str, str] = {}
    dictionaries: list[str] = []
    for path, kind in (leaf for field in table.schema for leaf in _leaves(field.name, field.type)):
        if pa.types.is_floating(kind):
            encodings[path] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_integer(kind):
            encodings[path] = "DELTA_BINARY_PACKED"
        elif path != "row_id":  # ids are all different, so a dictionary would not help
            dictionaries.append(path)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="lz4",
        use_dictionary=dictionaries,  # pyright: ignore[reportArgumentType]
        column_encoding=encodings,
        write_statistics=["row_index"],
        write_batch_size=_WRITE_BATCH_ROWS,
        store_schema=False,  # it would name the types of columns that are dictionaries here and texts elsewhere
    ) as writer:
        writer.write_table(table)
        metadata = table.schema.metadata or {}
        writer.add_key_value_metadata({name.decode(): value.decode() for name, value in metadata.items()})
    return sink.getvalue()


def _leaves(path: str, kind: Any) -> Iterator[tuple[str, pa.DataType]]:
    """The Parquet columns of an Arrow column, with their types."""
    if pa.types.is_map(kind):
        yield f"{path}.key_value.key", kind.key_type
        yield f"{path}.key_value.value", kind.item_type
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind
