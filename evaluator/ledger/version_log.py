"""The version log: every commit, decision, override and verification of a ledger's runs, in one order."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger import log_chain, reader
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.log_chain import Position
from assay.evaluator.storage import Store
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.ledger_layout import commit_key, run_key
from assay.manifests.log_entry import (
    BaseLogEntry,
    CommitEntry,
    DecisionEntry,
    OverrideEntry,
    Verdict,
    VerificationEntry,
)
from assay.manifests.verification import Against, ArmVerified, Verification


def record_commit(store: Store, run_id: str, *, after: Position) -> CommitEntry | None:
    """Appends that a run was committed, unless the log has it.

    Args:
        store: The ledger's store.
        run_id: The run.
        after: A position that the log had before the commit.

    Returns:
        The new entry; None if the log had one.

    Raises:
        DamageError: The log, or the run's record, is missing or was changed.
    """
    fields = {**_records(store, run_id), "by": "run"}
    return log_chain.append(store, CommitEntry, fields, after=after, found=lambda entry: _is_commit(entry, run_id))


@dataclass(frozen=True)
class LoggedCommits:
    """Which commits the log has.

    Attributes:
        positions: By run, the position behind the entry of its commit.
        problems: By run, why the log does not have its commit, or how the two contradict each other.
    """

    positions: dict[str, Position] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def record_commits(store: Store, run_ids: Iterable[str]) -> LoggedCommits:
    """Appends the commits of runs whose drivers may have died between the commit and the log's entry.

    A commit record names an entry that the log had before the commit. Only what follows can be the run's own, so the log
    is read from the earliest of these on.
    """
    positions: dict[str, Position] = {}
    problems: dict[str, str] = {}
    before: dict[str, Position] = {}
    digests: dict[str, str] = {}
    for run_id in run_ids:
        try:
            record = reader.read_commit_record(store, run_id)
        except (DamageError, LedgerError) as error:
            problems[run_id] = str(error)
        else:
            before[run_id], digests[run_id] = record.logged_before, record.sha256
    if not before:
        return LoggedCommits(positions, problems)
    start = min(before.values(), key=lambda position: position.number)
    try:
        log = log_chain.entries(store, after=start)
    except DamageError as error:
        return LoggedCommits(positions, {**problems, **dict.fromkeys(before, str(error))})
    seals = {start.number: start.seal, **{entry.number: entry.seal for entry in log}}
    logged = {entry.run_id: entry for entry in log if isinstance(entry, CommitEntry)}
    newest = Position.behind(log[-1]) if log else start
    for run_id, position in before.items():
        if seals.get(position.number, "") != position.seal:
            problems[run_id] = (
                f"{store.uri}: '{commit_key(run_id)}' refers to entry {position.number} of the log with the seal "
                f"{position.seal}, which the log does not have: it was cut short or replaced"
            )
            continue
        try:
            if run_id in logged:
                _check(store, logged[run_id], digests[run_id])
                positions[run_id] = Position.behind(logged[run_id])
            elif entry := record_commit(store, run_id, after=newest):
                newest = positions[run_id] = Position.behind(entry)
        except DamageError as error:
            problems[run_id] = str(error)
    return LoggedCommits(positions, problems)


def record_decisions(store: Store, run_id: str, decisions: Sequence[Mapping[str, Any]]) -> tuple[DecisionEntry, ...]:
    """Appends the gate's decisions. A decision that the log already has for the same run and arm is not repeated.

    Args:
        store: The ledger's store.
        run_id: A committed run.
        decisions: Rows of its table of decisions: `arm`, `decision`, `reasons`.

    Returns:
        The new entries.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    run = CommittedRun(store, run_id)
    _log_commit(run)
    log = log_chain.entries(store, after=run.commit.logged_before)
    evidence, newest, appended = _evidence(run), Position.behind(log[-1]), []
    for row in decisions:
        fields = {"arm": row["arm"], "decision": row["decision"], "reasons": tuple(row["reasons"]), "by": "gate"}

        def is_same(entry: BaseLogEntry, arm: str = row["arm"], decision: str = row["decision"]) -> bool:
            return isinstance(entry, DecisionEntry) and (entry.run_id, entry.arm, entry.decision) == (
                run_id,
                arm,
                decision,
            )

        if any(map(is_same, log)):
            continue
        entry = log_chain.append(store, DecisionEntry, {**evidence, **fields}, after=newest, found=is_same)
        if entry is not None:
            newest = Position.behind(entry)
            appended.append(entry)
    return tuple(appended)


def override(store: Store, run_id: str, arm: str, decision: Verdict, *, reason: str, by: str) -> OverrideEntry:
    """Appends a person's decision about an arm, which may differ from the gate's.

    Args:
        store: The ledger's store.
        run_id: A committed run.
        arm: The arm's name.
        decision: The person's decision.
        reason: Why the person decided so.
        by: The person's name.

    Raises:
        InvalidInput: The reason or the name is empty, or the run has no decision about this arm.
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    for name, value in (("reason", reason), ("by", by)):
        if not value.strip():
            raise InvalidInput("an override needs a reason and a name", field=name, value=value)
    run = CommittedRun(store, run_id)
    gate_decisions = {row["arm"]: row for row in run.rows("decisions")}
    if arm not in gate_decisions:
        raise InvalidInput(
            "the run has no decision about this arm",
            place=run_id,
            value=arm,
            remedy=did_you_mean(arm, list(gate_decisions)),
        )
    reasons = tuple(gate_decisions[arm]["reasons"])
    fields = {"arm": arm, "decision": decision, "reasons": reasons, "reason": reason, "by": by}
    _log_commit(run)
    entry = log_chain.append(store, OverrideEntry, {**_evidence(run), **fields})
    assert entry is not None
    return entry


def record_verification(store: Store, run_id: str, verification: Verification) -> VerificationEntry:
    """Appends the result of scoring a run's rows again.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    run = CommittedRun(store, run_id)
    _log_commit(run)
    fields = {"verification": verification, "by": "verify"}
    entry = log_chain.append(store, VerificationEntry, {**_evidence(run), **fields})
    assert entry is not None
    return entry


