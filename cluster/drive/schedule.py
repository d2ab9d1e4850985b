"""Which (arm, unit) a slot does next, what is tried again, which arm has failed: pure bookkeeping."""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Task(NamedTuple):
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
    next arm that has units waiting and fewer slots than `replicas`. Every answer takes constant time, so that
    thousands of arms and slots cost no more a unit than two.
    """

    def __init__(
        self,
        arms: Sequence[str],
        *,
        replicas: int,
        max_attempts: int,
        accelerator_types: Mapping[str, str],
    ) -> None:
        """Knows arms, and no work yet.

        Args:
            arms: In the order in which they are begun.
            replicas: The most slots that an arm gets.
            max_attempts: How often a unit is tried before its arm fails.
            accelerator_types: What an arm's slots are asked for with; arms that are not named need none ("").
        """
        self._accelerator_types = {arm: accelerator_types.get(arm, "") for arm in arms}
        self._waiting = {arm: deque[int]() for arm in arms}
        self._num_waiting = 0
        self._running: dict[tuple[str, int], int] = {}  # how many slots do it: a straggler's unit is done twice
        self._published_once: set[tuple[str, int]] = set()  # units of which a second copy still runs
        self._attempts: dict[tuple[str, int], int] = {}  # of the units that have failed
        self._arm_of_slot: dict[str, str] = {}
        self._num_slots = dict.fromkeys(arms, 0)
        self._open: dict[str, OrderedDict[str, None]] = {
            each: OrderedDict() for each in self._accelerator_types.values()
        }
        self._replicas = replicas
        self._max_attempts = max_attempts
        self.failed: dict[str, str] = {}
        """The arms that failed, with the reason."""

    def add(self, pending: Mapping[str, Sequence[int]]) -> None:
        """Takes units to do, per arm. Those of failed arms are left."""
        for arm, units in pending.items():
            if arm not in self.failed:
                self._waiting[arm].extend(units)
                self._num_waiting += len(units)
                self._open_or_close(arm)

    def next_task(self, slot: str, accelerator_type: str = "") -> Task | None:
        """The slot's next task, or None if there is nothing for it now."""
        arm = self._arm_of_slot.get(slot)
        if arm is None or not self._waiting[arm]:
            arm = next(iter(self._open.get(accelerator_type, ())), None)
            if arm is None:
                return None
            self.release(slot)
            self._arm_of_slot[slot] = arm
            self._num_slots[arm] += 1
        unit = self._waiting[arm].popleft()
        self._num_waiting -= 1
        self._open_or_close(arm)
        key = (arm, unit)
        self._running[key] = self._running.get(key, 0) + 1
        return Task(arm, unit, self._attempts.get(key, 0) + 1)

    def upcoming(self, slot: str, accelerator_type: str = "") -> int | None:
        """The unit that the slot will probably get after those it has, or None: nothing is promised.

        Slots that share an arm take turns, so the arm's next units are the others'.
        """
        arm = self._arm_of_slot.get(slot)
        if arm is not None and self._waiting[arm]:
            turn = min(self._num_slots[arm], len(self._waiting[arm])) - 1
            return self._waiting[arm][turn]
        arm = next(iter(self._open.get(accelerator_type, ())), None)
        return None if arm is None else self._waiting[arm][0]

    def copied(self, task: Task) -> Task:
        """The same unit once more, for another slot: the first answer counts."""
        self._running[task.arm, task.unit] += 1
        return task

    def release(self, slot: str) -> None:
        """The slot works on no arm any more: it died, was given back, or moves."""
        arm = self._arm_of_slot.pop(slot, None)
        if arm is not None:
            self._num_slots[arm] -= 1
            self._open_or_close(arm)

    def succeeded(self, task: Task) -> None:
        """The task's unit is published."""
        key = (task.arm, task.unit)
        self._ended(key)
        if key in self._running:
            self._published_once.add(key)

    def failed_once(self, task: Task, reason: str, *, arm_is_lost: bool = False, counts: bool = True) -> bool:
        """The task's unit is not published.

        Args:
            task: What was tried.
            reason: Why it failed, for people.
            arm_is_lost: Whether no further try can help, as when the variant cannot be loaded.
            counts: Whether this was a try of the unit: not if its slot died before it began.

        Returns:
            Whether the unit is published, runs or will be tried again.
        """
        key = (task.arm, task.unit)
        is_published = key in self._published_once
        self._ended(key)
        if is_published or (key in self._running and not arm_is_lost):
            return True
        if task.arm in self.failed:
            return False
        if counts:
            self._attempts[key] = self._attempts.get(key, 0) + 1
        if arm_is_lost or self._attempts.get(key, 0) >= self._max_attempts:
            tries = "" if arm_is_lost else f" ({self._attempts[key]} attempts)"
            self.failed[task.arm] = f"unit {task.unit}{tries}: {reason}"
            self._num_waiting -= len(self._waiting[task.arm])
            self._waiting[task.arm].clear()
            self._open_or_close(task.arm)
            return False
        self._waiting[task.arm].appendleft(task.unit)
        self._num_waiting += 1
        self._open_or_close(task.arm)
        return True

    @property
    def finished(self) -> bool:
        """Whether nothing waits, and nothing runs that is not published already."""
        return not self._num_waiting and len(self._running) == len(self._published_once)

    @property
    def num_accelerator_types(self) -> int:
        """How many accelerator types the arms' slots are asked for with."""
        return len(self._open)

    def num_openings(self) -> dict[str, int]:
        """How many more slots of each accelerator type would have something to do now."""
        return {
            accelerator_type: sum(min(len(self._waiting[arm]), self._replicas - self._num_slots[arm]) for arm in arms)
            for accelerator_type, arms in self._open.items()
        }

    def _ended(self, key: tuple[str, int]) -> None:
        copies = self._running.pop(key) - 1
        if copies:
            self._running[key] = copies
        else:
            self._published_once.discard(key)

    def _open_or_close(self, arm: str) -> None:
        """Holds that exactly the arms that may get one more slot are open."""
        openings = self._open[self._accelerator_types[arm]]
        if self._waiting[arm] and self._num_slots[arm] < self._replicas:
            openings.setdefault(arm)
        else:
            openings.pop(arm, None)
