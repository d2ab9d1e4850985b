"""The version log: which decisions were acted on, one small file each, every one sealed and chained to the last."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import rfc8785

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.storage import Store
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.ledger_layout import LOG_PREFIX, commit_key, log_key, run_key
from assay.manifests.log_entry import LogEntry
from assay.manifests.verification import Against, ArmVerified, Outcome, Verification

Verdict = Literal["promote", "hold", "reject"]

_UNSEALED = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Link:
    """One place in the log.

    Attributes:
        key: The key that it has or ought to have.
        entry: The entry, if it can be trusted.
        problem: What is wrong with it; empty if nothing is.
    """

    key: str
    entry: LogEntry | None
    problem: str = ""


def links(store: Store) -> Iterator[Link]:
    """Every place of the log in order, each checked by itself and against the one before.

    The removal of the newest entries cannot be seen from what is left: only who kept a later seal can tell.
    """
    numbers = []
    for found in store.listing(LOG_PREFIX):
        named = re.fullmatch(r"([0-9]{6,})\.json", found.key.removeprefix(LOG_PREFIX))
        if named is None or log_key(int(named[1])) != found.key:
            yield Link(found.key, None, "is no entry of the log")
        else:
            numbers.append(int(named[1]))
    expected, before = 1, None
    for number in sorted(numbers):
        is_gap = number != expected
        if is_gap:
            and_more = f", and so are all before {number}" if number > expected + 1 else ""
            yield Link(log_key(expected), None, f"is missing{and_more}")
        link = _link(store, number)
        if link.entry is not None and not is_gap and (before is not None or number == 1):
            seal = before.seal if before is not None else None
            if link.entry.previous != seal:
                words = f"follows on {link.entry.previous}, but the entry before it is {seal}: that was replaced"
                link = Link(link.key, None, words)
        yield link
        expected, before = number + 1, link.entry


def entries(store: Store) -> tuple[LogEntry, ...]:
    """The log.

    Raises:
        DamageError: An entry is missing or was changed.
    """
    found = []
    for link in links(store):
        if link.entry is None:
            raise DamageError(
                f"{store.uri}: '{link.key}' {link.problem}; 'assay ledger verify' names all that is wrong"
            )
        found.append(link.entry)
    return tuple(found)


def record_decisions(store: Store, run_id: str, decisions: Sequence[Mapping[str, Any]]) -> tuple[LogEntry, ...]:
    """Appends what the gate decided, each decision about an arm of a run once, however often it is asked.

    Args:
        store: The ledger's store.
        run_id: A committed run.
        decisions: Rows of its decisions: `arm`, `decision`, `reasons`.

    Returns:
        The entries that are new.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    evidence = _evidence(store, run_id)
    appended = []
    for row in decisions:
        fields = {"kind": row["decision"], "arm": row["arm"], "decision": row["decision"], "by": "gate"}
        appended.append(_append(store, {**evidence, **fields, "reasons": tuple(row["reasons"])}, once=True))
    return tuple(entry for entry in appended if entry is not None)


