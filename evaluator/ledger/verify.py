"""Verifying a ledger: everything in it against what was recorded of it; what is wrong is named, never repaired."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import calibrations, reader, version_log
from assay.evaluator.ledger.commit_record import COMMIT_SCHEMA, LedgerFile
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import (
    FORMAT,
    FORMAT_KEY,
    LAYOUT,
    LOG_PREFIX,
    PATCH_PREFIX,
    Table,
    commit_key,
    patch_key,
    progress_key,
    run_key,
    table_prefix,
    unit_key,
)
from assay.manifests.log_entry import LogEntry
from assay.manifests.run import Run

_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)  # any byte may be wrong
_PLACES = re.compile(
    rf"{LAYOUT}/(FORMAT\.json|(log|progress|submissions|index|patches)/.+|runs/[^/]+\.json"
    rf"|calibrations/(?P<calibrated>[^/]+)/[^/]+\.json|commits/(?P<committed>[^/]+)\.parquet"
    rf"|data/({'|'.join(get_args(Table))})/run_id=(?P<run>[^/]+)/.+\.parquet)"
)
"""Where Assay writes."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as recorded.

    Attributes:
        key: Where: the object's key.
        problem: What is wrong with it.
    """

    key: str
    problem: str


@dataclass(frozen=True)
class LedgerVerification:
    """What was looked at, and what is wrong with it.

    Attributes:
        num_runs: Opened runs, committed or not.
        num_files: Files of their tables, read from the first byte to the last.
        num_entries: Whole entries of the log.
        log_head: The seal of its newest entry; None if there is none.
        problems: Everything that is not as recorded.
    """

    num_runs: int
    num_files: int
    num_entries: int
    log_head: str | None
    problems: tuple[Problem, ...]


def verify(store: Store, *, log_head: str | None = None) -> LedgerVerification:
    """Reads the whole ledger, one file in memory at a time.

    What a commit record names is compared with it byte by byte. Other files are units and tables of arms or drivers
    that did not finish: units are compared with their own receipts, tables with the digest in their names. Progress
    and submissions are no evidence. When a run was opened and with which resources, and who committed it when, is
    vouched for only by entries of the log about it.

    Args:
        store: The ledger's store.
        log_head: A seal that somebody kept: the log must still have it.
    """
    problems = list(_format(store))
    entries: list[LogEntry] = []
    for link in version_log.links(store):
        if link.entry is None:
            problems.append(Problem(link.key, link.problem))
        else:
            entries.append(link.entry)
    if log_head is not None and log_head not in {entry.seal for entry in entries}:
        problems.append(Problem(LOG_PREFIX, f"has no entry with the seal {log_head}: it was cut short or replaced"))
    problems += _vouched(store, entries)
    states = reader.runs(store)
    orphans = {found.key for found in store.listing(f"{LAYOUT}/commits/")} - {
        commit_key(each.run_id) for each in states
    }
    problems += [Problem(key, "is the commit record of a run that has no record") for key in sorted(orphans)]
    num_files = 0
    for state in states:
        check = _RunCheck(store, state.run_id)
        problems += check.problems()
        num_files += check.num_files
    problems += _patches(store)
    problems += [
        Problem(key, problem) for key in calibrations.keys(store) if (problem := calibrations.read(store, key)[1])
    ]
    problems += _strangers(store, {state.run_id for state in states})
    head = entries[-1].seal if entries else None
    return LedgerVerification(len(states), num_files, len(entries), head, tuple(problems))


@dataclass(frozen=True)
class _Arm:
    """How an arm ended, and how many of its units the driver had receipts of."""

    is_complete: bool
    num_units_done: int


class _RunCheck:
    """The check of one run: holds the names of its files, and no more of them than one at a time."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self.num_files = 0

    def problems(self) -> Iterator[Problem]:
        store, run_id = self._store, self._run_id
        told_committed = _told_committed(store, run_id)  # before the commit is looked for: the run may be on its way
        run = None
        try:
            run = Run.model_validate_json(store.get(run_key(run_id)).to_pybytes())
        except (FileNotFoundError, ValueError) as error:
            yield Problem(run_key(run_id), f"cannot be read: {'; '.join(str(error).splitlines()[:3])}")
        if run is not None:
            yield from _record(run, run_id)
            yield from _patch(store, run)
            if run.supersedes is not None and not reader.is_committed(store, run.supersedes):
                yield Problem(commit_key(run.supersedes), f"is missing: run '{run_id}' supersedes a committed run")
        files: list[LedgerFile] = []
        arms: Mapping[str, _Arm] | None = None
        if reader.is_committed(store, run_id):
            files, found = _committed(store, run_id, run)
            yield from found
            for file in files:
                self.num_files += 1
                yield from _file(store, file)
            arms = _arms(store, files)
        elif told_committed:
            yield Problem(commit_key(run_id), "is missing: the run's driver told that it had committed")
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
                yield Problem(prefix, f"is missing {arm.num_units_done - num_stored} of {arm.num_units_done} units")


