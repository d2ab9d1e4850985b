"""Commits a run: checks coverage, computes every arm's numbers, analyses, decides, and records all of it at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from assay.cluster.commit import analysis, arm_metrics, arm_status, confounding, gate_review
from assay.cluster.commit.arm_status import ArmStatuses
from assay.cluster.commit.coverage import check_coverage
from assay.cluster.commit.guardrail_inputs import SIZES, ArmMeasurements, latency_rows, planned_columns
from assay.cluster.commit.scores_digest import arm_scores_digest
from assay.cluster.cost import arm_cost
from assay.cluster.cost.account import SlotAccount
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.errors import RunError, StoppedError
from assay.cluster.prepare import dataset_findings
from assay.evaluator.ledger import writer
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.log_chain import START, Position
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.run_scores import RunScores
from assay.evaluator.results import BatchSizeSensitivity
from assay.evaluator.storage import Store
from assay.manifests import Dataset
from assay.manifests.analysis import Analysis
from assay.manifests.run import Run
from assay.manifests.spent import Spent
from assay.stats.gate import review
from assay.stats.gate.evidence import CheckOutcome

TERMS = ("prices", "budget", "project", "project_budget")
"""Fields of an experiment that may change until the commit; the table `spending` has them as they were then."""
_TABLES_OF_ARMS = ("units", "arms", "metrics", "confusions", "histograms", "latency")


def commit(
    run: Run,
    outcome: DriveOutcome,
    *,
    dataset: Dataset,
    store: Store,
    num_units: int,
    spent: Spent,
    log_position: Position = START,
) -> str:
    """Checks coverage, computes metrics, analyses, decides, and commits all of it at once.

    Every score file is read before it is committed: its digest in the commit record is that of the bytes that were
    read, and they are those that a slot of this driver has written, or everything in the file was verified. The outcome
    is not changed, so that a commit that finds a damaged unit can be tried again.

    Args:
        run: The run.
        outcome: What driving it has led to.
        dataset: Its dataset.
        store: The ledger.
        num_units: Units per arm.
        spent: What the run has cost.
        log_position: A position in the version log that is known.

    Returns:
        Why the version log does not have the commit; empty if it has.

    Raises:
        RunError: The control failed, rows are missing, or another driver has committed the run with fewer arms.
        StoppedError: The run was stopped. Complete arms are committed, unless there is nothing to compare.
        UnitDamageError: A published unit is missing or damaged. Nothing was committed.
    """
    outcome = replace(outcome, failed={**outcome.failed}, events=[*outcome.events])
    arm_status.fail_mixed_batch_sizes(outcome)
    statuses = arm_status.statuses_of(run, outcome, num_units=num_units)
    arm_status.check_comparable(run, outcome, statuses)
    for arm in statuses.scored:
        check_coverage(outcome.receipts[arm], arm, num_rows=dataset.num_rows, num_units=num_units)
    units = {arm: [outcome.receipts[arm][unit] for unit in range(num_units)] for arm in statuses.scored}
    suite = run.experiment.suite
    scores = RunScores(store, run, units, columns=planned_columns(suite, suite.plan))
    rows = tables_of_arms(run, outcome, statuses, scores, num_units=num_units)
    if outcome.eliminated:
        outcome.note("race", _saved(run, outcome, num_units=num_units))
    tables = {**rows, **_run_tables(run, outcome, statuses, scores, rows, spent=spent)}
    files = [file for arm in statuses.scored for file in scores.files(arm)]
    for name, table_rows in tables.items():
        file = writer.write_table(store, name, table_rows, run_id=run.run_id)  # pyright: ignore[reportArgumentType]
        if file is not None:
            files.append(file)
    not_logged = writer.commit(store, run, files, log_position=log_position)
    if not statuses.stopped and set(unfinished_arms(store, run.run_id)) - set(statuses.failed):
        raise RunError(
            f"run '{run.run_id}': another driver committed it first, with fewer arms; run the same command again"
        )
    if statuses.stopped:
        raise StoppedError(
            f"run '{run.run_id}' was stopped: {outcome.stopped}; {len(statuses.complete)} of {len(run.experiment.arms)} arms "
            "were complete and are committed: run the same command again to resume the others"
        )
    return not_logged


def unfinished_arms(store: Store, run_id: str) -> list[str]:
    """The arms of a committed run that failed or were stopped: running the experiment again may complete them."""
    arms = CommittedRun(store, run_id).rows("arms")
    return [row["arm"] for row in arms if row["status"] in arm_status.UNFINISHED]


def leaves_work(store: Store, run_id: str) -> bool:
    """Whether running the experiment of a committed run again would do something.

    It does if arms failed or were stopped, and if arms were scored, or all of them analysed, in a process that other
    arms had changed.
    """
    events = CommittedRun(store, run_id).rows("events")
    return bool(unfinished_arms(store, run_id)) or any(row["kind"] in ("altered", "altered_analysis") for row in events)


def tables_of_arms(
    run: Run, outcome: DriveOutcome, statuses: ArmStatuses, scores: RunScores, *, num_units: int
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables that are about arms and units. Reads the scores of complete arms.

    Adds the events to the outcome that follow from the scores and receipts: rows without an answer, units that were
    scored in a changed process, batch-size sensitivity, and arms that are confounded.
    """
    suite = run.experiment.suite
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES_OF_ARMS}
    thresholds = arm_metrics.thresholds(run, scores.tables(suite.plan.control))
    for arm in run.experiment.arms:
        receipts = outcome.receipts[arm.name]
        summary: dict[str, Any] = {
            "arm": arm.name,
            "variant_digest": run.variant_digests[arm.name],
            **statuses.columns(arm.name),
            "num_units": num_units,
            "num_units_done": len(receipts),
            "num_units_reused": sum(receipt.is_reused for receipt in receipts.values()),
            "reused_from": ",".join(sorted({reuse.run_id for r in receipts.values() if (reuse := r.facts.reuse)})),
            **arm_cost.arm_cost(receipts.values(), run.experiment.prices),
        }
        rows["arms"].append(summary)
        altered = arm_status.altered_summary(receipts[unit] for unit in sorted(receipts))
        if altered:
            outcome.note("altered", altered, arm=arm.name)
        if arm.name not in statuses.scored:
            continue
        in_order = [receipts[unit] for unit in range(num_units)]
        unanswered = arm_status.unanswered_summary(in_order)
        if unanswered:
            outcome.note("unanswered", unanswered, arm=arm.name)
        sensitivity = _sensitivity(in_order)
        if sensitivity.exceeds(suite.batch_sensitivity_tolerance):
            outcome.note("batch_sensitivity", sensitivity.description(suite), arm=arm.name)
        num_rows = sum(receipt.num_rows for receipt in in_order)
        num_unanswered = sum(receipt.num_unanswered for receipt in in_order)
        summary |= {"num_rows": num_rows, "num_unanswered": num_unanswered}
        summary |= _complete_arm_columns(in_order, sensitivity)
        rows["units"] += [_unit_row(receipt) for receipt in in_order]
        rows["latency"] += latency_rows(arm.name, in_order)
        measured = arm_metrics.of_arm(run, arm.name, in_order, scores.tables(arm.name), thresholds=thresholds)
        for name in ("metrics", "confusions", "histograms"):
            rows[name] += getattr(measured, name)
    for arm, message in confounding.confounded(outcome.receipts, statuses.scored, control=suite.plan.control).items():
        outcome.note("confounded", message, arm=arm)
    return rows


