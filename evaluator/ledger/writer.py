"""Writing the ledger: every file appears completely and only once, and the commit record is written last."""

import datetime as dt
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.errors import LedgerError
from assay.evaluator.ledger.commit_record import COMMIT_SCHEMA, LedgerFile
from assay.evaluator.ledger.reader import committed_files, read_unit
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, UnitReceipt
from assay.evaluator.results import UnitResult
from assay.evaluator.storage import Store, prove_put_if_absent
from assay.manifests.ledger_layout import (
    FORMAT,
    FORMAT_KEY,
    LAYOUT,
    LINEAGE_COLUMNS,
    SCORE_COLUMN_PREFIX,
    SEGMENT_COLUMN_PREFIX,
    Table,
    commit_key,
    patch_key,
    run_key,
    table_prefix,
    unit_key,
)
from assay.manifests.run import Run


def open_ledger(store: Store) -> None:
    """Turns a store into a ledger if it is not one yet.

    Raises:
        StoreError: The store overwrites existing objects and therefore cannot hold evidence.
    """
    prove_put_if_absent(store, key=FORMAT_KEY, content=FORMAT.encode())


def open_run(store: Store, run: Run) -> Run:
    """Records a run before its first unit, unless it is already recorded.

    Returns:
        The run as recorded, possibly by another driver that opened it first.

    Raises:
        LedgerError: A run with this id exists with another experiment, plan or environment.
    """
    store.put_if_absent(run_key(run.run_id), run.model_dump_json(indent=2).encode())
    recorded = Run.model_validate_json(store.get(run_key(run.run_id)).to_pybytes())
    for name, before, now in (
        ("experiment", recorded.experiment_digest, run.experiment_digest),
        ("analysis plan", recorded.plan_digest, run.plan_digest),
        ("environment", dict(recorded.lineage.identity), dict(run.lineage.identity)),
    ):
        if before != now:
            raise LedgerError(
                f"{store.uri}: run '{run.run_id}' was opened with another {name}: recorded {before}, now {now}; "
                "the record cannot be changed: restore what was recorded, or give the experiment another name"
            )
    return recorded


def publish_unit(
    store: Store, result: UnitResult, *, run: Run, arm: str, unit: int, circumstance: Mapping[str, object]
) -> tuple[UnitReceipt, bool]:
    """Stores one unit's rows as one file, unless the unit is already stored.

    Args:
        store: The ledger's store.
        result: The evaluated unit.
        run: The opened run.
        arm: The arm's name.
        unit: The unit's index.
        circumstance: Plain facts about where and how it was evaluated; kept in the file and in the table `units`.

    Returns:
        The receipt of the stored unit, and whether this call stored it. If another slot was first and its rows differ
        from ours, the receipt's digest differs from `result.digest`: the variant is not deterministic.
    """
    facts = {**circumstance, **asdict(result.timing)}
    if result.repeat_sums:
        facts["repeat_sums"] = result.repeat_sums
    return _publish(store, result.table, result.digest, facts=facts, run=run, arm=arm, unit=unit)


def republish_unit(store: Store, rows: pa.Table, source: UnitReceipt, *, run: Run, arm: str) -> UnitReceipt:
    """Stores the rows of another run's unit as a unit of this run, unless the unit is already stored.

    The receipt keeps where and on which hardware the rows were scored and, as `reused_slot_s`, the slot-seconds spent
    then. It does not repeat the other times, because they were spent only once.

    Args:
        store: The ledger's store.
        rows: The rows that `read_unit` returned.
        source: The receipt that `read_unit` returned.
        run: The opened run.
        arm: The arm's name in this run.

    Returns:
        The receipt of the stored unit.
    """
    facts = {name: source.facts[name] for name in _LASTING_FACTS if name in source.facts}
    facts["reused_slot_s"] = source.slot_s
    facts["reused_from"] = source.key.removeprefix(f"{LAYOUT}/")
    return _publish(store, rows, source.scores_digest, facts=facts, run=run, arm=arm, unit=source.unit)[0]


_LASTING_FACTS = (
    "host",
    "cpu",
    "device",
    "device_class",
    "num_cpus",
    "num_gpus",
    "accelerator_type",
    "first_row",
    "environment_digest",
    "environment",
    "determinism",
    "batch_size",
    "repeat_sums",
    "batch_sensitivity",
    "opened_files",
    "weights_bytes",
    "num_parameters",
    "peak_memory_bytes",
    "latency",
)


