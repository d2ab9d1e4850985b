"""Which (arm, unit) a slot scores next, what is retried, which arms have failed: pure bookkeeping."""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Task(NamedTuple):
    """One unit of one arm, to be evaluated once.

    Attributes:
        arm: The arm's name.
        unit: The unit's index.
        attempt: The number of the attempt, from 1.
    """

    arm: str
    unit: int
    attempt: int = 1


class Schedule:
    """The state of a run's work: which units wait, which are in flight, and which slot works on which arm.

    A slot stays with its arm while the arm has units waiting, so that it loads the variant once; then it moves to the
    next arm that has units waiting and fewer slots than `replicas`. Every operation takes constant time, so the cost
    per unit does not grow with the number of arms and slots.
    """

    def __init__(
        self,
        arms: Sequence[str],
        *,
        replicas: int,
        max_attempts: int,
        accelerator_types: Mapping[str, str],
    ) -> None:
        """Starts without work.

        Args:
            arms: The arms, in the order in which they are started.
            replicas: The maximum number of slots per arm.
            max_attempts: How often a unit is attempted before its arm fails.
            accelerator_types: The accelerator type of each arm's slots; arms that are missing take any ("").
        """
        self._accelerator_types = {arm: accelerator_types.get(arm, "") for arm in arms}
        self._waiting = {arm: deque[int]() for arm in arms}
        self._num_waiting = 0
        self._running: dict[tuple[str, int], int] = {}  # number of slots on a unit: a straggler's unit has two
        self._published_once: set[tuple[str, int]] = set()  # published units of which another copy still runs
        self._attempts: dict[tuple[str, int], int] = {}  # failed attempts per unit
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
        """Adds units to score, per arm. Units of failed arms are ignored."""
        for arm, units in pending.items():
            if arm not in self.failed:
                self._waiting[arm].extend(units)
                self._num_waiting += len(units)
                self._open_or_close(arm)

    def next_task(self, slot: str, accelerator_type: str = "") -> Task | None:
        """The slot's next task, or None if there is none for it now."""
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
        """A guess at the unit that the slot will get after those it has, for prefetching; None if there is none.

        Slots that share an arm take turns, so the arm's very next units will go to the other slots.
        """
        arm = self._arm_of_slot.get(slot)
        if arm is not None and self._waiting[arm]:
            turn = min(self._num_slots[arm], len(self._waiting[arm])) - 1
            return self._waiting[arm][turn]
        arm = next(iter(self._open.get(accelerator_type, ())), None)
        return None if arm is None else self._waiting[arm][0]

    def copied(self, task: Task) -> Task:
        """A second copy of a running task, for another slot; whichever finishes first counts."""
        self._running[task.arm, task.unit] += 1
        return task

    def release(self, slot: str) -> None:
        """Detaches the slot from its arm, because it died, was given back or moves to another arm."""
        arm = self._arm_of_slot.pop(slot, None)
        if arm is not None:
            self._num_slots[arm] -= 1
            self._open_or_close(arm)

    def succeeded(self, task: Task) -> None:
        """Records that the task's unit was published."""
        key = (task.arm, task.unit)
        self._ended(key)
        if key in self._running:
            self._published_once.add(key)

    def failed_once(self, task: Task, reason: str, *, arm_is_lost: bool = False, counts: bool = True) -> bool:
        """Records that an attempt failed: its unit was not published.

        Args:
            task: The attempt.
            reason: Why it failed, for people.
            arm_is_lost: Whether retries are pointless, as when the variant cannot be loaded.
            counts: Whether it counts as an attempt: not if the slot died before it started, or with its node.

        Returns:
            Whether the unit is published by now, still runs elsewhere or will be retried.
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
            attempts = "" if arm_is_lost else f" ({self._attempts[key]} attempts)"
            self.failed[task.arm] = f"unit {task.unit}{attempts}: {reason}"
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
        """Whether no unit waits and every running one is a copy of a published unit."""
        return not self._num_waiting and len(self._running) == len(self._published_once)

    @property
    def num_accelerator_types(self) -> int:
        """How many different accelerator types the arms need; "any" counts as one."""
        return len(self._open)

    def num_openings(self) -> dict[str, int]:
        """Per accelerator type, how many more slots would have work now."""
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
        """Keeps the invariant that `_open` has exactly the arms that may get another slot."""
        openings = self._open[self._accelerator_types[arm]]
        if self._waiting[arm] and self._num_slots[arm] < self._replicas:
            openings.setdefault(arm)
        else:
            openings.pop(arm, None)