def _sensitivity(receipts: Sequence[UnitReceipt]) -> BatchSizeSensitivity:
    """An arm's batch-size sensitivity: the largest that any of its slots has measured."""
    return max((receipt.facts.batch_sensitivity for receipt in receipts), key=lambda each: each.floor)


def _complete_arm_columns(in_order: Sequence[UnitReceipt], sensitivity: BatchSizeSensitivity) -> dict[str, Any]:
    """Columns of the arms table that only complete arms have."""
    times = arm_times(in_order)
    columns = {
        "scores_digest": arm_scores_digest(in_order),
        **times,
        "batch_size": in_order[0].facts.batch_size,
        **{f"batch_sensitivity_{name}": value for name, value in asdict(sensitivity).items()},
        "devices": ",".join(sorted({receipt.facts.conditions.device for receipt in in_order})),
    }
    num_rows = sum(receipt.num_rows for receipt in in_order if not receipt.is_reused)
    if num_rows:  # the times of reused units belong to the run that scored them
        columns["rows_per_s"] = num_rows / max(times["predict_s"], 1e-9)
        columns["batch_p50_s"] = float(
            np.median([attempt.timing.batch_p50_s for receipt in in_order if (attempt := receipt.facts.attempt)])
        )
    for size in SIZES:
        sizes = [getattr(receipt.facts.footprint, size) for receipt in in_order]
        columns[size] = max((each for each in sizes if each is not None), default=None)
    return columns


