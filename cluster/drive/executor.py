"""The interface between the driver and whatever runs its slots: this process, or Ray."""

from dataclasses import dataclass
from typing import Protocol

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published
from assay.manifests import Arm
from assay.manifests.run import Run


@dataclass(frozen=True)
class Ready:
    """A slot can take tasks: it has started for the first time, or was restarted.

    Attributes:
        slot: Its name.
        accelerator_type: The accelerator type that was requested for it; empty: any.
    """

    slot: str
    accelerator_type: str


@dataclass(frozen=True)
class TaskOutcome:
    """How one submitted task ended. After a failure whose scope is `slot`, the slot is gone until it is ready again.

    Attributes:
        slot: The slot that had the task.
        task: The task.
        result: The published unit, or the failure.
    """

    slot: str
    task: Task
    result: Published | Failure


class Executor(Protocol):
    """Runs tasks in slots: in this process, or in Ray actors."""

    depth: int
    """How many tasks a slot may hold at once: more than one spares it waiting for the driver between tasks."""

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Takes the run that slots will work on; starts no slot yet."""
        ...

    def accelerator_type_of(self, arm: Arm) -> str:
        """The accelerator type to request for an arm's slots; empty: any, or the executor ignores types."""
        ...

    def want(self, accelerator_type: str, num_slots: int) -> None:
        """Sets how many slots of an accelerator type there should be, and starts as many as there is room for.

        Surplus slots that are still waiting for a place are withdrawn; those that are ready stay.

        Raises:
            RunError: Not even one slot fits, and none ever will.
        """
        ...

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Hands a task to a slot, with the unit that it will probably score next; returns at once."""
        ...

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:
        """Waits for the next outcomes and returns them; empty after the timeout. Restarts slots that died.

        Raises:
            RunError: Slots die one after another, or none has become ready for too long.
        """
        ...

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:
        """Kills a hung slot, which will be restarted, and returns its tasks in flight as failures."""
        ...

    def give_back(self, slot: str) -> None:
        """Ends an idle slot for good and frees its resources."""
        ...

    def close(self) -> list[TaskOutcome]:
        """Ends every slot; returns the outcomes of units that were being published and now are.

        The executor can be started again.
        """
        ...
