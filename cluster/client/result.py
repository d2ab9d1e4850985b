"""The result of a submitted run, read from the ledger."""

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.cluster.report.record import document
from assay.evaluator.storage import Store
from assay.manifests.decision import Decision, Verdict
from assay.manifests.ledger_layout import run_key
from assay.manifests.run_report import ReportedArm, RunReport

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SubmissionResult:
    """The result of a committed run.

    Attributes:
        ledger: URI of its ledger, as the user wrote it.
        report: Everything that is shown about the run, as `assay report --json` prints it.
    """

    ledger: str
    report: RunReport

    @property
    def run_id(self) -> str:
        """ID of the run."""
        return self.report.run_id

    @property
    def record(self) -> str:
        """URI of the run's record, which holds its lineage."""
        return posixpath.join(self.ledger, run_key(self.run_id))

    @property
    def report_command(self) -> str:
        """The command that shows its report."""
        return f"assay report {self.run_id} --ledger {self.ledger}"

    @property
    def gate(self) -> Verdict:
        """The gate's decision about the run: `promote`, `hold` or `reject`."""
        return self.report.gate

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One per variant, with its reasons."""
        return self.report.decisions

    @property
    def missing(self) -> tuple[ReportedArm, ...]:
        """Arms that were not scored completely: `status` and `reason` say why. All others were compared."""
        return tuple(arm for arm in self.report.arms if arm.status != "complete")

    @property
    def comparisons(self) -> "pd.DataFrame":
        """The planned comparisons, one row each."""
        import pandas as pd

        return pd.DataFrame([each.model_dump() for each in self.report.analysis.comparisons])


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
    return SubmissionResult(ledger, document(store, run_id))
