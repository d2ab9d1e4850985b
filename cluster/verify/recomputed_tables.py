"""A committed run's tables, computed again from its record and its score files with the code of the commit.

What a run committed follows from its record, its score files and what its driver saw. Everything that follows from the
first two is compared: units, arms, metrics, the analysis and the decisions.
"""

import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from assay.cluster.commit import analysis, arm_status, gate_review
from assay.cluster.commit.arm_status import ArmStatuses
from assay.cluster.commit.commit import TERMS, tables_of_analysis, tables_of_arms
from assay.cluster.commit.guardrail_inputs import ArmMeasurements, planned_columns
from assay.cluster.drive import waves
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.evaluator import batches
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.storage import StoredObject
from assay.manifests import Budget, Prices
from assay.manifests.analysis import Analysis
from assay.manifests.ledger_layout import SEGMENT_COLUMN_PREFIX, Table, table_prefix
from assay.manifests.run import Run
from assay.manifests.spent import Spent
from assay.stats.gate.evidence import CheckOutcome

Row = dict[str, Any]
_NEARLY = 1e-9  # the order of a sum, and another CPU, change the last bits
_OF_DRIVER: Mapping[Table, frozenset[str]] = {
    "units": frozenset({"write_s", "write_cpu_s"}),
    "decisions": frozenset({"next_step"}),  # it names where ledger and dataset were at the commit
}
"""Columns that do not follow from scores and receipts."""
_OF_UNFINISHED_ARMS = frozenset(
    {"arm", "variant_digest", "status", "reason", "num_units", "num_rows", "num_unanswered", "scores_digest"}
)
"""Columns of the table `arms` that are checked for arms that were not scored completely: late slots may have published
more of their units after the commit."""
_RECOMPUTED_EVENTS = ("unanswered", "batch_sensitivity", "confounded", "altered")
_NUM_SHOWN = 3


