"""The report of a committed run, gathered from the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.cluster.commit import arm_status, gate_answer, gate_review
from assay.cluster.commit.scores_digest import run_scores_digest
from assay.cluster.cost import arm_cost
from assay.cluster.prepare.dataset_findings import DatasetFindings
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import Store
from assay.manifests.event import Event
from assay.manifests.ledger_layout import Table
from assay.manifests.run import Run
from assay.manifests.run_report import RaceSummary, ReportedArm, ReportedDataset, Reuse, RunReport
from assay.manifests.spent import Spent

Row = Mapping[str, Any]


def document(store: Store, run_id: str) -> RunReport:
    """The report of a committed run, with decisions based on what the ledger holds now.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it was changed.
    """
    committed = CommittedRun(store, run_id)
    run = committed.record

    def rows(table: Table) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "run_id"} for row in committed.rows(table)]

    suite = run.experiment.suite
    arms, metrics, events = rows("arms"), rows("metrics"), rows("events")
    review = gate_review.review_run(committed)
    return RunReport(
        run_id=run_id,
        ledger=store.uri,
        name=run.experiment.name,
        opened_at=run.opened_at,
        supersedes=run.supersedes,
        dataset=_dataset(run, arms, review.findings),
        suite_digest=run.suite_digest,
        plan_digest=run.plan_digest,
        policy_digest=run.policy_digest,
        scores_digest=run_scores_digest(arms),
        control=suite.plan.control,
        metric=suite.primary.name,
        directions={metric.name: metric.direction for metric in suite.metrics},
        thresholds={row["metric"]: row["threshold"] for row in metrics if row["threshold"] is not None},
        num_repeats=suite.repeats,
        batch_sensitivity_tolerance=suite.batch_sensitivity_tolerance,
        arms=tuple(_arm(row, [each for each in metrics if each["arm"] == row["arm"]]) for row in arms),
        reused=_reused(arms),
        race=_race(arms) if run.experiment.race is not None else None,
        cost=arm_cost.run_cost(arms, review.analysis, spent=_spent(rows("spending")[0])),
        analysis=review.analysis,
        gate=gate_answer.run_decision(review.decisions),
        winner=gate_answer.winner(review.decisions),
        decisions=review.decisions,
        confounded=arm_status.messages(events, "confounded"),
        altered=arm_status.messages(events, "altered"),
        events=tuple(Event.model_validate(row) for row in events),
    )


def _dataset(run: Run, arms: Sequence[Row], findings: DatasetFindings) -> ReportedDataset:
    """The dataset that was scored, with the findings known now."""
    return ReportedDataset(
        reference=run.experiment.dataset.rpartition("/")[2],
        digest=run.dataset_digest,
        num_rows=next(row["num_rows"] for row in arms if row["num_rows"] is not None),
        description=run.dataset_description,
        check=run.dataset_check,
        findings=findings.all,
        withdrawn=findings.withdrawn,
    )


def _arm(arm: Row, metrics: Sequence[Row]) -> ReportedArm:
    """An arm with its metrics, and their standard deviations over repeats if there were several."""
    prefix = "batch_sensitivity_"
    sensitivity = {name.removeprefix(prefix): value for name, value in arm.items() if name.startswith(prefix)}
    return ReportedArm.model_validate(
        {
            **{name: value for name, value in arm.items() if not name.startswith(prefix)},
            "batch_sensitivity": sensitivity if arm["scores_digest"] is not None else None,
            "metrics": {row["metric"]: row["value"] for row in metrics},
            "repeat_std": {row["metric"]: row["repeat_std"] for row in metrics if row["repeat_std"] is not None},
        }
    )


def _spent(spending: Row) -> Spent:
    return Spent.model_validate({name: spending[name] for name in Spent.model_fields})


def _reused(arms: Sequence[Row]) -> Reuse:
    """How many arms and units were reused, and from which runs."""
    complete = [row for row in arms if row["status"] == "complete"]
    parts = [(row["num_units_reused"], row["num_units"]) for row in complete]
    return Reuse(
        num_arms=sum(0 < reused == total for reused, total in parts),
        num_arms_in_part=sum(0 < reused < total for reused, total in parts),
        num_units=sum(reused for reused, _ in parts),
        runs=tuple(sorted({run for row in complete for run in row["reused_from"].split(",") if run})),
    )


def _race(arms: Sequence[Row]) -> RaceSummary:
    """How many arms a race eliminated, and how many units that saved."""
    eliminated = [row for row in arms if row["status"] == "eliminated"]
    return RaceSummary(
        num_eliminated=len(eliminated),
        num_units=sum(row["num_units"] for row in arms),
        num_units_saved=sum(row["num_units"] - row["num_units_done"] for row in eliminated),
    )
