"""Confusion matrices and score histograms of a run's arms, read from the ledger."""

from collections.abc import Sequence
from typing import Any

from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import Store


def outcomes(store: Store, run_id: str) -> dict[str, Any]:
    """Confusion matrices and histograms of every complete arm; `commit.arm_metrics.ArmMetrics` describes their rows.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it was changed.
    """
    run = CommittedRun(store, run_id)
    tables = {"confusions": run.rows("confusions"), "histograms": run.rows("histograms")}
    return {
        "run_id": run_id,
        "ledger": store.uri,
        "arms": [
            {"arm": row["arm"], **{name: _of_arm(rows, row["arm"]) for name, rows in tables.items()}}
            for row in run.rows("arms")
            if row["status"] == "complete"
        ],
    }


def _of_arm(rows: Sequence[dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name not in ("run_id", "arm")} for row in rows if row["arm"] == arm]
