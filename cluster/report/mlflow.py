"""Export of a committed run to MLflow, so that its numbers sit where people look; the ledger stays the evidence."""

import importlib
import math
import re
from typing import Any

from assay.cluster.report.record import Document
from assay.manifests.errors import InvalidInput
from assay.manifests.spent import Spent

_MAX_VALUE = 500
"""The longest value of a parameter or tag that every MLflow takes."""


def to_mlflow(report: Document) -> dict[str, str]:
    """Writes a run as an experiment's runs to where MLFLOW_TRACKING_URI says: one for the run, one below it per arm.

    The names of metrics are cleaned of what MLflow does not take. Exporting again makes new runs.

    Args:
        report: The document of a committed run.

    Returns:
        The MLflow run of each arm by its name, and under the empty name that of the whole run.

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
    known = client.get_experiment_by_name(report["name"])
    experiment = client.create_experiment(report["name"]) if known is None else known.experiment_id
    digests = {f"assay.{name}": report[name] for name in _DIGESTS}
    tags = {**digests, "assay.dataset_digest": report["dataset"]["digest"], "assay.gate": report["gate"]}
    whole = client.create_run(experiment, tags=_tags(tags), run_name=report["run_id"]).info.run_id
    for name, value in (("dataset", report["dataset"]["reference"]), ("control", report["control"])):
        client.log_param(whole, name, value)
    _log(client, whole, {f"spent.{name}": report["cost"]["spent"][name] for name in Spent.model_fields})
    for file in ("analysis", "decisions", "cost", "events"):
        client.log_dict(whole, report[file] if isinstance(report[file], dict) else {file: report[file]}, f"{file}.json")
    client.log_dict(whole, {"comparisons": report["analysis"]["comparisons"]}, "comparisons.json")
    client.set_terminated(whole)
    found = {"": whole}
    decided = {row["arm"]: row for row in report["decisions"]}
    costs = {row["arm"]: row for row in report["cost"]["arms"]}
    for arm in report["arms"]:
        name = arm["arm"]
        found[name] = _arm(
            client, experiment, arm, decided.get(name), costs[name], {**tags, "mlflow.parentRunId": whole}
        )
    return found


_DIGESTS = ("run_id", "ledger", "suite_digest", "plan_digest", "policy_digest", "scores_digest")


def _arm(
    client: Any,
    experiment: str,
    arm: dict[str, Any],
    decision: dict[str, Any] | None,
    cost: dict[str, Any],
    tags: dict[str, str],
) -> str:
    own = {"assay.variant_digest": arm["variant_digest"], "assay.arm_scores_digest": arm.get("scores_digest")}
    own |= {"assay.decision": "control" if decision is None else decision["decision"]}
    run = client.create_run(experiment, tags=_tags({**tags, **own}), run_name=arm["arm"]).info.run_id
    for name in ("arm", "status", "batch_size", "num_rows", "devices", "reused_from"):
        if arm.get(name) not in (None, ""):
            client.log_param(run, name, str(arm[name])[:_MAX_VALUE])
    measured = {**arm["metrics"], "cost": cost["cost"], "cost_ratio_to_control": cost["ratio_to_control"]}
    measured |= {name: arm[name] for name in ("slot_s", "cpu_s", "gpu_s", "price", "bytes_fetched")}
    _log(client, run, measured)
    client.set_terminated(run, status="FINISHED" if arm["status"] == "complete" else "FAILED")
    return run


def _log(client: Any, run: str, measured: dict[str, float | None]) -> None:
    for name, value in measured.items():
        if value is not None and math.isfinite(value):  # not testable, or without a price: no number
            client.log_metric(run, re.sub(r"[^\w\-./ ]", "_", name), value)


def _tags(tags: dict[str, str | None]) -> dict[str, str]:
    return {name: value[:_MAX_VALUE] for name, value in tags.items() if value}
