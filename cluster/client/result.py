"""The result of a submitted run, read from the ledger."""

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.cluster.commit import gate_review
from assay.cluster.commit.gate_answer import run_decision
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import run_key
from assay.stats.gate.decide import Decision

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MissingArm:
    """An arm that a run has not scored completely.

    Attributes:
        arm: The arm's name.
        status: Its status in the ledger: `failed`, `eliminated` or `stopped`.
        reason: Why, with unit, node and traceback if it failed.
    """

    arm: str
    status: str
    reason: str


@dataclass(frozen=True)
class SubmissionResult:
    """The result of a committed run.

    Attributes:
        run_id: ID of the run.
        ledger: URI of its ledger.
        record: URI of the run's record, which holds its lineage.
        report_command: The command that shows its report.
        gate: The gate's decision about the run: `promote`, `hold` or `reject`.
        decisions: One per variant, with its reasons.
        missing: Arms that were not scored completely, and why. All others were compared.
        comparisons: The recorded analysis, one row per comparison.
    """

    run_id: str
    ledger: str
    record: str
    report_command: str
    gate: str
    decisions: tuple[Decision, ...]
    missing: tuple[MissingArm, ...]
    comparisons: "pd.DataFrame"


def read_result(store: Store, run_id: str, *, ledger: str) -> SubmissionResult:
    """Reads the result of a committed run, with decisions based on what the ledger holds now.

    Args:
        store: The ledger's store.
        run_id: ID of the run.
        ledger: The ledger's URI as the user wrote it.

    Raises:
        LedgerError: The run is not committed.
        DamageError: A file of it was changed.
    """
    run = CommittedRun(store, run_id)
    decisions = gate_review.review_run(run).decisions
    return SubmissionResult(
        run_id=run_id,
        ledger=ledger,
        record=posixpath.join(ledger, run_key(run_id)),
        report_command=f"assay report {run_id} --ledger {ledger}",
        gate=run_decision(gate_review.as_rows(decisions)),
        decisions=decisions,
        missing=tuple(
            MissingArm(row["arm"], row["status"], row["reason"])
            for row in run.rows("arms")
            if row["status"] != "complete"
        ),
        comparisons=run.table("comparisons").to_pandas(),
    )
