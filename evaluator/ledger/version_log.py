"""The version log: decisions, overrides and verifications, one small file per entry, sealed and chained by hashes."""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import rfc8785

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import Store
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.ledger_layout import LOG_PREFIX, log_key, run_key
from assay.manifests.log_entry import (
    BaseLogEntry,
    DecisionEntry,
    OverrideEntry,
    Verdict,
    VerificationEntry,
    read_entry,
)
from assay.manifests.verification import Against, ArmVerified, Verification

_Entry = TypeVar("_Entry", bound=BaseLogEntry)

_UNSEALED = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Link:
    """One position in the log.

    Attributes:
        key: The key that the entry has or should have.
        entry: The entry; None if it is missing or was changed.
        problem: What is wrong with it; empty if nothing is.
    """

    key: str
    entry: BaseLogEntry | None
    problem: str = ""


def links(store: Store) -> Iterator[Link]:
    """Yields every position of the log in order, each checked by itself and against the one before.

    Deleting the newest entries cannot be detected from the remaining ones, but only with a seal that was kept elsewhere.
    """
    numbers = []
    for stored in store.listing(LOG_PREFIX):
        match = re.fullmatch(r"([0-9]{6,})\.json", stored.key.removeprefix(LOG_PREFIX))
        if match is None or log_key(int(match[1])) != stored.key:
            yield Link(stored.key, None, "is not an entry of the log")
        else:
            numbers.append(int(match[1]))
    expected, before = 1, None
    for number in sorted(numbers):
        is_gap = number != expected
        if is_gap:
            also_missing = f", and so are all entries before {number}" if number > expected + 1 else ""
            yield Link(log_key(expected), None, f"is missing{also_missing}")
        link = _link(store, number)
        if link.entry is not None and not is_gap and (before is not None or number == 1):
            seal = before.seal if before is not None else None
            if link.entry.previous != seal:
                problem = f"refers to {link.entry.previous}, but the previous entry has {seal}: that entry was replaced"
                link = Link(link.key, None, problem)
        yield link
        expected, before = number + 1, link.entry


def entries(store: Store) -> tuple[BaseLogEntry, ...]:
    """All entries of the log. Those of kinds that only another release knows are `UnknownEntry`.

    Raises:
        DamageError: An entry is missing or was changed.
    """
    intact = []
    for link in links(store):
        if link.entry is None:
            raise DamageError(
                f"{store.uri}: '{link.key}' {link.problem}; run 'assay ledger verify' to list all problems"
            )
        intact.append(link.entry)
    return tuple(intact)


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
    evidence = _evidence(CommittedRun(store, run_id))
    appended = []
    for row in decisions:
        fields = {"arm": row["arm"], "decision": row["decision"], "reasons": tuple(row["reasons"]), "by": "gate"}
        appended.append(_append(store, DecisionEntry, {**evidence, **fields}, once=("run_id", "arm", "decision")))
    return tuple(entry for entry in appended if entry is not None)


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
        if not value.strip() or not value.isprintable():
            bound = "printable characters in one line"
            raise InvalidInput("an override needs a reason and a name", field=name, value=value, bound=bound)
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
    entry = _append(store, OverrideEntry, {**_evidence(run), **fields})
    assert entry is not None
    return entry


def record_verification(store: Store, run_id: str, verification: Verification) -> VerificationEntry:
    """Appends the result of scoring a run's rows again.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    fields = {"verification": verification, "by": "verify"}
    entry = _append(store, VerificationEntry, {**_evidence(CommittedRun(store, run_id)), **fields})
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

    For each arm and each form of verification the newest result counts. A difference, however, is superseded only by a
    match on at least as many rows, because smaller samples are parts of larger ones.

    Raises:
        DamageError: The log was changed.
    """
    return repetition_in(entries(run.store), run.run_id)


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


def _append(store: Store, kind: type[_Entry], fields: Mapping[str, Any], *, once: Sequence[str] = ()) -> _Entry | None:
    """Appends an entry at the next free number.

    Of two concurrent writers put-if-absent lets one succeed; the other reads the log again and retries.

    Args:
        store: The ledger's store.
        kind: The class of the entry.
        fields: The entry's fields, without its number, time, previous seal and seal.
        once: Nothing is appended if the log has an entry of this class in which these fields are the same.

    Returns:
        The entry; None if nothing was appended.
    """
    while True:
        log = entries(store)
        alike = (entry for entry in log if isinstance(entry, kind))
        if once and any(all(getattr(entry, name) == fields[name] for name in once) for entry in alike):
            return None
        draft = kind(
            number=len(log) + 1,
            previous=log[-1].seal if log else None,
            at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            seal=_UNSEALED,
            **fields,
        )
        entry = draft.model_copy(update={"seal": draft.digest()})
        content, key = rfc8785.dumps(entry.model_dump(mode="json")), log_key(entry.number)
        # If the number is taken, the stored entry may be ours: an earlier attempt succeeded and its response was lost.
        if store.put_if_absent(key, content) or store.get(key).to_pybytes() == content:
            return entry


def _evidence(run: CommittedRun) -> dict[str, Any]:
    """The fields of a `BaseRunEntry`: the run, and the digests of what is recorded about it."""
    return {
        "run_id": run.run_id,
        "record_digest": fingerprint.sha256_digest(run.store.get(run_key(run.run_id))),
        "commit_digest": run.commit.sha256,
        "analysis_digest": next(file.sha256 for file in run.files if file.table == "analyses"),
        "plan_digest": run.record.plan_digest,
        "policy_digest": run.record.policy_digest,
    }


def _link(store: Store, number: int) -> Link:
    """One entry, checked by itself. The plain JSON is hashed, because another release may have other fields."""
    key = log_key(number)
    content = store.get(key).to_pybytes()
    try:
        plain = json.loads(content)
        is_canonical = rfc8785.dumps(plain) == content
        seal = plain.pop("seal")
        is_sealed = fingerprint.sha256_digest(rfc8785.dumps(plain)) == seal
        entry = read_entry(plain, content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return Link(key, None, f"was changed: {str(error).splitlines()[0]}")
    if not (is_canonical and is_sealed):
        return Link(key, None, f"was changed: its content does not match its seal {seal}")
    if entry.number != number:
        return Link(key, None, f"holds entry {entry.number}: it was moved or copied")
    return Link(key, entry)