@dataclass(frozen=True)
class Repetition:
    """The combined result of the verifications of a run.

    Attributes:
        matched: How many rows of each arm matched what the ledger holds; arms that were not compared with it are absent.
        differing: Arms with a difference that counts, whatever they were compared with.
    """

    matched: Mapping[str, int] = field(default_factory=dict)
    differing: tuple[str, ...] = ()


def repetition(run: CommittedRun) -> Repetition:
    """Which arms' scores could be repeated, according to all verifications in the log.

    They follow the run's commit, so only what the log has had since is read, unless the commit is not found there. For each arm and each form of verification the newest result counts. A difference, however, is superseded only by a
    match on at least as many rows, because smaller samples are parts of larger ones.

    Raises:
        DamageError: The log was changed, or has another commit of the run.
    """
    log = log_chain.entries(run.store, after=run.commit.logged_before)
    if not any(_is_commit(entry, run.run_id) for entry in log):
        log = log_chain.entries(run.store)
    for entry in log:
        if isinstance(entry, CommitEntry) and entry.run_id == run.run_id:
            _check(run.store, entry, run.commit.sha256)
    return repetition_in(log, run.run_id)


def repetition_in(log: Iterable[BaseLogEntry], run_id: str) -> Repetition:
    """Which arms' scores could be repeated, according to the verifications among these entries, oldest first."""
    results: dict[tuple[Against, str], ArmVerified] = {}
    for entry in log:
        if isinstance(entry, VerificationEntry) and entry.run_id == run_id:
            for arm in entry.verification.arms:
                key = (entry.verification.against, arm.arm)
                before = results.get(key)
                if before is None or arm.num_rows_different or arm.num_rows >= before.num_rows:
                    results[key] = arm
    differing = sorted({arm.arm for arm in results.values() if arm.num_rows_different})
    matched = {arm: result.num_rows for (against, arm), result in results.items() if against == "ledger"}
    return Repetition({arm: rows for arm, rows in matched.items() if arm not in differing}, tuple(differing))


@dataclass(frozen=True)
class Seal:
    """What to keep elsewhere, so that the log cannot be rewritten or cut short unseen.

    Attributes:
        ledger: The ledger's location.
        num_entries: The number of entries.
        seal: The seal of the newest entry, which covers all entries; None without entries.
        at: When this was read: UTC, ISO 8601.
        unlogged: Committed runs that it does not cover, because the log does not have them yet.
    """

    ledger: str
    num_entries: int
    seal: str | None
    at: str
    unlogged: tuple[str, ...]


def seal(store: Store) -> Seal:
    """The seal of a log, all of which is read and checked.

    Raises:
        DamageError: The log was changed.
    """
    committed = [state.run_id for state in reader.runs(store) if state.committed]
    log = log_chain.entries(store)
    logged = {entry.run_id for entry in log if isinstance(entry, CommitEntry)}
    newest = log[-1].seal if log else None
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    return Seal(store.uri, len(log), newest, now, tuple(run_id for run_id in committed if run_id not in logged))


def _is_commit(entry: BaseLogEntry, run_id: str) -> bool:
    return isinstance(entry, CommitEntry) and entry.run_id == run_id


def _check(store: Store, entry: CommitEntry, commit_digest: str) -> None:
    """Refuses a run whose commit record is not the one that was logged."""
    if entry.commit_digest != commit_digest:
        raise DamageError(
            f"{store.uri}: '{commit_key(entry.run_id)}' was changed: entry {entry.number} of the log has "
            f"{entry.commit_digest}, now {commit_digest}; restore it: nothing about this run can be believed"
        )


def _log_commit(run: CommittedRun) -> None:
    """Makes sure that the log has a run's commit before anything else about the run.

    Raises:
        DamageError: The log was changed, or has another commit of the run.
    """
    for entry in log_chain.following(run.store, run.commit.logged_before):
        if isinstance(entry, CommitEntry) and entry.run_id == run.run_id:
            _check(run.store, entry, run.commit.sha256)
            return
    for problem in record_commits(run.store, [run.run_id]).problems.values():
        raise DamageError(problem)


def _records(store: Store, run_id: str) -> dict[str, Any]:
    """The fields of a `BaseRunEntry`: the run, and the digests of its two records."""
    try:
        return {
            "run_id": run_id,
            "record_digest": fingerprint.sha256_digest(store.get(run_key(run_id))),
            "commit_digest": fingerprint.sha256_digest(store.get(commit_key(run_id))),
        }
    except FileNotFoundError as error:
        raise DamageError(f"{store.uri}: a record of run '{run_id}' is missing: {error}") from None


def _evidence(run: CommittedRun) -> dict[str, Any]:
    """The fields of a `BaseReviewEntry`: the run, and the digests of what is recorded about it."""
    analyses = [file.sha256 for file in run.files if file.table == "analyses"]
    if not analyses:
        raise DamageError(f"{run.store.uri}: '{commit_key(run.run_id)}' was changed: it lists no analysis")
    return {
        **_records(run.store, run.run_id),
        "analysis_digest": analyses[0],
        "plan_digest": run.record.plan_digest,
        "policy_digest": run.record.policy_digest,
    }
