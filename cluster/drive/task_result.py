"""How a task ends in a slot: its unit is published, or a failure says what is lost."""

from dataclasses import dataclass
from typing import Literal

from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests.plain_text import LONGEST_ERROR, error_text, plain

_LONGEST_TRACEBACK = 7_500
"""Characters; with those of the reason they are within the limit of an event's message."""


@dataclass(frozen=True)
class Published:
    """A task that ended with its unit in the ledger.

    Attributes:
        receipt: The receipt of the stored unit.
        is_ours: False if the unit had been published already, by another slot or driver.
        digest: The digest of the scores that this slot computed.
        set_aside: What happened to a damaged file that had the unit's name; empty if there was none.
    """

    receipt: UnitReceipt
    is_ours: bool
    digest: str
    set_aside: str = ""


@dataclass(frozen=True)
class Failure:
    """A task that ended without a unit in the ledger.

    Attributes:
        scope: What failed: this attempt at the `unit`, the `arm`, the `run`, the `worker` (its process died) or the `slot`
            (the process of the slot itself died).
        reason: Why, in one line.
        where: The slot and its host.
        traceback: The variant's own traceback, if its code raised, and the end of what it has printed.
        cause: What happened to the process of the worker or the slot, if it died.
        counts: Whether it counts as an attempt at the unit: not if the process died before it started, or with its node.
    """

    scope: Literal["unit", "arm", "run", "worker", "slot"]
    reason: str
    where: str
    traceback: str = ""
    cause: Literal["worker_lost", "slot_lost", "out_of_memory", "hung"] = "slot_lost"
    counts: bool = True

    def __post_init__(self) -> None:
        """Makes the texts plain, because they come from a variant's code or from Ray."""
        object.__setattr__(self, "reason", plain(self.reason, limit=LONGEST_ERROR))
        object.__setattr__(self, "traceback", plain(self.traceback, limit=_LONGEST_TRACEBACK))

    def __str__(self) -> str:
        """The reason, where it happened and the traceback, as events and errors show them."""
        return f"{self.reason} [{self.where}]" + (f"\n{self.traceback}" if self.traceback else "")


def one_line(error: BaseException) -> str:
    """An error's type and message in one line, as the reason of a failure."""
    return error_text(error).replace("\n", " ")