def _format(store: Store) -> Iterator[Problem]:
    try:
        content = store.get(FORMAT_KEY).to_pybytes()
    except FileNotFoundError:
        yield Problem(FORMAT_KEY, "is missing: this is no ledger, or one without its beginning")
        return
    if content != FORMAT.encode():
        yield Problem(FORMAT_KEY, f"was changed: {content[:80]!r}")


def _vouched(store: Store, entries: list[LogEntry]) -> Iterator[Problem]:
    """The records of runs, as entries of the log remember them; each said once."""
    wanted = {
        (key, digest): entry
        for entry in reversed(entries)
        for key, digest in (
            (run_key(entry.run_id), entry.record_digest),
            (commit_key(entry.run_id), entry.commit_digest),
        )
    }
    for (key, digest), entry in wanted.items():
        try:
            found = fingerprint.sha256_digest(store.get(key))
        except FileNotFoundError:
            yield Problem(key, f"is missing: entry {entry.number} of the log speaks of it")
            continue
        if found != digest:
            yield Problem(key, f"was changed: in entry {entry.number} of the log it is {digest}, now {found}")


def _record(run: Run, run_id: str) -> Iterator[Problem]:
    """The digests that a run's record tells, against the manifests in it."""
    experiment = run.experiment
    told_and_made = {
        "run_id": (run.run_id, run_id),
        "experiment_digest": (run.experiment_digest, experiment.digest()),
        "dataset_digest": (run.dataset_digest, experiment.dataset_digest),
        "suite_digest": (run.suite_digest, experiment.suite.digest()),
        "plan_digest": (run.plan_digest, experiment.suite.plan.digest()),
        "policy_digest": (run.policy_digest, experiment.suite.policy.digest()),
        "variant_digests": (dict(run.variant_digests), {arm.name: arm.variant.digest() for arm in experiment.arms}),
    }
    for field, (told, made) in told_and_made.items():
        if told != made:
            yield Problem(run_key(run_id), f"was changed: {field} is recorded as {told}, but it is {made}")


def _patch(store: Store, run: Run) -> Iterator[Problem]:
    """The uncommitted changes that a run was made with, if it kept them."""
    found = run.lineage.circumstance.get("source")
    digest = found.get("patch") if isinstance(found, dict) else None
    if digest is not None and not store.exists(patch_key(str(digest))):
        yield Problem(patch_key(str(digest)), f"is missing: run '{run.run_id}' was made with it")


def _patches(store: Store) -> Iterator[Problem]:
    """Every patch against the digest in its name."""
    for found in store.listing(PATCH_PREFIX):
        if patch_key(fingerprint.sha256_digest(store.get(found.key))) != found.key:
            yield Problem(found.key, "was changed: its content is not what its name says")


def _committed(store: Store, run_id: str, run: Run | None) -> tuple[list[LedgerFile], list[Problem]]:
    """The files that a commit record names, and what is wrong with the record itself."""
    key = commit_key(run_id)
    try:
        record = pq.read_table(pa.BufferReader(store.get(key)))
        files = list(reader.committed_files(store, run_id))
        runs, digests = set(record["run_id"].to_pylist()), set(record["run_digest"].to_pylist())
    except _UNREADABLE as error:
        return [], [Problem(key, f"cannot be read: {error}")]
    problems = []
    if runs != {run_id}:
        problems.append(Problem(key, f"is the commit record of {', '.join(sorted(map(str, runs)))}"))
    if run is not None and digests != {run.digest()}:
        words = f"does not fit {run_key(run_id)}, one of them was changed: it commits {', '.join(map(str, digests))}"
        problems.append(Problem(key, f"{words}, the record is {run.digest()}"))
    if not record.schema.equals(COMMIT_SCHEMA):
        problems.append(Problem(key, "was changed: its columns are not those of a commit record"))
    keys = [file.key for file in files]
    if keys != sorted(set(keys)):
        problems.append(Problem(key, "was changed: its files are not in order, or named twice"))
    problems += [
        Problem(key, f"was changed: it names '{file.key}' as a file of table {file.table}")
        for file in files
        if file.table not in get_args(Table) or not file.key.startswith(table_prefix(file.table, run_id))
    ]
    return files, problems


