"""Promotion: a run's recorded analysis and all that its ledger knows by now, into the review of its arms."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.cluster.cost.budget import SPENT, BudgetCheck
from assay.cluster.prepare import dataset_findings
from assay.cluster.prepare.dataset_findings import DatasetFindings
from assay.evaluator.ledger import reader, version_log
from assay.evaluator.ledger.version_log import Repetition
from assay.evaluator.storage import Store
from assay.manifests import InvalidInput, Plan, Policy
from assay.manifests.ledger_layout import Table
from assay.manifests.run import Run
from assay.manifests.spent import Spent
from assay.stats.gate import review
from assay.stats.gate.decide import Decision
from assay.stats.gate.evidence import ArmCost, Evidence
from assay.stats.results.analysis import Analysis

UNFINISHED = ("failed", "stopped")
"""How an arm ends that running the experiment once more does again."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Budgeted:
    """Whether a run kept its budget.

    Attributes:
        kept: Null: it had none.
        words: The same in words.
    """

    kept: bool | None
    words: str


@dataclass(frozen=True)
class Asked:
    """The answer of the gate about a run.

    Attributes:
        run: The run.
        policy: The policy that decided.
        is_recorded: Whether it is the one that was recorded before the scores.
        analysis: The recorded analysis.
        decisions: One an arm.
        findings: What is known of the run's dataset.
    """

    run: Run
    policy: Policy
    is_recorded: bool
    analysis: Analysis
    decisions: tuple[Decision, ...]
    findings: DatasetFindings


def ask(store: Store, run_id: str, *, policy: Policy | None = None) -> Asked:
    """Reviews a committed run by what the ledger knows now: a verification or a finding may have come since the run.

    Args:
        store: The ledger's store.
        run_id: The run.
        policy: Another policy than the recorded one; it may hold or reject, and promotes nothing.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it, or the log, was changed.
        InvalidInput: The policy speaks of metrics that the run has not.
    """
    files = reader.committed_files(store, run_id)
    run = reader.read_run(store, run_id)
    asked = policy or run.experiment.suite.policy
    try:
        run.experiment.suite.check_policy(asked)
    except ValueError as error:
        raise InvalidInput(str(error), place=run_id) from None

    def rows(table: Table) -> list[dict[str, Any]]:
        return reader.read_table(store, files, table).to_pylist()

    found = Analysis.from_json(json.loads(rows("analyses")[0]["analysis"]))
    known = dataset_findings.now(run)
    decisions = reviewed(
        run,
        found,
        findings=known,
        arms=rows("arms"),
        metrics=rows("metrics"),
        events=rows("events"),
        budget=Budgeted(rows("spending")[0]["budget_kept"], rows("spending")[0]["budget_words"]),
        policy=asked,
        repetition=version_log.repetition(store, run_id),
    )
    return Asked(run, asked, asked.digest() == run.policy_digest, found, decisions, known)


def reviewed(
    run: Run,
    found: Analysis,
    *,
    arms: Sequence[Row],
    metrics: Sequence[Row],
    events: Sequence[Row],
    budget: Budgeted,
    policy: Policy,
    findings: DatasetFindings,
    repetition: Repetition | None = None,
) -> tuple[Decision, ...]:
    """The review of a run's arms.

    Args:
        run: The run.
        found: The analysis that its plan led to.
        arms: Rows of the table of that name.
        metrics: Rows of the table of that name.
        events: Rows of the table of that name.
        budget: Whether the run kept its budget.
        policy: What promotes.
        findings: What is known of its dataset.
        repetition: What came of scoring the run again; None: nobody has.
    """
    failed, dropped = left_out(arms)
    return review.review(
        found,
        policy,
        run.experiment.suite.plan,
        _evidence(
            run, arms, metrics, events=events, budget=budget, policy=policy, findings=findings, repetition=repetition
        ),
        failed=failed,
        dropped=dropped,
        noise_floors=noise_floors(arms),
        aa_arm=run.experiment.aa_arm,
    )


