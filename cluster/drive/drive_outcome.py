"""The outcome of driving a run: receipts of published units, failed and eliminated arms, events."""

from dataclasses import dataclass, field

from assay.cluster.drive.events import event
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests.event import Event


@dataclass
class DriveOutcome:
    """The outcome of driving a run.

    Attributes:
        receipts: Per arm, the receipt of every published unit by index.
        failed: The arms that failed, with the reason.
        eliminated: The arms that were eliminated from the race, with the reason.
        stopped: Why the run stopped before all units were done; empty if it did not.
        events: What happened, in order.
        num_evaluated: Units evaluated by this driver, without those that were in the ledger already.
    """

    receipts: dict[str, dict[int, UnitReceipt]]
    failed: dict[str, str] = field(default_factory=dict)
    eliminated: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    events: list[Event] = field(default_factory=list)
    num_evaluated: int = 0

    def note(self, kind: str, message: str, *, arm: str = "", unit: int = -1) -> None:
        """Adds an event."""
        self.events.append(event(kind, message, arm=arm, unit=unit))
