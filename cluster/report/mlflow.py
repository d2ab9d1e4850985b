"""Exports a committed run to MLflow. The ledger stays the source of truth."""

import importlib
import math
import re
from typing import Any

from assay.manifests.decision import Decision
from assay.manifests.errors import InvalidInput
from assay.manifests.run_report import ComparedCost, ReportedArm, RunReport

_MAX_VALUE = 500
"""Characters of a parameter or tag value that every MLflow backend accepts."""


def to_mlflow(report: RunReport) -> dict[str, str]:
    """Writes a run to MLflow, at MLFLOW_TRACKING_URI: one parent run, and one child run per arm.

    Characters that MLflow does not allow in metric names are replaced by underscores. Exporting again creates new runs.

    Args:
        report: The report of a committed run (`record.document`).

    Returns:
        IDs of the MLflow runs by arm. The parent run is under the empty name.

    Raises:
        InvalidInput: MLflow is not installed.
    """
    try:
        mlflow: Any = importlib.import_module("mlflow")
    except ImportError:
        raise InvalidInput(
            "MLflow is not installed", field="export mlflow", remedy="pip install 'assay[mlflow]'"
        ) from None
    client = mlflow.MlflowClient()
    existing = client.get_experiment_by_name(report.name)
    experiment = client.create_experiment(report.name) if existing is None else existing.experiment_id
    digests = {f"assay.{name}": getattr(report, name) for name in _DIGESTS}
    tags = {**digests, "assay.dataset_digest": report.dataset.digest, "assay.gate": report.gate}
    parent = client.create_run(experiment, tags=_tags(tags), run_name=report.run_id).info.run_id
    for name, value in (("dataset", report.dataset.reference), ("control", report.control)):
        client.log_param(parent, name, value)
    _log(client, parent, {f"spent.{name}": value for name, value in report.cost.spent})
    plain = report.plain()
    for file in ("analysis", "decisions", "cost", "events"):
        client.log_dict(parent, plain[file] if isinstance(plain[file], dict) else {file: plain[file]}, f"{file}.json")
    client.log_dict(parent, {"comparisons": plain["analysis"]["comparisons"]}, "comparisons.json")
    client.set_terminated(parent)
    mlflow_runs = {"": parent}
    decided = {row.arm: row for row in report.decisions}
    costs = {row.arm: row for row in report.cost.arms}
    for arm in report.arms:
        name = arm.arm
        mlflow_runs[name] = _arm(
            client, experiment, arm, decided.get(name), costs[name], {**tags, "mlflow.parentRunId": parent}
        )
    return mlflow_runs


_DIGESTS = ("run_id", "ledger", "suite_digest", "plan_digest", "policy_digest", "scores_digest")


def _arm(
    client: Any,
    experiment: str,
    arm: ReportedArm,
    decision: Decision | None,
    cost: ComparedCost,
    tags: dict[str, str],
) -> str:
    own = {"assay.variant_digest": arm.variant_digest, "assay.arm_scores_digest": arm.scores_digest}
    own |= {"assay.decision": "control" if decision is None else decision.decision}
    run = client.create_run(experiment, tags=_tags({**tags, **own}), run_name=arm.arm).info.run_id
    for name in ("arm", "status", "batch_size", "num_rows", "devices", "reused_from"):
        value = getattr(arm, name)
        if value not in (None, ""):
            client.log_param(run, name, str(value)[:_MAX_VALUE])
    measured = {**arm.metrics, "cost": cost.cost, "cost_ratio_to_control": cost.ratio_to_control}
    measured |= {name: getattr(arm, name) for name in ("slot_s", "cpu_s", "gpu_s", "price", "bytes_fetched")}
    _log(client, run, measured)
    client.set_terminated(run, status="FINISHED" if arm.status == "complete" else "FAILED")
    return run


def _log(client: Any, run: str, measured: dict[str, float | None]) -> None:
    for name, value in measured.items():
        if value is not None and math.isfinite(value):  # otherwise not testable, or no price
            client.log_metric(run, re.sub(r"[^\w\-./ ]", "_", name), value)


def _tags(tags: dict[str, str | None]) -> dict[str, str]:
    return {name: value[:_MAX_VALUE] for name, value in tags.items() if value}
