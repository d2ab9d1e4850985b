"""Confusion matrices and score histograms of a run's arms, read from the ledger."""

from collections.abc import Sequence
from typing import Any

from assay.evaluator.ledger import reader
from assay.evaluator.storage import Store


def outcomes(store: Store, run_id: str) -> dict[str, Any]:
    """Confusion matrices and histograms of every complete arm; `commit.arm_metrics.ArmMetrics` describes their rows.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it was changed.
    """
    files = reader.committed_files(store, run_id)
    tables = {name: reader.read_table(store, files, name).to_pylist() for name in ("confusions", "histograms")}
    arms = reader.read_table(store, files, "arms", ["arm", "status"]).to_pylist()
    return {
        "run_id": run_id,
        "ledger": store.uri,
        "arms": [
            {"arm": row["arm"], **{name: _of_arm(rows, row["arm"]) for name, rows in tables.items()}}
            for row in arms
            if row["status"] == "complete"
        ],
    }


def _of_arm(rows: Sequence[dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name not in ("run_id", "arm")} for row in rows if row["arm"] == arm]
