"""Contradictions inside committed runs, which no digest shows. Nothing is scored again for finding them.

Tables, reused units, calibrations and the log's decisions must follow from a run's record and its scores.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from assay.cluster.commit import gate_review
from assay.cluster.prepare import dataset_findings, reuse
from assay.cluster.verify.recomputed_tables import RecomputedTables
from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger import calibrations, log_chain, reader, version_log
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.ledger_verification import LedgerVerification, verify_ledger
from assay.evaluator.ledger.readable_store import ReadableStore
from assay.evaluator.ledger.run_check import RunCheck
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import LAYOUT, Table, commit_key, log_key, run_key, table_prefix, unit_place
from assay.manifests.log_entry import BaseLogEntry, BaseRunEntry, DecisionEntry

Row = dict[str, Any]
_NUM_SHOWN = 3


def verify_deeply(store: Store, *, seal: str | None = None) -> LedgerVerification:
    """Verifies a ledger as `verify_ledger` does, reads all rows, and computes every committed run's tables again.

    Args:
        store: The ledger's store.
        seal: A seal of the log that was kept elsewhere; the log must still have it.
    """
    verification = verify_ledger(store, seal=seal, deep=True)
    problems = list(verification.problems)
    store = ReadableStore(store)  # what cannot be read is a problem already
    log: dict[str, list[BaseLogEntry]] = {}
    for link in log_chain.links(store):
        if isinstance(link.entry, BaseRunEntry):
            log.setdefault(link.entry.run_id, []).append(link.entry)
    for state in reader.runs(store):
        if state.committed:
            problems += _contradictions_if_readable(store, state.run_id, log.get(state.run_id, ()), known=problems)
    return replace(verification, problems=tuple(problems))


def check_run(run: CommittedRun) -> None:
    """Checks one committed run completely before something is done because of it.

    Raises:
        DamageError: Its files contradict each other.
    """
    # Of files in no commit record, only units count, of arms that were not scored completely.
    stored = (each.key for each in run.store.listing(table_prefix("scores", run.run_id)))
    keys = [key for key in stored if unit_place(key) is not None]
    problems = list(RunCheck(run.store, run.run_id, keys=keys, deep=True).problems())
    if not problems:
        log = [link.entry for link in log_chain.links(run.store, after=run.commit.logged_before)]
        problems = list(contradictions(run, [each for each in log if each is not None]))
    if problems:
        shown = "; ".join(f"'{each.key}' {each.problem}" for each in problems[:_NUM_SHOWN])
        more = f"; and {len(problems) - _NUM_SHOWN} more" * (len(problems) > _NUM_SHOWN)
        raise DamageError(
            f"{run.store.uri}: run '{run.run_id}' contradicts itself, so nothing can be decided from it: {shown}{more}; "
            f"run 'assay ledger verify --deep' to list all problems; {reader.REMEDY}"
        )


def _contradictions_if_readable(
    store: Store, run_id: str, log: Sequence[BaseLogEntry], *, known: Sequence[LedgerProblem]
) -> list[LedgerProblem]:
    """The contradictions of a run; none if one of its files is known to be damaged and cannot be read for this."""
    try:
        run = CommittedRun(store, run_id)
        return list(contradictions(run, log))
    except (DamageError, LedgerError) as error:
        of_run = {run_key(run_id), commit_key(run_id)}
        if any(each.key in of_run or f"/{run_id}/" in each.key for each in known):
            return []
        return [LedgerProblem(commit_key(run_id), f"belongs to a run whose tables cannot be computed again: {error}")]


def contradictions(run: CommittedRun, log: Sequence[BaseLogEntry]) -> Iterator[LedgerProblem]:
    """Everything in a committed run's tables that does not follow from its record and its score files.

    The files must be those of the commit record, and the score files those of the run: see `RunCheck`.

    Raises:
        DamageError: A file cannot be read.
    """
    places = {file.table: file.key for file in run.files if file.table != "scores"}

    def problem(table: Table, text: str) -> LedgerProblem:
        return LedgerProblem(places.get(table, commit_key(run.run_id)), text)

    recomputed = RecomputedTables(run)
    try:
        for table, text in recomputed.contradictions():
            yield problem(table, text)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:  # tables may hold anything
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        yield problem(recomputed.reading, f"was changed: nothing can be computed from it ({what})")
    yield from _unit_key_problems(run)
    yield from _calibration_problems(run)
    yield from _log_problems(run, log)


def _unit_key_problems(run: CommittedRun) -> Iterator[LedgerProblem]:
    """The digests by which other runs find units to reuse."""
    record = run.record
    num_rows = next((row["num_rows"] for row in run.rows("arms") if row["num_rows"] is not None), 0)
    keys = reuse.unit_keys(
        record.experiment,
        dataset_digest=record.dataset_digest,
        num_rows=num_rows,
        environment=dict(record.lineage.identity),
    )
    if keys != dict(record.unit_keys):
        wrong = sorted(arm for arm in keys if keys[arm] != record.unit_keys.get(arm))
        yield LedgerProblem(
            run_key(run.run_id), f"was changed: unit_keys of {', '.join(wrong)} do not follow from its content"
        )
    for row in run.rows("units"):
        if row["reused_from"]:
            yield from _source_problems(run, row)


def _source_problems(run: CommittedRun, row: Row) -> Iterator[LedgerProblem]:
    """A reused unit has the key and the scores of the unit that it was copied from."""
    path, store = row["reused_from"], run.store
    (table,) = (file.key for file in run.files if file.table == "units")
    source = next(iter(store.listing(f"{LAYOUT}/{path}")), None)
    if source is None:
        yield LedgerProblem(f"{LAYOUT}/{path}", f"is missing: run '{run.run_id}' has reused it")
        return
    try:
        receipt = reader.read_receipt(store, source)
        its_keys = reader.opened_run(store.get(run_key(path.split("/")[2]))).keys
    except (DamageError, FileNotFoundError, ValueError, KeyError, IndexError):
        return  # a problem of that run
    if receipt.scores_digest != row["scores_digest"]:
        yield LedgerProblem(
            table,
            f"was changed: unit {row['unit']} of arm '{row['arm']}' has the digest {row['scores_digest']}, but was "
            f"copied from {path}, which has {receipt.scores_digest}",
        )
    if its_keys.get(receipt.arm) != run.record.unit_keys.get(row["arm"]):
        yield LedgerProblem(
            table, f"was changed: arm '{row['arm']}' cannot have reused {path}, which was scored under another key"
        )


def _calibration_problems(run: CommittedRun) -> Iterator[LedgerProblem]:
    """Calibrations of the gate belong to this commit of the run, its plan and its policy."""
    for key in calibrations.keys(run.store, run.run_id):
        calibration, _ = calibrations.read(run.store, key)  # what cannot be read is a problem of its own
        if calibration is None:
            continue
        fields = {
            "commit_digest": run.commit.sha256,
            "plan_digest": run.record.plan_digest,
            "policy_digest": run.record.policy_digest,
        }
        for name, value in fields.items():
            if getattr(calibration, name) != value:
                yield LedgerProblem(
                    key, f"was changed: {name} is {getattr(calibration, name)}, but its run has {value}"
                )


def _log_problems(run: CommittedRun, log: Sequence[BaseLogEntry]) -> Iterator[LedgerProblem]:
    """Decisions in the log that do not follow from the run and from what the log had recorded by then."""
    recorded = {row["arm"]: row["decision"] for row in run.rows("decisions")}
    for place, entry in enumerate(log):
        if (
            not isinstance(entry, DecisionEntry)
            or entry.run_id != run.run_id
            or recorded.get(entry.arm) == entry.decision
        ):
            continue
        possible = {recorded.get(entry.arm)}
        with suppress(DamageError):
            before = version_log.repetition_in(log[:place], run.run_id)
            for findings in (dataset_findings.at_opening(run.record), dataset_findings.now(run.record)):
                policy = run.record.experiment.suite.policy
                decisions = gate_review.decisions_about(run, policy, findings=findings, repetition=before)
                possible |= {each.decision for each in decisions if each.arm == entry.arm}
        if entry.decision not in possible:
            known = ", ".join(sorted(each for each in possible if each)) or "none"
            yield LedgerProblem(
                log_key(entry.number),
                f"contradicts run '{run.run_id}': the gate decided {entry.decision} about arm '{entry.arm}', but from "
                f"the run and the verifications before follows {known}",
            )
