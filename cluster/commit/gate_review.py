"""The gate's review of a run: decides about its arms from its recorded analysis and the evidence in the ledger."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.cluster.commit import arm_status
from assay.cluster.cost.arm_cost import scoring_cost
from assay.cluster.cost.budget import EXHAUSTED, BudgetCheck
from assay.cluster.prepare import dataset_findings
from assay.cluster.prepare.dataset_findings import DatasetFindings
from assay.evaluator.ledger import version_log
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.version_log import Repetition
from assay.manifests import InvalidInput, Policy
from assay.manifests.analysis import Analysis
from assay.manifests.decision import Decision
from assay.manifests.finding import FindingSummary
from assay.manifests.run import Run
from assay.manifests.spent import Spent
from assay.stats.gate import review
from assay.stats.gate.evidence import ArmCost, ArmEvidence, CheckOutcome, Evidence

Row = Mapping[str, Any]


@dataclass(frozen=True)
class EvidenceTables:
    """Rows of a run's tables in the ledger that the gate's evidence comes from; attributes are the tables' names."""

    arms: Sequence[Row]
    metrics: Sequence[Row]
    events: Sequence[Row]


@dataclass(frozen=True)
class GateReview:
    """The gate's review of a run.

    Attributes:
        run: The run.
        policy: The policy that decided.
        is_recorded: Whether it is the policy that was recorded before the first unit.
        analysis: The recorded analysis.
        decisions: One per arm.
        findings: Findings about the run's dataset.
    """

    run: Run
    policy: Policy
    is_recorded: bool
    analysis: Analysis
    decisions: tuple[Decision, ...]
    findings: DatasetFindings


def review_run(run: CommittedRun, *, policy: Policy | None = None) -> GateReview:
    """Reviews a committed run with today's evidence: verifications and findings may have been added since the run.

    Args:
        run: The run.
        policy: A policy to use instead of the recorded one; it can hold or reject but never promote.

    Raises:
        DamageError: One of its files, or the log, was changed.
        InvalidInput: The policy names metrics that the run does not have.
    """
    record = run.record
    suite = record.experiment.suite
    policy = policy or suite.policy
    try:
        suite.check_policy(policy)
    except ValueError as error:
        raise InvalidInput(str(error), place=run.run_id) from None
    findings = dataset_findings.now(record)
    decisions = decisions_about(run, policy, findings=findings, repetition=version_log.repetition(run))
    is_recorded = policy.digest() == record.policy_digest
    return GateReview(record, policy, is_recorded, recorded_analysis(run), decisions, findings)


def decisions_about(
    run: CommittedRun, policy: Policy, *, findings: DatasetFindings, repetition: Repetition
) -> tuple[Decision, ...]:
    """The decisions about a committed run's arms, from its tables and from what is known otherwise.

    Args:
        run: The run.
        policy: The policy that decides.
        findings: Findings about its dataset.
        repetition: The combined result of verifications.
    """
    record = run.record
    (spending,) = run.rows("spending")
    evidence = evidence_of(
        record.model_copy(update={"experiment": record.experiment.model_copy(update={"ledger": run.store.uri})}),
        EvidenceTables(run.rows("arms"), run.rows("metrics"), run.rows("events")),
        policy=policy,
        budget=CheckOutcome(spending["budget_kept"], spending["budget_summary"]),
        findings=findings,
        repetition=repetition,
    )
    return review.review(recorded_analysis(run), policy, record.experiment.suite.plan, evidence)


def recorded_analysis(run: CommittedRun) -> Analysis:
    """The analysis that a run recorded."""
    return Analysis.model_validate_json(run.rows("analyses")[0]["analysis"])


def evidence_of(
    run: Run,
    tables: EvidenceTables,
    *,
    policy: Policy,
    budget: CheckOutcome,
    findings: DatasetFindings,
    repetition: Repetition = Repetition(),
) -> Evidence:
    """The evidence for the gate in addition to the analysis.

    Args:
        run: The run.
        tables: Rows of its tables.
        policy: The policy that decides.
        budget: Whether the run stayed within its budget.
        findings: Findings about its dataset.
        repetition: The combined result of the run's verifications.
    """
    failed, eliminated = arm_status.left_out(tables.arms)
    by_arm: dict[str, dict[str, float | None]] = {}
    for row in tables.metrics:
        by_arm.setdefault(row["arm"], {})[row["metric"]] = row["value"]
    num_rows = next((row["num_rows"] for row in tables.arms if row["status"] == "complete"), 0)
    stale = f" (findings as of the run's opening: {findings.problem})" if findings.problem else ""
    return Evidence(
        dataset=f"{run.experiment.dataset.rpartition('/')[2]}, {num_rows:,} rows, {run.dataset_digest}{stale}",
        dataset_location=run.experiment.dataset,
        withdrawn=findings.withdrawn,
        arms=ArmEvidence(failed, eliminated, noise_floors(tables.arms), run.experiment.aa_arm),
        leakage=_outcome(findings.answer("Leakage")),
        drift=_outcome(findings.answer("Drift")),
        costs={row["arm"]: _cost(row) for row in tables.arms if row["status"] == "complete"},
        budget=budget,
        num_rows=num_rows,
        num_warnings=sum(rule.is_broken for rule in run.dataset_check.rules),
        verified=repetition.matched,
        differing=repetition.differing,
        confounded=arm_status.messages(tables.events, "confounded"),
        altered=arm_status.messages(tables.events, "altered"),
        altered_analysis=arm_status.messages(tables.events, "altered_analysis").get("", ""),
        metrics=by_arm,
        directions={metric.name: metric.direction for metric in run.experiment.suite.metrics},
        run=f"{run.run_id} --ledger {shlex.quote(run.experiment.ledger)}",
        policy_is_recorded=policy.digest() == run.policy_digest,
    )


def _outcome(finding: FindingSummary | None) -> CheckOutcome:
    return CheckOutcome() if finding is None else CheckOutcome(finding.is_fine, finding.summary)


def noise_floors(arms: Sequence[Row]) -> dict[str, float]:
    """Per complete arm, how much the batch size can change its primary metric: 0 if rows were scored one by one."""
    floors = {}
    for row in arms:
        if row["status"] == "complete":
            measured = row["batch_sensitivity_noise_floor"]
            floors[row["arm"]] = 0.0 if row["batch_size"] == 1 else float("inf") if measured is None else measured
    return floors


def _cost(row: Row) -> ArmCost:
    """What scoring the arm's rows has cost. A cost of 0 counts as unknown."""
    price, gpu_s, cpu_s = (scoring_cost(row, name) or None for name in ("price", "gpu_s", "cpu_s"))
    return ArmCost(price=price, gpu_s=gpu_s, cpu_s=cpu_s)


def budget_of(run: Run, arms: Sequence[Row], spent: Spent) -> CheckOutcome:
    """Whether a run stayed within the budget that it had at its commit."""
    experiment = run.experiment
    if experiment.budget is None and experiment.project_budget is None:
        return CheckOutcome(None, "no budget was set")
    stopped = [row["reason"] for row in arms if row["status"] == "stopped" and EXHAUSTED in row["reason"]]
    budget_check = BudgetCheck(experiment.budget, experiment.project or "", experiment.project_budget)
    exceeded = stopped[0] if stopped else budget_check.exceeded(spent)
    return CheckOutcome(not exceeded, exceeded or "the run stayed within its budget")
