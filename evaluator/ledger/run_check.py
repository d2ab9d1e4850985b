"""The check of one run of a ledger: compares its files with what was recorded about them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import batches, fingerprint
from assay.evaluator.batches import Unit
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import CommitRecord, LedgerFile
from assay.evaluator.ledger.committed_unit import checked_unit
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.log_chain import Position
from assay.evaluator.ledger.record_check import all_digest_problems, record_problems
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.ledger.unit_file import has_impossible_size
from assay.evaluator.ledger.unreadable import UNREADABLE, first_line
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import (
    Table,
    commit_key,
    patch_key,
    progress_key,
    run_key,
    table_key,
    table_prefix,
    unit_key,
)
from assay.manifests.run import Run

_ARM_COLUMNS = ("arm", "status", "num_rows", "num_units", "num_units_done")
_SCORED = ("complete", "unanswered")


@dataclass(frozen=True)
class _Arm:
    """What the table `arms` says about an arm.

    Attributes:
        is_scored: Whether all its units are part of the run.
        num_rows: The number of its rows; None if it was not scored completely.
        num_units: The number of the dataset's units.
        num_units_done: For how many of its units the driver had receipts.
    """

    is_scored: bool
    num_rows: int | None
    num_units: int
    num_units_done: int


class RunCheck:
    """Checks one run, with one file at a time in memory.

    Attributes:
        num_files: Number of the run's table files read so far.
        logged_before: A position that the log had before the run's commit; None if its commit record was not read.
    """

    def __init__(self, store: Store, run_id: str, *, keys: Sequence[str], deep: bool = False) -> None:
        """Reads nothing yet.

        Args:
            store: The ledger's store.
            run_id: The run.
            keys: The keys of all files of its tables, whether or not it names them.
            deep: Whether to read the rows of every file, too, rather than its bytes alone.
        """
        self._store, self._run_id, self._keys, self._deep = store, run_id, keys, deep
        self.num_files = 0
        self.logged_before: Position | None = None

    def problems(self) -> Iterator[LedgerProblem]:
        """Reads every file of the run and yields each problem."""
        store, run_id = self._store, self._run_id
        # Read before the commit record is looked for, because the run may be committed in between.
        reported_committed = _reported_committed(store, run_id)
        commit = None
        if reader.is_committed(store, run_id):
            try:
                commit = CommitRecord.parse(store.get(commit_key(run_id)))
                self.logged_before = commit.logged_before
            except ValueError as error:
                yield LedgerProblem(commit_key(run_id), str(error))
        elif reported_committed:
            yield LedgerProblem(commit_key(run_id), "is missing: the run's driver reported that it had committed")
        run = yield from self._record(commit)
        arms: Mapping[str, _Arm] | None = None
        if commit is not None:
            yield from (LedgerProblem(commit_key(run_id), problem) for problem in commit.problems(run_id))
            arms = yield from self._committed(commit, run)
        committed_keys = {file.key for file in commit.files} if commit is not None else set()
        others = [key for key in self._keys if key not in committed_keys]
        for key in others:
            self.num_files += 1
            yield from _uncommitted(store, key, run_id, arms)
        yield from _missing_units(run_id, arms or {}, others)

    def _record(self, commit: CommitRecord | None) -> Iterator[LedgerProblem]:
        """Checks the run's record, and returns it; None if it cannot be read."""
        store, run_id = self._store, self._run_id
        try:
            content = store.get(run_key(run_id))
            run = Run.model_validate_json(content.to_pybytes())
        except (FileNotFoundError, ValueError) as error:
            yield LedgerProblem(run_key(run_id), f"cannot be read: {'; '.join(str(error).splitlines()[:3])}")
            return None
        committed = None if commit is None else commit.record_digest
        digest = fingerprint.sha256_digest(content)
        for problem in record_problems(run, run_id, digest=digest, committed_digest=committed):
            yield LedgerProblem(run_key(run_id), problem)
        if self._deep:
            yield from (LedgerProblem(run_key(run_id), problem) for problem in all_digest_problems(run))
        yield from _patch(store, run)
        if run.supersedes is not None and not reader.is_committed(store, run.supersedes):
            yield LedgerProblem(commit_key(run.supersedes), f"is missing: run '{run_id}' supersedes a committed run")
        return run

    def _committed(self, commit: CommitRecord, run: Run | None) -> Iterator[LedgerProblem]:
        """Checks every file that the commit record names, and returns what it says about arms; None if unreadable."""
        units: Mapping[str, tuple[str, Unit]] = {}
        arms: Mapping[str, _Arm] | None = None
        for file in sorted(commit.files, key=lambda file: file.table != "arms"):  # the other files depend on the arms
            self.num_files += 1
            try:
                content = self._store.get(file.key)
            except FileNotFoundError:
                yield LedgerProblem(file.key, "is missing, but the commit record lists it")
                continue
            problem = _bytes_problem(file, content)
            if problem:
                yield LedgerProblem(file.key, problem)
                continue
            if file.table == "arms":
                arms = _arms(content)
                if arms is None:
                    yield LedgerProblem(file.key, "cannot be read as the table arms")
                elif run is not None:
                    units = _expected_units(run, arms)
                    yield from _coverage(commit, run, arms, units)
            if self._deep:
                yield from (LedgerProblem(file.key, each) for each in _rows_problems(file, content, run, units))
        if not any(file.table == "arms" for file in commit.files):
            yield LedgerProblem(commit_key(self._run_id), "was changed: it lists no file of the table arms")
        return arms