def _publish(
    store: Store, table: pa.Table, digest: str, *, facts: dict[str, Any], run: Run, arm: str, unit: int
) -> tuple[UnitReceipt, bool]:
    started, cpu_started = time.perf_counter(), time.thread_time()  # other threads score the next unit
    key = unit_key(run.run_id, arm, unit)
    facts = {**facts, "score_sums": _score_sums(table), "nonce": secrets.token_hex(16)}
    lineage = (
        run.run_id,
        arm,
        run.dataset_digest,
        str(run.variant_digests[arm]),
        run.suite_digest,
        run.plan_digest,
        str(facts["environment_digest"]),
    )
    first: Any = pa.array(np.zeros(len(table), dtype=np.int32))
    for place, (name, value) in enumerate(zip(LINEAGE_COLUMNS, lineage, strict=True)):
        table = table.add_column(place, name, pa.DictionaryArray.from_arrays(first, pa.array([value])))
    receipt = {"arm": arm, "unit": unit, "scores_digest": digest, "num_rows": len(table), "facts": facts}
    content = parquet_bytes(_as_stored(table, metadata={RECEIPT_METADATA: json.dumps(receipt).encode()}))
    if not store.put_if_absent(key, content):  # stored by another slot, or by our own attempt whose response was lost
        stored, _ = read_unit(store, key, committed_sha256=None)
        return stored, stored.facts.get("nonce") == facts["nonce"]
    # Known only after the file was written, so only the table `units` has it.
    written = {"write_s": time.perf_counter() - started, "write_cpu_s": time.thread_time() - cpu_started}
    return (
        UnitReceipt(
            arm=arm,
            unit=unit,
            key=key,
            num_rows=len(table),
            size_bytes=len(content),
            sha256=fingerprint.sha256_digest(content),
            scores_digest=digest,
            facts={**facts, **written},
        ),
        True,
    )


def _as_stored(table: pa.Table, *, metadata: dict[bytes | str, bytes | str]) -> pa.Table:
    """The same rows with columns marked as never null, because tracking nulls is half of the time to write Parquet."""
    fields = [field.with_nullable(field.name.startswith(SEGMENT_COLUMN_PREFIX)) for field in table.schema]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields, metadata=metadata))


def _score_sums(table: pa.Table) -> dict[str, float]:
    """The sum of each metric's scores, which is all that a race needs of a unit; its driver keeps no rows."""
    return {
        name.removeprefix(SCORE_COLUMN_PREFIX): float(table[name].to_numpy().sum())
        for name in table.column_names
        if name.startswith(SCORE_COLUMN_PREFIX)
    }


def keep_patch(store: Store, content: bytes) -> str:
    """Stores the patch of uncommitted changes and returns the digest that identifies it."""
    digest = fingerprint.sha256_digest(content)
    store.put_if_absent(patch_key(digest), content)
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
    names = dict.fromkeys(name for row in rows for name in row)  # Arrow would use only the names in the first row
    complete = [{"run_id": run_id, **{name: row.get(name) for name in names}} for row in rows]
    content = parquet_bytes(pa.Table.from_pylist(complete))
    digest = fingerprint.sha256_digest(content)
    key = f"{table_prefix(table, run_id)}{digest.removeprefix('sha256:')[:16]}.parquet"
    store.put_if_absent(key, content)
    return LedgerFile(table=table, key=key, num_rows=len(rows), size_bytes=len(content), sha256=digest)


def commit(store: Store, run: Run, files: Sequence[LedgerFile]) -> tuple[LedgerFile, ...]:
    """Commits a run: stores one record, if absent, that lists every file with its digest.

    Returns:
        The files of the committed run: these, or those of another driver that committed it first.
    """
    committer, run_digest = secrets.token_hex(16), run.digest()
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    rows = [
        {
            "run_id": run.run_id,
            "table": file.table,
            "path": file.key.removeprefix(f"{LAYOUT}/"),
            "num_rows": file.num_rows,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "run_digest": run_digest,
            "committer": committer,
            "committed_at": now,
        }
        for file in sorted(files, key=lambda file: file.key)
    ]
    store.put_if_absent(commit_key(run.run_id), parquet_bytes(pa.Table.from_pylist(rows, schema=COMMIT_SCHEMA)))
    return committed_files(store, run.run_id)


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """The table as one Parquet file in memory.

    Scores hardly compress. With byte-stream split for floats and delta encoding for integers, LZ4 makes files as small
    as dictionaries with zstd do, in a third of the time.
    """
    encodings: dict[str, str] = {}
    dictionaries: list[str] = []
    for field in table.schema:
        kind, path = field.type, field.name
        if pa.types.is_fixed_size_list(kind):
            kind, path = kind.value_type, f"{path}.list.element"
        if pa.types.is_floating(kind):
            encodings[path] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_integer(kind):
            encodings[path] = "DELTA_BINARY_PACKED"
        elif field.name != "row_id":  # ids are all different, so a dictionary would not help
            dictionaries.append(path)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="lz4",
        use_dictionary=dictionaries,  # pyright: ignore[reportArgumentType]
        column_encoding=encodings,
        write_statistics=["row_index"],
    )
    return sink.getvalue()