def override(store: Store, run_id: str, arm: str, decision: Verdict, *, reason: str, by: str) -> LogEntry:
    """Appends a person's decision about an arm, whatever the gate says.

    Raises:
        InvalidInput: There is no reason or no name, or the run decided nothing about this arm.
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    for field, value in (("reason", reason), ("by", by)):
        if not value.strip():
            raise InvalidInput("an override says why and by whom", field=field, value=value)
    rows = reader.read_table(store, reader.committed_files(store, run_id), "decisions").to_pylist()
    of_gate = {row["arm"]: row for row in rows}
    if arm not in of_gate:
        raise InvalidInput(
            "no decision about this arm", place=run_id, value=arm, remedy=did_you_mean(arm, list(of_gate))
        )
    fields = {"kind": "override", "arm": arm, "decision": decision, "by": by, "reason": reason}
    entry = _append(store, {**_evidence(store, run_id), **fields, "reasons": tuple(of_gate[arm]["reasons"])})
    assert entry is not None
    return entry


def record_verification(store: Store, run_id: str, verification: Verification) -> LogEntry:
    """Appends what came of scoring a run's rows again.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: The log was changed.
    """
    fields = {"kind": "verification", "by": "verify", "verification": verification}
    entry = _append(store, {**_evidence(store, run_id), **fields})
    assert entry is not None
    return entry


@dataclass(frozen=True)
class Repetition:
    """What came of scoring a run again.

    Attributes:
        outcome: `differs` if any word that counts is a difference; `matched` if every arm matched.
        num_rows: How many rows of each arm that was said of: of the arm with the fewest.
    """

    outcome: Outcome
    num_rows: int


def repetition(store: Store, run_id: str) -> Repetition | None:
    """What is known of whether a run can be repeated.

    Of each arm and each form of verification the newest word counts; but a difference that was found on some rows is
    outweighed only by a match on at least as many: smaller samples are parts of larger ones.

    Returns:
        `differs` if any such word is a difference; `matched` if every arm that the run has measured matched what the
        ledger holds, be it on a sample; None as long as neither is known.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: The log, or the table of arms, was changed.
    """
    found: dict[tuple[Against, str], ArmVerified] = {}
    for entry in entries(store):
        if entry.run_id == run_id and entry.verification is not None:
            for arm in entry.verification.arms:
                key = (entry.verification.against, arm.arm)
                before = found.get(key)
                if before is None or arm.num_rows_different or arm.num_rows >= before.num_rows:
                    found[key] = arm
    if any(arm.num_rows_different for arm in found.values()):
        return Repetition("differs", min(arm.num_rows for arm in found.values()))
    rows = reader.read_table(store, reader.committed_files(store, run_id), "arms", ["arm", "status"]).to_pylist()
    measured = [row["arm"] for row in rows if row["status"] == "complete"]
    if not all(("ledger", arm) in found for arm in measured):
        return None
    return Repetition("matched", min(found["ledger", arm].num_rows for arm in measured))


def _append(store: Store, fields: Mapping[str, Any], *, once: bool = False) -> LogEntry | None:
    """Takes the next free place: put-if-absent decides between two writers, and who loses reads on. None: it is there."""
    nothing = {"arm": None, "decision": None, "verification": None, "reasons": (), "reason": None}
    while True:
        log = entries(store)
        if once and (fields["run_id"], fields["arm"], fields["kind"]) in {(e.run_id, e.arm, e.kind) for e in log}:
            return None
        draft = LogEntry(
            number=len(log) + 1,
            previous=log[-1].seal if log else None,
            at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            seal=_UNSEALED,
            **{**nothing, **fields},
        )
        entry = draft.model_copy(update={"seal": draft.digest()})
        content, key = rfc8785.dumps(entry.model_dump(mode="json")), log_key(entry.number)
        # Refused, the place may still hold ours: the answer to a first attempt was lost.
        if store.put_if_absent(key, content) or store.get(key).to_pybytes() == content:
            return entry


def _evidence(store: Store, run_id: str) -> dict[str, Any]:
    """What an entry vouches for."""
    files = reader.committed_files(store, run_id)
    run = reader.read_run(store, run_id)
    return {
        "run_id": run_id,
        "record_digest": fingerprint.sha256_digest(store.get(run_key(run_id))),
        "commit_digest": fingerprint.sha256_digest(store.get(commit_key(run_id))),
        "analysis_digest": next(file.sha256 for file in files if file.table == "analyses"),
        "plan_digest": run.plan_digest,
        "policy_digest": run.policy_digest,
    }


def _link(store: Store, number: int) -> Link:
    """One entry, checked by itself. The plain JSON is what is hashed: another release may know other fields."""
    key = log_key(number)
    content = store.get(key).to_pybytes()
    try:
        plain = json.loads(content)
        is_canonical = rfc8785.dumps(plain) == content
        seal = plain.pop("seal")
        is_sealed = fingerprint.sha256_digest(rfc8785.dumps(plain)) == seal
        entry = LogEntry.model_validate_json(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Link(key, None, f"was changed: {str(error).splitlines()[0]}")
    if not (is_canonical and is_sealed):
        return Link(key, None, f"was changed: it is not what its seal says, {seal}")
    if entry.number != number:
        return Link(key, None, f"holds entry {entry.number}: moved, or a copy")
    return Link(key, entry)