def _patch(store: Store, run: Run) -> Iterator[LedgerProblem]:
    """Checks that the patch of the run's uncommitted changes exists, if it had any and kept them."""
    source = run.lineage.circumstance.get("source")
    digest = source.get("patch") if isinstance(source, dict) else None
    if digest is not None and not store.exists(patch_key(str(digest))):
        yield LedgerProblem(
            patch_key(str(digest)), f"is missing: it holds the uncommitted changes of run '{run.run_id}'"
        )


def _bytes_problem(file: LedgerFile, content: pa.Buffer) -> str:
    """What contradicts a file's row in the commit record; empty if nothing does."""
    if content.size != file.size_bytes:  # without reading them: a sparse file may have any size
        return f"was changed: it has {content.size:,} bytes, but the commit record says {file.size_bytes:,}"
    digest_now = fingerprint.sha256_digest(content)
    return "" if digest_now == file.sha256 else f"was changed: committed as {file.sha256}, now {digest_now}"


def _rows_problems(
    file: LedgerFile, content: pa.Buffer, run: Run | None, units: Mapping[str, tuple[str, Unit]]
) -> Iterator[str]:
    """What contradicts the rows of a committed file."""
    if file.table == "scores":
        if run is not None and file.key in units:
            arm, unit = units[file.key]
            yield from checked_unit(content, run, arm=arm, unit=unit).problems
        return
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except UNREADABLE as error:
        yield f"cannot be read: {first_line(error)}"
        return
    if not table.schema.equals(SCHEMAS[file.table]):
        yield f"does not have the schema of the table {file.table}"
    elif set(table["run_id"].to_pylist()) - {None if run is None else run.run_id}:
        yield "was changed: it has rows of another run"
    if table.num_rows != file.num_rows:
        yield f"has {table.num_rows} rows, but the commit record says {file.num_rows}"


def _arms(content: pa.Buffer) -> dict[str, _Arm] | None:
    """The outcome of each arm; None if the table cannot be read."""
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(list(_ARM_COLUMNS), use_threads=False)
        rows = zip(*(table[name].to_pylist() for name in _ARM_COLUMNS), strict=True)
        return {arm: _Arm(status in _SCORED, *counts) for arm, status, *counts in rows}
    except UNREADABLE:
        return None


def _expected_units(run: Run, arms: Mapping[str, _Arm]) -> dict[str, tuple[str, Unit]]:
    """The score files that the run should have, each with its arm and unit."""
    num_rows = max((arm.num_rows or 0 for arm in arms.values()), default=0)
    units = batches.units(num_rows, batch_size=run.experiment.suite.batch_size)
    return {
        unit_key(run.run_id, name, unit.index): (name, unit)
        for name, arm in arms.items()
        if arm.is_scored
        for unit in units
    }