class RecomputedTables:
    """The tables of a committed run, computed again.

    Attributes:
        reading: The table that is being read, for errors that name none.
    """

    def __init__(self, run: CommittedRun) -> None:
        self._run = run
        self.reading: Table = "spending"

    def contradictions(self) -> Iterator[tuple[Table, str]]:
        """Yields each table with what contradicts it.

        Raises:
            DamageError: A file cannot be read, or two arms do not have the same rows.
            Exception: What a table says cannot even be computed with; `reading` names it.
        """
        run = self._run
        (spending,) = run.rows("spending")
        record = self._record = _with_terms(run.record, spending["terms"])
        self.reading, self._arms = "arms", run.rows("arms")
        num_units = self._arms[0]["num_units"]
        outcome = DriveOutcome({arm.name: {} for arm in record.experiment.arms})
        for row in self._arms:
            outcome.receipts[row["arm"]] = _receipts(run, row)
        statuses = self._statuses(outcome, num_units=num_units)
        files = {arm: reader.score_files(run.files, arm) for arm in statuses.scored}
        plan = record.experiment.suite.plan
        columns = planned_columns(record.experiment.suite, plan)
        segments = [SEGMENT_COLUMN_PREFIX + name for name in run.scores(list(files), columns).segment_columns]
        scores = run.scores(list(files), [*columns, *segments, "cluster"])  # arms have all of these in common
        tables = tables_of_arms(record, outcome, statuses, scores, num_units=num_units)
        unfinished = {*statuses.failed, *statuses.eliminated, *statuses.stopped}
        for table, rows in tables.items():
            yield from self._compared(table, rows, unfinished=unfinished)  # pyright: ignore[reportArgumentType]
        yield from self._events(outcome, statuses)
        yield from self._race(outcome, statuses)
        measured = ArmMeasurements(run.rows("latency"), self._arms)
        planned = analysis.analysed(scores, measured, plan=plan, arms=statuses.complete, eliminated=statuses.eliminated)
        self.reading = "analyses"
        yield from self._analysis(planned, spending)

    def _statuses(self, outcome: DriveOutcome, *, num_units: int) -> ArmStatuses:
        """The statuses that follow from the receipts; which arms failed or were stopped, the table says."""
        of = {status: {} for status in ("failed", "eliminated", "stopped")}
        for row in self._arms:
            if row["status"] in of:
                of[row["status"]][row["arm"]] = row["reason"]
        outcome.failed, outcome.eliminated = {**of["failed"], **of["stopped"]}, of["eliminated"]
        arm_status.fail_mixed_batch_sizes(outcome)
        statuses = arm_status.statuses_of(self._record, outcome, num_units=num_units)
        failed = {arm: reason for arm, reason in statuses.failed.items() if arm not in of["stopped"]}
        return replace(statuses, failed=failed, stopped=of["stopped"])

    def _compared(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, unfinished: Container[str] = ()
    ) -> Iterator[tuple[Table, str]]:
        """Compares rows of a table with those that follow from the scores."""
        recorded = self._run.rows(table)
        schema = SCHEMAS[table]
        run_id = {"run_id": self._run.run_id}
        computed = pa.Table.from_pylist([{**run_id, **row} for row in rows], schema=schema).to_pylist()
        if len(recorded) != len(computed):
            yield table, f"was changed: it has {len(recorded)} rows, but from the scores follow {len(computed)}"
            return
        names = [name for name in schema.names if name not in _OF_DRIVER.get(table, ())]
        found: list[str] = []
        for before, now in zip(recorded, computed, strict=True):
            is_unfinished = table == "arms" and now["arm"] in unfinished
            wanted = [name for name in names if not is_unfinished or name in _OF_UNFINISHED_ARMS]
            found += [
                f"{_where(now)}{name} is {_short(before[name])}, but from the scores follows {_short(now[name])}"
                for name in wanted
                if not _equal(before[name], now[name])
            ]
        yield from _listed(table, found)

    def _events(self, outcome: DriveOutcome, statuses: ArmStatuses) -> Iterator[tuple[Table, str]]:
        """Compares events that follow from the scores, and those that say why an arm has no scores."""
        recorded = {(row["kind"], row["arm"], row["message"]) for row in self._run.rows("events")}
        expected = {(each.kind, each.arm, each.message) for each in outcome.events if each.kind in _RECOMPUTED_EVENTS}
        expected |= {("arm_eliminated", arm, reason) for arm, reason in statuses.eliminated.items()}
        kinds = (*_RECOMPUTED_EVENTS, "arm_eliminated")
        found = [f"no event {_short(each)}, which follows from the scores" for each in sorted(expected - recorded)]
        found += [
            f"the event {_short(each)} does not follow from the scores"
            for each in sorted(recorded - expected)
            if each[0] in kinds
        ]
        failed = {arm for kind, arm, _ in recorded if kind == "arm_failed"}
        found += [f"no event says why arm '{arm}' failed" for arm in statuses.failed if arm not in failed]
        yield from _listed("events", found)

    def _race(self, outcome: DriveOutcome, statuses: ArmStatuses) -> Iterator[tuple[Table, str]]:
        """Repeats the race: it eliminates the same arms. When an arm failed or the run was stopped is not recorded."""
        experiment = self._record.experiment
        if experiment.race is None:
            if statuses.eliminated:
                yield "arms", "was changed: it has eliminated arms, but the experiment is no race"
            return
        if statuses.failed or statuses.stopped:
            return
        num_rows = next(row["num_rows"] for row in self._arms if row["num_rows"] is not None)
        eliminated: dict[str, str] = {}
        race = waves.waves_of(experiment, batches.units(num_rows, batch_size=experiment.suite.batch_size))
        for _ in race:
            left = [arm.name for arm in experiment.arms if arm.name not in eliminated]
            eliminated |= race.eliminated(outcome.receipts, left)
        if eliminated != dict(statuses.eliminated):
            before, now = _short(dict(statuses.eliminated)), _short(eliminated)
            yield "arms", f"was changed: it has the eliminated arms {before}, but from the scores follow {now}"

    def _analysis(self, planned: Analysis, spending: Row) -> Iterator[tuple[Table, str]]:
        """Compares the recorded analysis with the one that follows from the scores, and decisions with the recorded."""
        run = self._run
        (row,) = run.rows("analyses")
        before, now = json.loads(row["analysis"]), json.loads(planned.model_dump_json())
        found = list(_differences(before, now))
        if found:
            yield from _listed("analyses", [f"{each}, by the recorded plan" for each in found])
            return
        recorded = Analysis.model_validate_json(row["analysis"])
        evidence = gate_review.EvidenceTables(self._arms, run.rows("metrics"), run.rows("events"))
        budget = CheckOutcome(spending["budget_kept"], spending["budget_summary"])
        with_recorded = tables_of_analysis(self._record, recorded, evidence, budget=budget)
        with_recorded["analyses"][0]["analysis"] = row["analysis"]
        for table, rows in with_recorded.items():
            yield from self._compared(table, rows)  # pyright: ignore[reportArgumentType]
        summary = gate_review.budget_of(self._record, self._arms, _spent(spending))
        if (summary.passed, summary.summary) != (budget.passed, budget.summary):
            follows = f"from its costs and terms follows {_short(summary.summary)}"
            yield "spending", f"was changed: budget_summary is {_short(budget.summary)}, but {follows}"


