"""The check of one run of a ledger: compares its files with what was recorded about them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.schema import COMMITS, SCHEMAS
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import (
    Table,
    commit_key,
    patch_key,
    progress_key,
    run_key,
    table_prefix,
    unit_key,
)
from assay.manifests.run import Run

_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)  # any byte may be damaged


@dataclass(frozen=True)
class _Arm:
    """Whether an arm was completed, and for how many of its units the driver had receipts."""

    is_complete: bool
    num_units_done: int


class RunCheck:
    """Checks one run. It keeps the names of all its files, but only one file at a time in memory.

    Attributes:
        num_files: Number of the run's table files read so far.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self.num_files = 0

    def problems(self) -> Iterator[LedgerProblem]:
        """Reads every file of the run and yields each problem."""
        store, run_id = self._store, self._run_id
        # Read before the commit record is looked for, because the run may be committed in between.
        reported_committed = _reported_committed(store, run_id)
        run = None
        try:
            run = Run.model_validate_json(store.get(run_key(run_id)).to_pybytes())
        except (FileNotFoundError, ValueError) as error:
            yield LedgerProblem(run_key(run_id), f"cannot be read: {'; '.join(str(error).splitlines()[:3])}")
        if run is not None:
            yield from _record(run, run_id)
            yield from _patch(store, run)
            if run.supersedes is not None and not reader.is_committed(store, run.supersedes):
                yield LedgerProblem(
                    commit_key(run.supersedes), f"is missing: run '{run_id}' supersedes a committed run"
                )
        files: list[LedgerFile] = []
        arms: Mapping[str, _Arm] | None = None
        if reader.is_committed(store, run_id):
            files, record_problems = _committed(store, run_id, run)
            yield from record_problems
            for file in files:
                self.num_files += 1
                yield from _file(store, file)
            arms = _arms(store, files)
        elif reported_committed:
            yield LedgerProblem(commit_key(run_id), "is missing: the run's driver reported that it had committed")
        committed_keys = {file.key for file in files}
        for table in get_args(Table):
            for stored in store.listing(table_prefix(table, run_id)):
                if stored.key not in committed_keys:
                    self.num_files += 1
                    yield from _uncommitted(store, stored.key, table, run_id, arms)
        for name, arm in (arms or {}).items():
            num_stored = 0 if arm.is_complete else len(reader.stored_units(store, run_id, name))
            if not arm.is_complete and num_stored < arm.num_units_done:
                prefix = f"{table_prefix('scores', run_id)}{name}/"
                yield LedgerProblem(
                    prefix, f"is missing {arm.num_units_done - num_stored} of {arm.num_units_done} units"
                )


def _record(run: Run, run_id: str) -> Iterator[LedgerProblem]:
    """Compares the digests in a run's record with the manifests in it."""
    experiment = run.experiment
    recorded_and_computed = {
        "run_id": (run.run_id, run_id),
        "experiment_digest": (run.experiment_digest, experiment.digest()),
        "dataset_digest": (run.dataset_digest, experiment.dataset_digest),
        "suite_digest": (run.suite_digest, experiment.suite.digest()),
        "plan_digest": (run.plan_digest, experiment.suite.plan.digest()),
        "policy_digest": (run.policy_digest, experiment.suite.policy.digest()),
        "variant_digests": (dict(run.variant_digests), {arm.name: arm.variant.digest() for arm in experiment.arms}),
    }
    for field, (recorded, computed) in recorded_and_computed.items():
        if recorded != computed:
            yield LedgerProblem(
                run_key(run_id), f"was changed: {field} is recorded as {recorded}, but the content gives {computed}"
            )


def _patch(store: Store, run: Run) -> Iterator[LedgerProblem]:
    """Checks that the patch of the run's uncommitted changes exists, if it had any and kept them."""
    source = run.lineage.circumstance.get("source")
    digest = source.get("patch") if isinstance(source, dict) else None
    if digest is not None and not store.exists(patch_key(str(digest))):
        yield LedgerProblem(
            patch_key(str(digest)), f"is missing: it holds the uncommitted changes of run '{run.run_id}'"
        )