def _coverage(
    commit: CommitRecord, run: Run, arms: Mapping[str, _Arm], units: Mapping[str, tuple[str, Unit]]
) -> Iterator[LedgerProblem]:
    """Checks that the experiment, the table `arms` and the commit record are about the same arms, rows and units."""
    key = commit_key(run.run_id)
    (table,) = (file.key for file in commit.files if file.table == "arms")
    names = [arm.name for arm in run.experiment.arms]
    if sorted(arms) != sorted(names):
        yield LedgerProblem(
            table, f"was changed: it has the arms {', '.join(arms)}, but the experiment has {', '.join(names)}"
        )
    num_rows = {arm.num_rows for arm in arms.values() if arm.is_scored}
    num_units = {arm.num_units for arm in arms.values()}
    if len(num_rows) > 1 or (num_rows and len(num_units) > 1):
        yield LedgerProblem(table, "was changed: its arms differ in `num_rows` or `num_units`, but have the same rows")
    listed = {file.key: file.num_rows for file in commit.files if file.table == "scores"}
    for missing in sorted(units.keys() - listed.keys()):
        arm, unit = units[missing]
        yield LedgerProblem(
            key, f"was changed: it does not list '{missing}', although the table arms has all units of arm '{arm}'"
        )
    for added in sorted(listed.keys() - units.keys()):
        yield LedgerProblem(key, f"was changed: it lists '{added}', but by the table arms the run has no such unit")
    if not units.keys() ^ listed.keys():
        for each, (_, unit) in units.items():
            if listed[each] != unit.num_rows:
                yield LedgerProblem(
                    key, f"was changed: it lists '{each}' with {listed[each]} rows, but the unit has {unit.num_rows}"
                )


def _uncommitted(store: Store, key: str, run_id: str, arms: Mapping[str, _Arm] | None) -> Iterator[LedgerProblem]:
    """Checks a file in no commit record. It may exist only if its arm, or the driver that wrote it, did not finish."""
    table: Any = key.split("/")[2]
    if table != "scores":
        yield from _uncommitted_table(store, key, table, run_id)
        return
    arm = key.removeprefix(table_prefix(table, run_id)).partition("/")[0]
    if arms is not None and arm not in arms:
        yield LedgerProblem(key, f"is in no commit record, and the run has no arm '{arm}'")
        return
    if arms is not None and arms[arm].is_scored:
        yield LedgerProblem(key, f"is in no commit record, although all units of arm '{arm}' are part of the run")
        return
    try:
        receipt, _ = reader.read_unit(store, key, committed_sha256=None)
        owner_columns = pq.read_table(pa.BufferReader(store.get(key)), columns=["run_id", "arm"])
    except FileNotFoundError:  # it was set aside since it was read
        return
    except DamageError as error:
        yield LedgerProblem(key, f"is in no commit record, and does not match its receipt: {error}")
        return
    owners = {(row["run_id"], row["arm"]) for row in owner_columns.to_pylist()}
    if unit_key(run_id, receipt.arm, receipt.unit) != key or owners != {(run_id, arm)}:
        yield LedgerProblem(
            key,
            f"holds unit {receipt.unit} of {' and '.join(map(str, owners))}: it was changed, moved or copied",
        )


def _uncommitted_table(store: Store, key: str, table: Table, run_id: str) -> Iterator[LedgerProblem]:
    with suppress(FileNotFoundError):  # named as what cannot be read, or removed since it was listed
        content = store.get(key)
        if not has_impossible_size(content) and key == table_key(table, run_id, fingerprint.sha256_digest(content)):
            return
        yield LedgerProblem(key, "is in no commit record, and its content does not match the digest in its name")


def _missing_units(run_id: str, arms: Mapping[str, _Arm], uncommitted: Sequence[str]) -> Iterator[LedgerProblem]:
    """Checks that the units of arms that were not scored completely are still there."""
    folder = table_prefix("scores", run_id)
    num_stored = Counter(key.removeprefix(folder).partition("/")[0] for key in uncommitted if key.startswith(folder))
    for name, arm in arms.items():
        num_missing = 0 if arm.is_scored else arm.num_units_done - num_stored[name]
        if num_missing > 0:
            yield LedgerProblem(f"{folder}{name}/", f"is missing {num_missing} of {arm.num_units_done} units")


def _reported_committed(store: Store, run_id: str) -> bool:
    """Whether the run's progress, which the driver updates after the commit, says that the run was committed."""
    try:
        return json.loads(store.get(progress_key(run_id)).to_pybytes()).get("state") == "committed"
    except (FileNotFoundError, ValueError, AttributeError, RecursionError):
        return False