def arm_times(receipts: Iterable[UnitReceipt]) -> dict[str, float]:
    """Seconds that one arm's units spent in slots, summed over its units. Reused units have spent none in this run."""
    attempts = [attempt for receipt in receipts if (attempt := receipt.facts.attempt)]
    preparations, timings = [each.preparation for each in attempts], [each.timing for each in attempts]
    return {
        "load_s": sum(each.load_s for each in preparations),
        "timing_s": sum(each.timing_s for each in preparations),
        "probe_s": sum(each.probe_s for each in preparations),
        "read_s": sum(each.read_s for each in timings),
        "predict_s": sum(each.predict_s for each in timings),
        "score_s": sum(each.score_s for each in timings),
        "write_s": sum(each.write_s or 0.0 for each in attempts),
    }


def _unit_row(receipt: UnitReceipt) -> dict[str, object]:
    """One unit's row of the table `units`. Nothing is known of how long it took if another run has scored it."""
    facts, attempt, reuse = receipt.facts, receipt.facts.attempt, receipt.facts.reuse
    conditions = _columns(facts.conditions)
    del conditions["environment"], conditions["determinism"]
    row: dict[str, object] = {
        "arm": receipt.arm,
        "unit": receipt.unit,
        "first_row": facts.first_row,
        "num_rows": receipt.num_rows,
        "num_unanswered": receipt.num_unanswered,
        "size_bytes": receipt.size_bytes,
        "scores_digest": receipt.scores_digest,
        "batch_size": facts.batch_size,
        **conditions,
        **_columns(facts.footprint),
    }
    if reuse is not None:
        row |= {"reused_from": reuse.path, "reused_slot_s": reuse.slot_s}
    if attempt is not None:
        row |= {
            "slot": attempt.slot,
            "attempt": attempt.number,
            "started_at": attempt.started_at,
            "shard_cache": attempt.shard_cache,
            **_columns(attempt.preparation),
            **_columns(attempt.timing),
            "write_s": attempt.write_s,  # unknown for units that an earlier driver published
            "write_cpu_s": attempt.write_cpu_s,
        }
    return row


def _columns(record: Any) -> dict[str, Any]:
    """A dataclass's fields by name. Unlike `asdict`, it copies no values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _saved(run: Run, outcome: DriveOutcome, *, num_units: int) -> str:
    """How many units a race saved and what they would have cost, by the mean cost of each arm's finished units."""
    account, num_saved, cost = SlotAccount(run.experiment.resources, run.experiment.prices), 0, Spent()
    for arm in run.experiment.arms:
        receipts = outcome.receipts[arm.name]
        if arm.name in outcome.eliminated:
            num_saved += num_units - len(receipts)
            times = arm_times(receipts.values())
            seconds = sum(times.values()) - sum(times[name] for name in ("load_s", "timing_s", "probe_s", "write_s"))
            cost += account.cost(arm.accelerator_type or "", seconds / len(receipts) * (num_units - len(receipts)))
    return (
        f"{num_saved} of {num_units * len(run.experiment.arms)} units saved: about {cost.slot_s:.0f} slot-seconds, "
        f"{cost.gpu_s:.0f} GPU-seconds, price {cost.price:.4g}"
    )


def _run_tables(
    run: Run,
    outcome: DriveOutcome,
    statuses: ArmStatuses,
    scores: RunScores,
    rows: Mapping[str, list[dict[str, Any]]],
    *,
    spent: Spent,
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables that are about the whole run: analysis, decisions, events and spending."""
    measured = ArmMeasurements(rows["latency"], rows["arms"])
    planned = analysis.analysed(
        scores, measured, plan=run.experiment.suite.plan, arms=statuses.complete, eliminated=statuses.eliminated
    )
    budget = gate_review.budget_of(run, rows["arms"], spent)
    events = [event.model_dump() for event in outcome.events]
    evidence = gate_review.EvidenceTables(rows["arms"], rows["metrics"], events)
    terms = run.experiment.model_dump_json(include={*TERMS})
    return {
        **tables_of_analysis(run, planned, evidence, budget=budget),
        "events": events,
        "spending": [
            {
                **spent.model_dump(),
                "budget_kept": budget.passed,
                "budget_summary": budget.summary,
                "terms": terms,
            }
        ],
    }


def tables_of_analysis(
    run: Run, planned: Analysis, tables: gate_review.EvidenceTables, *, budget: CheckOutcome
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables that follow from the planned analysis: comparisons, the analysis itself, and decisions."""
    suite = run.experiment.suite
    findings = dataset_findings.at_opening(run)
    evidence = gate_review.evidence_of(run, tables, policy=suite.policy, budget=budget, findings=findings)
    decisions = review.review(planned, suite.policy, suite.plan, evidence)
    return {
        "comparisons": [{"metric": planned.metric, **comparison.model_dump()} for comparison in planned.comparisons],
        "decisions": [each.model_dump(mode="json") for each in decisions],
        "analyses": [{"plan_digest": run.plan_digest, "exploratory": False, "analysis": planned.model_dump_json()}],
    }