def _file(store: Store, file: LedgerFile) -> Iterator[Problem]:
    """A file that a commit record names."""
    try:
        content = store.get(file.key)
    except FileNotFoundError:
        yield Problem(file.key, "is missing: it is in the commit record")
        return
    found = fingerprint.sha256_digest(content)
    if found != file.sha256:
        yield Problem(file.key, f"was changed: committed as {file.sha256}, now {found}")
        return
    if len(content) != file.size_bytes:
        yield Problem(file.key, f"has {len(content)} bytes, committed with {file.size_bytes}")
    num_rows = pq.read_metadata(pa.BufferReader(content)).num_rows
    if num_rows != file.num_rows:
        yield Problem(file.key, f"has {num_rows} rows, committed with {file.num_rows}")


def _arms(store: Store, files: list[LedgerFile]) -> dict[str, _Arm] | None:
    """How each arm ended; None if that cannot be read, which is a problem of its own."""
    try:
        rows = reader.read_table(store, files, "arms", ["arm", "status", "num_units_done"]).to_pylist()
    except (DamageError, *_UNREADABLE):
        return None
    return {row["arm"]: _Arm(row["status"] == "complete", row["num_units_done"]) for row in rows}


def _unnamed(store: Store, key: str, table: Table, run_id: str, arms: Mapping[str, _Arm] | None) -> Iterator[Problem]:
    """A file that no commit record names: rightly so only if its arm, or the driver that wrote it, did not finish."""
    if table != "scores":
        digest = fingerprint.sha256_digest(store.get(key)).removeprefix("sha256:")
        if key != f"{table_prefix(table, run_id)}{digest[:16]}.parquet":
            yield Problem(key, "is in no commit record, and its content is not what its name says")
        return
    arm = key.removeprefix(table_prefix(table, run_id)).partition("/")[0]
    if arms is not None and (arm not in arms or arms[arm].is_complete):
        yield Problem(key, f"is in no commit record, though arm '{arm}' was finished or never was in the run")
        return
    try:
        receipt, _ = reader.read_unit(store, key, committed_sha256=None)
        whose = pq.read_table(pa.BufferReader(store.get(key)), columns=["run_id", "arm"])
    except DamageError as error:
        yield Problem(key, f"is in no commit record, and not what its receipt says: {error}")
        return
    owners = {(row["run_id"], row["arm"]) for row in whose.to_pylist()}
    if unit_key(run_id, receipt.arm, receipt.unit) != key or owners != {(run_id, arm)}:
        yield Problem(key, f"holds unit {receipt.unit} of {' and '.join(map(str, owners))}: changed, moved, or a copy")


def _told_committed(store: Store, run_id: str) -> bool:
    """Whether the run's progress, which is told after the commit, says so: no evidence, but a witness."""
    try:
        return json.loads(store.get(progress_key(run_id)).to_pybytes()).get("state") == "committed"
    except (FileNotFoundError, ValueError, AttributeError):
        return False


def _strangers(store: Store, run_ids: set[str]) -> Iterator[Problem]:
    """What lies where nothing of the kind belongs, and runs whose record is gone."""
    known = set(run_ids)
    for found in store.listing(f"{LAYOUT}/"):
        place = _PLACES.fullmatch(found.key)
        if place is None:
            yield Problem(found.key, "is nothing that Assay writes")
            continue
        run_id = place["run"] or place["committed"] or place["calibrated"]
        if run_id is not None and run_id not in known:
            known.add(run_id)
            if not store.exists(run_key(run_id)):  # it may have been opened since
                yield Problem(run_key(run_id), f"is missing: '{found.key}' belongs to this run")