def _committed(store: Store, run_id: str, run: Run | None) -> tuple[list[LedgerFile], list[LedgerProblem]]:
    """The files that a commit record names, and the problems of the record itself."""
    key = commit_key(run_id)
    try:
        record = pq.read_table(pa.BufferReader(store.get(key)))
        files = list(reader.committed_files(store, run_id))
        runs, digests = set(record["run_id"].to_pylist()), set(record["run_digest"].to_pylist())
    except _UNREADABLE as error:
        return [], [LedgerProblem(key, f"cannot be read: {error}")]
    problems = []
    if runs != {run_id}:
        problems.append(LedgerProblem(key, f"is the commit record of another run: {', '.join(sorted(map(str, runs)))}"))
    if run is not None and digests != {run.digest()}:
        problem = (
            f"does not match {run_key(run_id)}, so one of them was changed: it commits a run record with the digest "
            f"{', '.join(map(str, digests))}, but the run record has {run.digest()}"
        )
        problems.append(LedgerProblem(key, problem))
    if not record.schema.equals(COMMITS):
        problems.append(LedgerProblem(key, "was changed: its columns are not those of a commit record"))
    keys = [file.key for file in files]
    if keys != sorted(set(keys)):
        problems.append(LedgerProblem(key, "was changed: its files are not in order, or are listed twice"))
    problems += [
        LedgerProblem(key, f"was changed: it lists '{file.key}' as a file of the table {file.table}")
        for file in files
        if file.table not in get_args(Table) or not file.key.startswith(table_prefix(file.table, run_id))
    ]
    return files, problems


def _file(store: Store, file: LedgerFile) -> Iterator[LedgerProblem]:
    """Compares a file with its row in the commit record."""
    try:
        content = store.get(file.key)
    except FileNotFoundError:
        yield LedgerProblem(file.key, "is missing, but the commit record lists it")
        return
    digest_now = fingerprint.sha256_digest(content)
    if digest_now != file.sha256:
        yield LedgerProblem(file.key, f"was changed: committed as {file.sha256}, now {digest_now}")
        return
    if len(content) != file.size_bytes:
        yield LedgerProblem(file.key, f"has {len(content)} bytes, but the commit record says {file.size_bytes}")
    schema = pq.read_schema(pa.BufferReader(content))
    if file.table in SCHEMAS and not schema.equals(SCHEMAS[file.table]):
        yield LedgerProblem(file.key, f"does not have the schema of the table {file.table}")
    num_rows = pq.read_metadata(pa.BufferReader(content)).num_rows
    if num_rows != file.num_rows:
        yield LedgerProblem(file.key, f"has {num_rows} rows, but the commit record says {file.num_rows}")


def _arms(store: Store, files: list[LedgerFile]) -> dict[str, _Arm] | None:
    """The outcome of each arm; None if the table cannot be read, which is reported as a problem of its file."""
    try:
        rows = reader.read_table(store, files, "arms", ["arm", "status", "num_units_done"]).to_pylist()
    except (DamageError, *_UNREADABLE):
        return None
    return {row["arm"]: _Arm(row["status"] == "complete", row["num_units_done"]) for row in rows}


def _uncommitted(
    store: Store, key: str, table: Table, run_id: str, arms: Mapping[str, _Arm] | None
) -> Iterator[LedgerProblem]:
    """Checks a file in no commit record. It may exist only if its arm, or the driver that wrote it, did not finish."""
    if table != "scores":
        digest = fingerprint.sha256_digest(store.get(key)).removeprefix("sha256:")
        if key != f"{table_prefix(table, run_id)}{digest[:16]}.parquet":
            yield LedgerProblem(key, "is in no commit record, and its content does not match the digest in its name")
        return
    arm = key.removeprefix(table_prefix(table, run_id)).partition("/")[0]
    if arms is not None and arm not in arms:
        yield LedgerProblem(key, f"is in no commit record, and the run has no arm '{arm}'")
        return
    if arms is not None and arms[arm].is_complete:
        yield LedgerProblem(key, f"is in no commit record, although arm '{arm}' is complete")
        return
    try:
        receipt, _ = reader.read_unit(store, key, committed_sha256=None)
        owner_columns = pq.read_table(pa.BufferReader(store.get(key)), columns=["run_id", "arm"])
    except DamageError as error:
        yield LedgerProblem(key, f"is in no commit record, and does not match its receipt: {error}")
        return
    owners = {(row["run_id"], row["arm"]) for row in owner_columns.to_pylist()}
    if unit_key(run_id, receipt.arm, receipt.unit) != key or owners != {(run_id, arm)}:
        yield LedgerProblem(
            key,
            f"holds unit {receipt.unit} of {' and '.join(map(str, owners))}: it was changed, moved or copied",
        )


def _reported_committed(store: Store, run_id: str) -> bool:
    """Whether the run's progress, which the driver updates after the commit, says that the run was committed."""
    try:
        return json.loads(store.get(progress_key(run_id)).to_pybytes()).get("state") == "committed"
    except (FileNotFoundError, ValueError, AttributeError, RecursionError):
        return False
