"""The check of one run of a ledger: its files against what was recorded of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import COMMIT_SCHEMA, LedgerFile
from assay.evaluator.ledger.ledger_problem import LedgerProblem
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

_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)  # any byte may be wrong


@dataclass(frozen=True)
class _Arm:
    """How an arm ended, and how many of its units the driver had receipts of."""

    is_complete: bool
    num_units_done: int


class RunCheck:
    """Checks one run: holds the names of its files, and no more of them than one at a time.

    Attributes:
        num_files: Files of its tables that were read so far.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self.num_files = 0

    def problems(self) -> Iterator[LedgerProblem]:
        """Reads every file of the run, and gives what is wrong with it."""
        store, run_id = self._store, self._run_id
        reported_committed = _reported_committed(
            store, run_id
        )  # before the commit is looked for: the run may be on its way
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
            files, found = _committed(store, run_id, run)
            yield from found
            for file in files:
                self.num_files += 1
                yield from _file(store, file)
            arms = _arms(store, files)
        elif reported_committed:
            yield LedgerProblem(commit_key(run_id), "is missing: the run's driver told that it had committed")
        named = {file.key for file in files}
        for table in get_args(Table):
            for found in store.listing(table_prefix(table, run_id)):
                if found.key not in named:
                    self.num_files += 1
                    yield from _unnamed(store, found.key, table, run_id, arms)
        for name, arm in (arms or {}).items():
            num_stored = 0 if arm.is_complete else len(reader.stored_units(store, run_id, name))
            if not arm.is_complete and num_stored < arm.num_units_done:
                prefix = f"{table_prefix('scores', run_id)}{name}/"
                yield LedgerProblem(
                    prefix, f"is missing {arm.num_units_done - num_stored} of {arm.num_units_done} units"
                )


def _record(run: Run, run_id: str) -> Iterator[LedgerProblem]:
    """The digests that a run's record tells, against the manifests in it."""
    experiment = run.experiment
    recorded_and_made = {
        "run_id": (run.run_id, run_id),
        "experiment_digest": (run.experiment_digest, experiment.digest()),
        "dataset_digest": (run.dataset_digest, experiment.dataset_digest),
        "suite_digest": (run.suite_digest, experiment.suite.digest()),
        "plan_digest": (run.plan_digest, experiment.suite.plan.digest()),
        "policy_digest": (run.policy_digest, experiment.suite.policy.digest()),
        "variant_digests": (dict(run.variant_digests), {arm.name: arm.variant.digest() for arm in experiment.arms}),
    }
    for field, (recorded, made) in recorded_and_made.items():
        if recorded != made:
            yield LedgerProblem(run_key(run_id), f"was changed: {field} is recorded as {recorded}, but it is {made}")


def _patch(store: Store, run: Run) -> Iterator[LedgerProblem]:
    """The uncommitted changes that a run was made with, if it kept them."""
    found = run.lineage.circumstance.get("source")
    digest = found.get("patch") if isinstance(found, dict) else None
    if digest is not None and not store.exists(patch_key(str(digest))):
        yield LedgerProblem(patch_key(str(digest)), f"is missing: run '{run.run_id}' was made with it")


