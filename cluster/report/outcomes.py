"""Confusion matrices and score histograms of a run's arms, read from the ledger."""

from collections.abc import Sequence
from typing import Any

from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import Store
from assay.manifests.outcomes import ArmOutcomes, RunOutcomes


def outcomes(store: Store, run_id: str) -> RunOutcomes:
    """Confusion matrices and histograms of every complete arm; `commit.arm_metrics.ArmMetrics` describes their rows.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it was changed.
    """
    run = CommittedRun(store, run_id)
    tables = {"confusions": run.rows("confusions"), "histograms": run.rows("histograms")}
    arms = [
        {"arm": row["arm"], **{name: _of_arm(rows, row["arm"]) for name, rows in tables.items()}}
        for row in run.rows("arms")
        if row["scores_digest"] is not None
    ]
    return RunOutcomes(run_id=run_id, ledger=store.uri, arms=tuple(map(ArmOutcomes.model_validate, arms)))


def _of_arm(rows: Sequence[dict[str, Any]], arm: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {name: row[name] for name in row if name not in ("run_id", "arm")} for row in rows if row["arm"] == arm
    )
