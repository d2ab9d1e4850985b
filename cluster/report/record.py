"""What a report says, as one JSON document gathered from the ledger: the source of every rendering."""

import json
from collections.abc import Sequence
from typing import Any

from assay.cluster.commit import gate_review
from assay.cluster.commit.scores_digest import run_scores_digest
from assay.cluster.cost import arm_cost
from assay.cluster.prepare import dataset_findings
from assay.evaluator.ledger import reader
from assay.evaluator.storage import Store
from assay.manifests.check_report import CheckReport
from assay.manifests.ledger_layout import Table

Document = dict[str, Any]


def document(store: Store, run_id: str) -> Document:
    """Everything that a committed run says.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it was changed.
    """
    files = reader.committed_files(store, run_id)
    run = reader.read_run(store, run_id)

    def rows(table: Table) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in row.items() if name != "run_id"}
            for row in reader.read_table(store, files, table).to_pylist()
        ]

    arms = {row["arm"]: row for row in rows("arms")}
    metrics: dict[str, dict[str, Any]] = {}
    spreads: dict[str, dict[str, float]] = {}
    thresholds: dict[str, float] = {}
    for row in rows("metrics"):
        metrics.setdefault(row["arm"], {})[row["metric"]] = row["value"]
        if row["pass_std"] is not None:
            spreads.setdefault(row["arm"], {})[row["metric"]] = row["pass_std"]
        if row["threshold"] is not None:
            thresholds[row["metric"]] = row["threshold"]
    asked, suite = gate_review.review_run(store, run_id), run.experiment.suite
    decisions = gate_review.as_rows(asked.decisions)
    found = json.loads(rows("analyses")[0]["analysis"])
    return {
        "run_id": run_id,
        "ledger": store.uri,
        "name": run.experiment.name,
        "dataset": {
            "reference": run.experiment.dataset.rpartition("/")[2],
            "digest": run.dataset_digest,
            "findings": dataset_findings.as_lineage(asked.findings),
            "withdrawn": asked.findings.withdrawn,
            "num_rows": next(row["num_rows"] for row in arms.values() if row["status"] == "complete"),
            "description": run.dataset_description,
            "check": _check(run.dataset_check),
        },
        "suite_digest": run.suite_digest,
        "plan_digest": run.plan_digest,
        "policy_digest": run.policy_digest,
        "control": run.experiment.suite.plan.control,
        "primary": run.experiment.suite.plan.metric,
        "directions": {metric.name: metric.direction for metric in run.experiment.suite.metrics},
        "thresholds": thresholds,
        "opened_at": run.opened_at,
        "supersedes": run.supersedes,
        "scores_digest": run_scores_digest(arms.values()),
        "repeats": suite.repeats,
        "arms": [
            {**_nested(row), "metrics": metrics.get(name, {}), "pass_std": spreads.get(name, {})}
            for name, row in arms.items()
        ],
        "wobble_tolerance": run.experiment.suite.wobble_tolerance,
        "reused": _reused(list(arms.values())),
        "race": _race(list(arms.values())) if run.experiment.race is not None else None,
        "cost": {
            "spent": rows("spending")[0],
            **arm_cost.compared(
                list(arms.values()),
                found["comparisons"],
                control=suite.plan.control,
                direction=suite.primary.direction,
            ),
        },
        "analysis": found,
        "decisions": decisions,
        "gate": gate_answer(decisions),
        "confounded": {row["arm"]: row["message"] for row in rows("events") if row["kind"] == "confounded"},
        "winner": winner_of(decisions),
        "events": rows("events"),
    }


def _nested(arm: dict[str, Any]) -> dict[str, Any]:
    """The arm's row with what was found of its dependence on the batch size in one place; None if it failed."""
    plain = {name: value for name, value in arm.items() if not name.startswith("wobble_")}
    if arm["status"] != "complete":
        return {**plain, "wobble": None}
    found = {name: arm[f"wobble_{name}"] for name in ("max_abs_difference", "noise_floor", "reason")}
    return {**plain, "wobble": {"rows": arm["wobble_num_rows"], "flips": arm["wobble_num_flips"], **found}}


def _check(report: CheckReport) -> dict[str, Any]:
    """How many rules the dataset's rows were held to when they were frozen, which of them warned, what was changed."""
    return {
        "num_rules": len(report.rules),
        "warnings": [rule.model_dump(mode="json") for rule in report.rules if rule.is_broken],
        "changes": list(report.changes),
    }


def _reused(arms: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How much was taken over from other runs, and from which."""
    complete = [row for row in arms if row["status"] == "complete"]
    parts = [(row.get("num_units_reused") or 0, row.get("num_units") or 0) for row in complete]
    return {
        "num_arms": sum(0 < reused == whole for reused, whole in parts),
        "num_arms_in_part": sum(0 < reused < whole for reused, whole in parts),
        "num_units": sum(reused for reused, _ in parts),
        "runs": sorted({run for row in complete for run in (row.get("reused_from") or "").split(",") if run}),
    }


def _race(arms: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How much a race has saved."""
    dropped = [row for row in arms if row["status"] == "dropped"]
    return {
        "num_dropped": len(dropped),
        "num_units": sum(row["num_units"] for row in arms),
        "num_units_saved": sum(row["num_units"] - row["num_units_done"] for row in dropped),
    }


def gate_answer(decisions: Sequence[dict[str, Any]]) -> str:
    """The run's one word: promote if any arm is promoted, reject if every arm is rejected, else hold.

    The control once more is no candidate, and does not count.
    """
    found = {row["decision"] for row in decisions if not row["is_control"]}
    if "promote" in found:
        return "promote"
    return "reject" if found == {"reject"} else "hold"


def winner_of(decisions: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """The arm that won among the promoted ones, and by what; None if none is promoted."""
    return next(({"arm": row["arm"], "won_by": row["won_by"]} for row in decisions if row["won_by"]), None)
