"""How a task ends in a slot: with its unit published, or with a failure that says what is lost."""

from dataclasses import dataclass
from typing import Literal

from assay.evaluator.ledger.receipt import UnitReceipt


@dataclass(frozen=True)
class Published:
    """A task that ended with its unit in the ledger.

    Attributes:
        receipt: What is stored.
        is_ours: False if somebody else had published the unit.
        digest: The digest of the rows that this slot made.
    """

    receipt: UnitReceipt
    is_ours: bool
    digest: str


@dataclass(frozen=True)
class Failure:
    """A task that ended without a unit in the ledger.

    Attributes:
        scope: What is lost: this `unit` for now, the whole `arm`, the `run`, or the `slot` (its process died).
        reason: In one line.
        where: The slot and host.
        traceback: The variant's own traceback, if its code raised; empty otherwise.
        cause: What happened to a slot.
        counts: Whether this was a try of the unit: not if its slot died before it began, or with its node.
    """

    scope: Literal["unit", "arm", "run", "slot"]
    reason: str
    where: str
    traceback: str = ""
    cause: Literal["slot_lost", "out_of_memory", "hung"] = "slot_lost"
    counts: bool = True

    def __str__(self) -> str:
        """The reason, where it happened and the traceback, as events and errors show them."""
        return f"{self.reason} [{self.where}]" + (f"\n{self.traceback}" if self.traceback else "")


def one_line(error: BaseException) -> str:
    """An error's type and message as the reason of a failure."""
    return f"{type(error).__name__}: {error}".strip().replace("\n", " ")
