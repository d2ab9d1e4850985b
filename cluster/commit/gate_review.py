"""The gate's review of a run: its recorded analysis and all that its ledger knows by now, into decisions about its arms."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.cluster.commit import arm_status
from assay.cluster.cost.budget import SPENT, BudgetCheck
from assay.cluster.prepare import dataset_findings
from assay.cluster.prepare.dataset_findings import DatasetFindings, FindingSummary
from assay.evaluator.ledger import reader, version_log
from assay.evaluator.ledger.version_log import Repetition
from assay.evaluator.storage import Store
from assay.manifests import InvalidInput, Policy
from assay.manifests.ledger_layout import Table
from assay.manifests.run import Run
from assay.manifests.spent import Spent
from assay.stats.gate import review
from assay.stats.gate.decide import Decision
from assay.stats.gate.evidence import ArmCost, ArmEvidence, CheckOutcome, Evidence
from assay.stats.results.analysis_record import Analysis

Row = Mapping[str, Any]


@dataclass(frozen=True)
class EvidenceTables:
    """Rows of the ledger's tables of a run that the gate's evidence is made from, under the tables' names."""

    arms: Sequence[Row]
    metrics: Sequence[Row]
    events: Sequence[Row]


@dataclass(frozen=True)
class GateReview:
    """The gate's review of a run.

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


def review_run(store: Store, run_id: str, *, policy: Policy | None = None) -> GateReview:
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
    suite = run.experiment.suite
    policy = policy or suite.policy
    try:
        suite.check_policy(policy)
    except ValueError as error:
        raise InvalidInput(str(error), place=run_id) from None

    def rows(table: Table) -> list[dict[str, Any]]:
        return reader.read_table(store, files, table).to_pylist()

    analysis = Analysis.from_json(json.loads(rows("analyses")[0]["analysis"]))
    spending = rows("spending")[0]
    findings = dataset_findings.now(run)
    evidence = evidence_of(
        run,
        EvidenceTables(rows("arms"), rows("metrics"), rows("events")),
        policy=policy,
        budget=CheckOutcome(spending["budget_kept"], spending["budget_words"]),
        findings=findings,
        repetition=version_log.repetition(store, run_id),
    )
    decisions = review.review(analysis, policy, suite.plan, evidence)
    return GateReview(run, policy, evidence.policy_is_recorded, analysis, decisions, findings)


def evidence_of(
    run: Run,
    tables: EvidenceTables,
    *,
    policy: Policy,
    budget: CheckOutcome,
    findings: DatasetFindings,
    repetition: Repetition | None = None,
) -> Evidence:
    """What the gate knows of a run beside its analysis.

    Args:
        run: The run.
        tables: Rows of its tables.
        policy: What promotes.
        budget: Whether the run kept its budget.
        findings: What is known of its dataset.
        repetition: What came of scoring the run again; None: nobody has.
    """
    failed, eliminated = arm_status.left_out(tables.arms)
    by_arm: dict[str, dict[str, float | None]] = {}
    for row in tables.metrics:
        by_arm.setdefault(row["arm"], {})[row["metric"]] = row["value"]
    num_rows = next((row["num_rows"] for row in tables.arms if row["status"] == "complete"), 0)
    stale = f" (as known when the run was opened: {findings.problem})" if findings.problem else ""
    return Evidence(
        dataset=f"{run.experiment.dataset.rpartition('/')[2]}, {num_rows:,} rows, {run.dataset_digest}{stale}",
        dataset_location=run.experiment.dataset,
        withdrawn=findings.withdrawn,
        arms=ArmEvidence(failed, eliminated, noise_floors(tables.arms), run.experiment.aa_arm),
        leakage=_outcome(findings.answer("Leakage")),
        drift=_outcome(findings.answer("Drift")),
        costs={row["arm"]: _cost(row) for row in tables.arms if row["status"] == "complete"},
        budget=budget,
        verification=repetition.outcome if repetition else None,
        verified_rows=f"{repetition.num_rows:,} of {num_rows:,} rows of each arm" if repetition else "",
        confounded={row["arm"]: row["message"] for row in tables.events if row["kind"] == "confounded"},
        metrics=by_arm,
        directions={metric.name: metric.direction for metric in run.experiment.suite.metrics},
        policy_is_recorded=policy.digest() == run.policy_digest,
    )


def _outcome(finding: FindingSummary | None) -> CheckOutcome:
    return CheckOutcome() if finding is None else CheckOutcome(finding.is_fine, finding.words)


def noise_floors(arms: Sequence[Row]) -> dict[str, float]:
    """What the batch size alone can do to an arm's primary metric: nothing where rows were scored one by one."""
    floors = {}
    for row in arms:
        if row["status"] == "complete":
            measured = row["batch_sensitivity_noise_floor"]
            floors[row["arm"]] = 0.0 if row["batch_size"] == 1 else float("inf") if measured is None else measured
    return floors


def _cost(row: Row) -> ArmCost:
    """What the arm has cost: what was taken over from other runs, as much as there. What is 0 was not counted."""

    def of(name: str) -> float | None:
        return row[name] + row[f"reused_{name}"] or None

    return ArmCost(price=of("price"), gpu_s=of("gpu_s"), cpu_s=of("cpu_s"))


def budget_of(run: Run, arms: Sequence[Row], spent: Spent) -> CheckOutcome:
    """Whether a run kept the budget that it was finished under."""
    experiment = run.experiment
    if experiment.budget is None and experiment.project_budget is None:
        return CheckOutcome(None, "no budget was set")
    stopped = [row["reason"] for row in arms if row["status"] == "stopped" and SPENT in row["reason"]]
    budget_check = BudgetCheck(experiment.budget, experiment.project or "", experiment.project_budget)
    over = stopped[0] if stopped else budget_check.exceeded(spent)
    return CheckOutcome(not over, over or "the budget was kept")


def as_rows(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """The rows of the table `decisions`."""
    return [
        {**asdict(each), "reasons": list(each.reasons), "questions": [asdict(question) for question in each.questions]}
        for each in decisions
    ]