def _committed(store: Store, run_id: str, run: Run | None) -> tuple[list[LedgerFile], list[LedgerProblem]]:
    """The files that a commit record names, and what is wrong with the record itself."""
    key = commit_key(run_id)
    try:
        record = pq.read_table(pa.BufferReader(store.get(key)))
        files = list(reader.committed_files(store, run_id))
        runs, digests = set(record["run_id"].to_pylist()), set(record["run_digest"].to_pylist())
    except _UNREADABLE as error:
        return [], [LedgerProblem(key, f"cannot be read: {error}")]
    problems = []
    if runs != {run_id}:
        problems.append(LedgerProblem(key, f"is the commit record of {', '.join(sorted(map(str, runs)))}"))
    if run is not None and digests != {run.digest()}:
        words = f"does not fit {run_key(run_id)}, one of them was changed: it commits {', '.join(map(str, digests))}"
        problems.append(LedgerProblem(key, f"{words}, the record is {run.digest()}"))
    if not record.schema.equals(COMMIT_SCHEMA):
        problems.append(LedgerProblem(key, "was changed: its columns are not those of a commit record"))
    keys = [file.key for file in files]
    if keys != sorted(set(keys)):
        problems.append(LedgerProblem(key, "was changed: its files are not in order, or named twice"))
    problems += [
        LedgerProblem(key, f"was changed: it names '{file.key}' as a file of table {file.table}")
        for file in files
        if file.table not in get_args(Table) or not file.key.startswith(table_prefix(file.table, run_id))
    ]
    return files, problems


def _file(store: Store, file: LedgerFile) -> Iterator[LedgerProblem]:
    """A file that a commit record names."""
    try:
        content = store.get(file.key)
    except FileNotFoundError:
        yield LedgerProblem(file.key, "is missing: it is in the commit record")
        return
    found = fingerprint.sha256_digest(content)
    if found != file.sha256:
        yield LedgerProblem(file.key, f"was changed: committed as {file.sha256}, now {found}")
        return
    if len(content) != file.size_bytes:
        yield LedgerProblem(file.key, f"has {len(content)} bytes, committed with {file.size_bytes}")
    num_rows = pq.read_metadata(pa.BufferReader(content)).num_rows
    if num_rows != file.num_rows:
        yield LedgerProblem(file.key, f"has {num_rows} rows, committed with {file.num_rows}")


def _arms(store: Store, files: list[LedgerFile]) -> dict[str, _Arm] | None:
    """How each arm ended; None if that cannot be read, which is a problem of its own."""
    try:
        rows = reader.read_table(store, files, "arms", ["arm", "status", "num_units_done"]).to_pylist()
    except (DamageError, *_UNREADABLE):
        return None
    return {row["arm"]: _Arm(row["status"] == "complete", row["num_units_done"]) for row in rows}


def _unnamed(
    store: Store, key: str, table: Table, run_id: str, arms: Mapping[str, _Arm] | None
) -> Iterator[LedgerProblem]:
    """A file that no commit record names: rightly so only if its arm, or the driver that wrote it, did not finish."""
    if table != "scores":
        digest = fingerprint.sha256_digest(store.get(key)).removeprefix("sha256:")
        if key != f"{table_prefix(table, run_id)}{digest[:16]}.parquet":
            yield LedgerProblem(key, "is in no commit record, and its content is not what its name says")
        return
    arm = key.removeprefix(table_prefix(table, run_id)).partition("/")[0]
    if arms is not None and (arm not in arms or arms[arm].is_complete):
        yield LedgerProblem(key, f"is in no commit record, though arm '{arm}' was finished or never was in the run")
        return
    try:
        receipt, _ = reader.read_unit(store, key, committed_sha256=None)
        whose = pq.read_table(pa.BufferReader(store.get(key)), columns=["run_id", "arm"])
    except DamageError as error:
        yield LedgerProblem(key, f"is in no commit record, and not what its receipt says: {error}")
        return
    owners = {(row["run_id"], row["arm"]) for row in whose.to_pylist()}
    if unit_key(run_id, receipt.arm, receipt.unit) != key or owners != {(run_id, arm)}:
        yield LedgerProblem(
            key, f"holds unit {receipt.unit} of {' and '.join(map(str, owners))}: changed, moved, or a copy"
        )


def _reported_committed(store: Store, run_id: str) -> bool:
    """Whether the run's progress, which is told after the commit, says so: no evidence, but a witness."""
    try:
        return json.loads(store.get(progress_key(run_id)).to_pybytes()).get("state") == "committed"
    except (FileNotFoundError, ValueError, AttributeError):
        return False
