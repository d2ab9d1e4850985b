"""What a submitted run came to, read from the ledger."""

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.cluster.commit import gate_review
from assay.cluster.commit.gate_answer import run_decision
from assay.evaluator.ledger import reader
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import run_key
from assay.stats.gate.decide import Decision

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MissingArm:
    """An arm that a run has no whole scores of.

    Attributes:
        arm: Its name.
        status: What became of it, as the ledger says it: `failed`, `eliminated` or `stopped`.
        reason: Why, with unit, node and traceback where something failed.
    """

    arm: str
    status: str
    reason: str


@dataclass(frozen=True)
class SubmissionResult:
    """What a committed run came to.

    Attributes:
        run_id: The run.
        ledger: The ledger that it is in.
        record: The URI of the run's record: where it came from.
        report_command: What shows its report.
        gate: The run's one word: `promote`, `hold` or `reject`.
        decisions: One a variant, with its reasons.
        missing: The arms without whole scores, and why: all others were compared.
        comparisons: A row per comparison: the recorded analysis.
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
    """Reads what a committed run came to, its decisions by what the ledger knows now.

    Args:
        store: The ledger's store.
        run_id: The run.
        ledger: The URI by which the user names the ledger.

    Raises:
        LedgerError: The run is not committed.
        DamageError: A file of it was changed.
    """
    files = reader.committed_files(store, run_id)
    decisions = gate_review.review_run(store, run_id).decisions
    return SubmissionResult(
        run_id=run_id,
        ledger=ledger,
        record=posixpath.join(ledger, run_key(run_id)),
        report_command=f"assay report {run_id} --ledger {ledger}",
        gate=run_decision(gate_review.as_rows(decisions)),
        decisions=decisions,
        missing=tuple(
            MissingArm(row["arm"], row["status"], row["reason"])
            for row in reader.read_table(store, files, "arms").to_pylist()
            if row["status"] != "complete"
        ),
        comparisons=reader.read_table(store, files, "comparisons").to_pandas(),
    )
