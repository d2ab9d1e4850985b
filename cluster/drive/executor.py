"""The seam between the driver and the places where slots live."""

from dataclasses import dataclass
from typing import Protocol

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published
from assay.manifests import Arm
from assay.manifests.run import Run


@dataclass(frozen=True)
class Ready:
    """A slot can be given tasks: for the first time, or because it was restarted.

    Attributes:
        slot: Its name.
        accelerator_type: What it was asked for with; empty: any.
    """

    slot: str
    accelerator_type: str


@dataclass(frozen=True)
class TaskOutcome:
    """How one submitted task ended. After a failure whose scope is `slot`, the slot is gone until it is ready again.

    Attributes:
        slot: Where.
        task: What.
        result: The published unit, or the failure.
    """

    slot: str
    task: Task
    result: Published | Failure


class Executor(Protocol):
    """Runs tasks in slots: in this process, or in Ray actors."""

    depth: int
    """How many tasks a slot may have in hand, so that it need not wait for the driver between two."""

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Learns what slots are for; makes none yet."""
        ...

    def accelerator_type_of(self, arm: Arm) -> str:
        """The accelerator type that an arm's slots are asked for with; empty: any, or this executor knows none."""
        ...

    def want(self, accelerator_type: str, num_slots: int) -> None:
        """Sees to it that there are, or will be, that many slots of an accelerator type, as far as there is room for them.

        Slots beyond that are withdrawn if they have no place yet; those that are ready stay.

        Raises:
            RunError: There is no room for even one, and there never will be.
        """
        ...

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Hands a task to a slot, with the unit that it will probably do next; returns at once."""
        ...

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:
        """What has happened, as soon as something has; nothing after the timeout. Slots that died are restarted.

        Raises:
            RunError: Slots die one after the other, or none has been ready for too long.
        """
        ...

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:
        """Ends a slot that hangs, which will be restarted, and gives up what it had in hand."""
        ...

    def give_back(self, slot: str) -> None:
        """Ends an idle slot for good, and frees what it held."""
        ...

    def close(self) -> None:
        """Gives every slot back."""
        ...
