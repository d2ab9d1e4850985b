"""The seam between the driver and the places where slots live."""

from dataclasses import dataclass
from typing import Protocol

from cluster.schedule import Task
from cluster.slot import Failure, Published
from manifests.ledger import Run


@dataclass(frozen=True)
class Outcome:
    """How one submitted task ended.

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

    def start(self, run: Run, *, num_slots: int, import_paths: tuple[str, ...]) -> tuple[str, ...]:
        """Makes up to `num_slots` slots and names them.

        Raises:
            RunError: There is no room for even one.
        """
        ...

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Hands a task to a slot, with the unit that it will probably do next; returns at once."""
        ...

    def wait(self) -> list[Outcome]:
        """Waits until at least one submitted task has ended. A slot that died is made again before this returns."""
        ...

    def close(self) -> None:
        """Gives every slot back."""
        ...