def _with_terms(record: Run, terms: str) -> Run:
    """The run's record with the prices and budgets that were in force at the commit."""
    fields = json.loads(terms)
    if set(fields) != set(TERMS):
        raise ValueError("the column terms of the table spending does not have prices and budgets")
    update = {
        "prices": Prices.model_validate(fields["prices"], strict=False),
        "project": fields["project"],
        **{
            name: None if fields[name] is None else Budget.model_validate(fields[name], strict=False)
            for name in ("budget", "project_budget")
        },
    }
    return record.model_copy(update={"experiment": record.experiment.model_copy(update=update)})


def _spent(spending: Row) -> Spent:
    return Spent.model_validate({name: spending[name] for name in Spent.model_fields})


def _receipts(run: CommittedRun, arm: Row) -> dict[int, UnitReceipt]:
    """The receipts of an arm's units: those of the commit record, or those in the store if it was not completed."""
    files = reader.score_files(run.files, arm["arm"])
    stored = [StoredObject(file.key, file.size_bytes) for file in files] or list(
        run.store.listing(f"{table_prefix('scores', run.run_id)}{arm['arm']}/")
    )
    times = {row["unit"]: row for row in run.rows("units") if row["arm"] == arm["arm"]}
    return {
        receipt.unit: _with_write_times(receipt, times.get(receipt.unit))
        for receipt in (reader.read_receipt(run.store, each) for each in stored)
    }


def _with_write_times(receipt: UnitReceipt, row: Row | None) -> UnitReceipt:
    """The receipt with how long it took to write the file, which only the table `units` has."""
    attempt = receipt.facts.attempt
    if attempt is None or row is None:
        return receipt
    attempt = replace(attempt, write_s=row["write_s"], write_cpu_s=row["write_cpu_s"])
    return replace(receipt, facts=replace(receipt.facts, attempt=attempt))


def _listed(table: Table, found: Sequence[str]) -> Iterator[tuple[Table, str]]:
    """The first few of what was found about a table, as one phrase."""
    if found:
        more = f"; and {len(found) - _NUM_SHOWN} more" * (len(found) > _NUM_SHOWN)
        yield table, f"was changed: {'; '.join(found[:_NUM_SHOWN])}{more}"


def _where(row: Row) -> str:
    """Which row it is, as the beginning of a message."""
    names = ("arm", "metric", "reference", "unit", "label", "prediction", "low")
    place = ", ".join(f"{name} {row[name]}" for name in names if row.get(name) is not None)
    return f"{place}: " if place else ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """The leaves of two JSON documents that differ."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        for name in now:
            yield from _differences(before[name], now[name], f"{path}.{name}".lstrip("."))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _differences(one, other, f"{path}[{place}]")
    elif not _equal(before, now):
        yield f"{path} is {_short(before)}, but from the scores follows {_short(now)}"


def _equal(before: Any, now: Any) -> bool:
    """Whether two values are the same, numbers up to the last digits."""
    if isinstance(before, float) and isinstance(now, float):
        same = math.isnan(before) and math.isnan(now)
        return same or before == now or math.isclose(before, now, rel_tol=_NEARLY, abs_tol=1e-12)
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(_equal(*pair) for pair in zip(before, now, strict=True))
    if isinstance(before, dict) and isinstance(now, dict):
        return before.keys() == now.keys() and all(
            name == "next_step" or _equal(before[name], now[name]) for name in now
        )
    return before == now
