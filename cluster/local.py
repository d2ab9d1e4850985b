"""Every slot in this process, one after the other: for debuggers and for most tests."""

from collections import deque

from cluster.executor import Outcome
from cluster.schedule import Task
from cluster.slot import Slot
from manifests.ledger import Run


class LocalExecutor:
    """One slot that works when it is waited for."""

    depth = 1

    def __init__(self) -> None:
        self._slot: Slot | None = None
        self._queue: deque[tuple[Task, int | None]] = deque()

    def start(self, run: Run, *, num_slots: int, import_paths: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002
        """Makes the one slot there is."""
        self._slot = Slot("in-process", run.model_dump_json(), import_paths)
        return ("in-process",)

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:  # noqa: ARG002
        """Queues the task."""
        self._queue.append((task, upcoming))

    def wait(self) -> list[Outcome]:
        """Performs the oldest task."""
        assert self._slot is not None
        task, upcoming = self._queue.popleft()
        return [Outcome("in-process", task, self._slot.perform(task, upcoming))]

    def close(self) -> None:
        """Drops the slot."""
        if self._slot is not None:
            self._slot.close()
        self._slot = None
