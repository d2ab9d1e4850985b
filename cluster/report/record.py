"""The report of a run as one JSON document, gathered from the ledger. Every rendering is made from it."""

import json
from collections.abc import Sequence
from typing import Any

from assay.cluster.commit import gate_answer, gate_review
from assay.cluster.commit.scores_digest import run_scores_digest
from assay.cluster.cost import arm_cost
from assay.cluster.prepare import dataset_findings
from assay.cluster.prepare.dataset_findings import DatasetFindings
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import Store
from assay.manifests.check_report import CheckReport
from assay.manifests.ledger_layout import Table
from assay.manifests.run import Run

Document = dict[str, Any]


def document(store: Store, run_id: str) -> Document:
    """The full report of a committed run.

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
    analysis = json.loads(rows("analyses")[0]["analysis"])
    review = gate_review.review_run(committed)
    decisions = gate_review.as_rows(review.decisions)
    return {
        "run_id": run_id,
        "ledger": store.uri,
        "name": run.experiment.name,
        "dataset": _dataset(run, arms, review.findings),
        "suite_digest": run.suite_digest,
        "plan_digest": run.plan_digest,
        "policy_digest": run.policy_digest,
        "control": suite.plan.control,
        "primary": suite.plan.metric,
        "directions": {metric.name: metric.direction for metric in suite.metrics},
        "thresholds": {row["metric"]: row["threshold"] for row in metrics if row["threshold"] is not None},
        "opened_at": run.opened_at,
        "supersedes": run.supersedes,
        "scores_digest": run_scores_digest(arms),
        "repeats": suite.repeats,
        "arms": [_arm(row, [each for each in metrics if each["arm"] == row["arm"]]) for row in arms],
        "batch_sensitivity_tolerance": suite.batch_sensitivity_tolerance,
        "reused": _reused(arms),
        "race": _race(arms) if run.experiment.race is not None else None,
        "cost": {
            "spent": rows("spending")[0],
            **arm_cost.compared(
                arms, analysis["comparisons"], control=suite.plan.control, direction=suite.primary.direction
            ),
        },
        "analysis": analysis,
        "decisions": decisions,
        "gate": gate_answer.run_decision(decisions),
        "confounded": {row["arm"]: row["message"] for row in events if row["kind"] == "confounded"},
        "winner": gate_answer.winner(decisions),
        "events": events,
    }


def _dataset(run: Run, arms: Sequence[dict[str, Any]], findings: DatasetFindings) -> dict[str, Any]:
    """The dataset that was scored, with the findings known now."""
    return {
        "reference": run.experiment.dataset.rpartition("/")[2],
        "digest": run.dataset_digest,
        "findings": dataset_findings.as_lineage(findings),
        "withdrawn": findings.withdrawn,
        "num_rows": next(row["num_rows"] for row in arms if row["status"] == "complete"),
        "description": run.dataset_description,
        "check": check_summary(run.dataset_check),
    }


def _arm(arm: dict[str, Any], metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An arm's row with its metrics, and their standard deviations over repeats if there were several."""
    return {
        **_nested(arm),
        "metrics": {row["metric"]: row["value"] for row in metrics},
        "repeat_std": {row["metric"]: row["repeat_std"] for row in metrics if row["repeat_std"] is not None},
    }


def _nested(arm: dict[str, Any]) -> dict[str, Any]:
    """An arm's row with its batch-size sensitivity as a nested object; None unless the arm is complete."""
    others = {name: value for name, value in arm.items() if not name.startswith("batch_sensitivity_")}
    if arm["status"] != "complete":
        return {**others, "batch_sensitivity": None}
    measured = {name: arm[f"batch_sensitivity_{name}"] for name in ("max_abs_difference", "noise_floor", "reason")}
    return {
        **others,
        "batch_sensitivity": {
            "rows": arm["batch_sensitivity_num_rows"],
            "flips": arm["batch_sensitivity_num_flips"],
            **measured,
        },
    }


def check_summary(report: CheckReport) -> dict[str, Any]:
    """The check of the rows when they were frozen: its number of rules, those that warned, and changes to the rows."""
    return {
        "num_rules": len(report.rules),
        "warnings": [rule.model_dump(mode="json") for rule in report.rules if rule.is_broken],
        "changes": list(report.changes),
    }


def _reused(arms: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many arms and units were reused, and from which runs."""
    complete = [row for row in arms if row["status"] == "complete"]
    parts = [(row.get("num_units_reused") or 0, row.get("num_units") or 0) for row in complete]
    return {
        "num_arms": sum(0 < reused == total for reused, total in parts),
        "num_arms_in_part": sum(0 < reused < total for reused, total in parts),
        "num_units": sum(reused for reused, _ in parts),
        "runs": sorted({run for row in complete for run in (row.get("reused_from") or "").split(",") if run}),
    }


def _race(arms: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many arms a race eliminated, and how many units that saved."""
    eliminated = [row for row in arms if row["status"] == "eliminated"]
    return {
        "num_eliminated": len(eliminated),
        "num_units": sum(row["num_units"] for row in arms),
        "num_units_saved": sum(row["num_units"] - row["num_units_done"] for row in eliminated),
    }