def left_out(arms: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """The arms that were not measured, and those that a race has dropped, each with its reason."""
    failed = {row["arm"]: row["reason"] for row in arms if row["status"] in UNFINISHED}
    dropped = {row["arm"]: row["reason"] for row in arms if row["status"] == "dropped"}
    return failed, dropped


def shared(plan: Plan, run: Run, dropped: Mapping[str, str]) -> Plan:
    """The plan with the share of alpha that is left for the arms that a race has not dropped."""
    num_variants = len(run.experiment.arms) - 1
    share = (num_variants - len(dropped)) / num_variants if dropped else 1.0
    return plan.model_copy(update={"alpha": plan.alpha * share})


def noise_floors(arms: Sequence[Row]) -> dict[str, float]:
    """What the batch size alone can do to an arm's primary metric: nothing where rows were scored one by one."""
    floors = {}
    for row in arms:
        if row["status"] == "complete":
            measured = row["wobble_noise_floor"]
            floors[row["arm"]] = 0.0 if row["batch_size"] == 1 else float("inf") if measured is None else measured
    return floors


def _evidence(
    run: Run,
    arms: Sequence[Row],
    metrics: Sequence[Row],
    *,
    events: Sequence[Row],
    budget: Budgeted,
    policy: Policy,
    findings: DatasetFindings,
    repetition: Repetition | None,
) -> Evidence:
    by_arm: dict[str, dict[str, float | None]] = {}
    for row in metrics:
        by_arm.setdefault(row["arm"], {})[row["metric"]] = row["value"]
    num_rows = next((row["num_rows"] for row in arms if row["status"] == "complete"), 0)
    leakage, drift = findings.answer("Leakage"), findings.answer("Drift")
    stale = f" (as known when the run was opened: {findings.problem})" if findings.problem else ""
    return Evidence(
        dataset=f"{run.experiment.dataset.rpartition('/')[2]}, {num_rows:,} rows, {run.dataset_digest}{stale}",
        dataset_location=run.experiment.dataset,
        withdrawn=findings.withdrawn,
        leakage=None if leakage is None else leakage.is_fine,
        leakage_words="" if leakage is None else leakage.words,
        drift=None if drift is None else drift.is_fine,
        drift_words="" if drift is None else drift.words,
        costs={row["arm"]: _cost(row) for row in arms if row["status"] == "complete"},
        budget=budget.kept,
        budget_words=budget.words,
        verification=repetition.outcome if repetition else None,
        verification_words=f"{repetition.num_rows:,} of {num_rows:,} rows of each arm" if repetition else "",
        confounded={row["arm"]: row["message"] for row in events if row["kind"] == "confounded"},
        metrics=by_arm,
        directions={metric.name: metric.direction for metric in run.experiment.suite.metrics},
        policy_is_recorded=policy.digest() == run.policy_digest,
    )


def _cost(row: Row) -> ArmCost:
    """What the arm has cost: what was taken over from other runs, as much as there. What is 0 was not counted."""

    def of(name: str) -> float | None:
        return row[name] + row[f"reused_{name}"] or None

    return ArmCost(price=of("price"), gpu_s=of("gpu_s"), cpu_s=of("cpu_s"))


def budget_of(run: Run, arms: Sequence[Row], spent: Spent) -> Budgeted:
    """Whether a run kept the budget that it was finished under."""
    experiment = run.experiment
    if experiment.budget is None and experiment.project_budget is None:
        return Budgeted(None, "no budget was set")
    stopped = [row["reason"] for row in arms if row["status"] == "stopped" and SPENT in row["reason"]]
    allowance = BudgetCheck(experiment.budget, experiment.project or "", experiment.project_budget)
    over = stopped[0] if stopped else allowance.exceeded(spent)
    return Budgeted(not over, over or "the budget was kept")


def as_rows(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """The rows of the table `decisions`."""
    return [
        {**asdict(each), "reasons": list(each.reasons), "questions": [asdict(question) for question in each.questions]}
        for each in decisions
    ]
