"""Which (arm, unit) a slot does next, what is tried again, which arm has failed: pure bookkeeping."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One unit of one arm, to be evaluated once.

    Attributes:
        arm: The arm's name.
        unit: The unit's index.
        attempt: 1 for the first try.
    """

    arm: str
    unit: int
    attempt: int = 1


class Schedule:
    """The state of a run's work. Slots ask for tasks and report how they went.

    A slot stays with its arm while the arm has units left, since a variant is loaded once; then it moves to the
    first arm, in the experiment's order, that has units waiting and fewer slots than `replicas`.
    """

    def __init__(self, pending: Mapping[str, Sequence[int]], *, replicas: int, max_attempts: int) -> None:
        """Takes the units still to do, per arm, in the experiment's order of arms."""
        self._waiting = {arm: deque(Task(arm, unit) for unit in units) for arm, units in pending.items()}
        self._running: set[Task] = set()
        self._arm_of_slot: dict[str, str] = {}
        self._replicas = replicas
        self._max_attempts = max_attempts
        self.failed: dict[str, str] = {}
        """The arms that failed, with the reason."""

    def next_task(self, slot: str) -> Task | None:
        """The slot's next task, or None if there is nothing for it now."""
        arm = self._arm_of_slot.get(slot)
        if arm is None or not self._waiting[arm]:
            arm = self._open_arm(slot)
        if arm is None:
            return None
        self._arm_of_slot[slot] = arm
        task = self._waiting[arm].popleft()
        self._running.add(task)
        return task

    def upcoming(self, slot: str) -> int | None:
        """The unit that the slot will probably get after those it has, or None: nothing is promised.

        Slots that share an arm take turns, so the arm's next units are the others'.
        """
        arm = self._arm_of_slot.get(slot)
        turns = sum(1 for other, theirs in self._arm_of_slot.items() if theirs == arm and other != slot)
        if arm is None or len(self._waiting[arm]) <= turns:
            arm, turns = self._open_arm(slot), 0
        return None if arm is None else self._waiting[arm][turns].unit

    def succeeded(self, task: Task) -> None:
        """The task's unit is published."""
        self._running.discard(task)

    def failed_once(self, task: Task, reason: str, *, arm_is_lost: bool) -> bool:
        """The task's unit is not published.

        Args:
            task: What was tried.
            reason: Why it failed, for people.
            arm_is_lost: Whether no further try can help, as when the variant cannot be loaded.

        Returns:
            Whether the unit will be tried again.
        """
        self._running.discard(task)
        if task.arm in self.failed:
            return False
        if arm_is_lost or task.attempt >= self._max_attempts:
            tries = "" if arm_is_lost else f" ({task.attempt} attempts)"
            self.failed[task.arm] = f"unit {task.unit}{tries}: {reason}"
            self._waiting[task.arm].clear()
            return False
        self._waiting[task.arm].appendleft(Task(task.arm, task.unit, task.attempt + 1))
        return True

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._running and not any(self._waiting.values())

    @property
    def num_waiting_slots(self) -> int:
        """How many slots could work at once."""
        return sum(min(len(tasks), self._replicas) for tasks in self._waiting.values())

    def _open_arm(self, slot: str) -> str | None:
        slots_of_arm = [arm for other, arm in self._arm_of_slot.items() if other != slot]
        for arm, tasks in self._waiting.items():
            if tasks and slots_of_arm.count(arm) < self._replicas:
                return arm
        return None
