"""Runs all tasks in this process, one after another: for debuggers, small experiments and most tests."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait

from assay.cluster.drive.executor import Ready, TaskOutcome
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.slot import Slot
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import UnitWork
from assay.evaluator.process_state.watch import ProcessWatch
from assay.manifests import Arm
from assay.manifests.run import Run

_NAME = "in-process"


class InProcessExecutor:
    """A single slot for all arms, which works while `wait` is called. It cannot be interrupted."""

    depth = 2

    def __init__(self, work: UnitWork, watch: ProcessWatch) -> None:
        """Creates no slot yet.

        Args:
            work: What the slot does with each unit.
            watch: Finds what arms change in this process, which they share.
        """
        self._work, self._watch = work, watch
        self._slot: Slot | None = None
        self._is_ready_reported = False
        self._queue: deque[tuple[Task, int | None]] = deque()
        self._scored: deque[tuple[Task, Future[Published | Failure]]] = deque()

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Creates the slot."""
        self._is_ready_reported = False
        self._slot = Slot(_NAME, run.model_dump_json(), import_paths, self._work, self._watch)

    def accelerator_type_of(self, arm: Arm) -> str:  # noqa: ARG002
        """Always empty: there is one machine, whatever the arm requests."""
        return ""

    def want(self, accelerator_type: str, num_slots: int) -> None:
        """Does nothing: the one slot exists already."""

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:  # noqa: ARG002
        """Queues the task."""
        self._queue.append((task, upcoming))

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:  # noqa: ARG002
        """Performs the oldest task, however long that takes; if none is left, waits until the last one is published."""
        if not self._is_ready_reported:
            self._is_ready_reported = True
            return [Ready(_NAME, "")]
        assert self._slot is not None
        if self._queue:
            task, upcoming = self._queue.popleft()
            self._scored.append((task, self._slot.perform(task, upcoming)))
        else:
            wait([self._scored[0][1]])
        return [*self._published()]

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:  # noqa: ARG002
        """Does nothing: the driver cannot call this while the slot works."""
        return []

    def give_back(self, slot: str) -> None:
        """Does nothing: the slot lives until `close`."""

    def close(self) -> list[TaskOutcome]:
        """Closes the slot, once the last unit that it scored is published."""
        if self._slot is not None:
            self._slot.close()
        self._slot = None
        return [*self._published()]

    def _published(self) -> Iterator[TaskOutcome]:
        """Takes the outcomes of the oldest tasks whose units are published."""
        while self._scored and self._scored[0][1].done():
            task, end = self._scored.popleft()
            yield TaskOutcome(_NAME, task, end.result())
