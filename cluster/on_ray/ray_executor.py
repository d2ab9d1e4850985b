"""Slots as Ray actors: asked for, fed, and restarted when their process dies."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from ray.exceptions import OutOfMemoryError, RayError

from assay.cluster.drive.executor import Ready, TaskOutcome
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure
from assay.cluster.drive.unit_work import UnitWork
from assay.cluster.errors import RunError
from assay.cluster.on_ray import autoscaler, lost_actor, slot_demand
from assay.cluster.on_ray.actors import SlotActor
from assay.cluster.on_ray.session import connected
from assay.manifests import Arm, Resources
from assay.manifests.run import Run

# A node that falls silent costs every slot on it again and again until Ray notices, after a quarter of a minute or
# more; the pauses before this many losses in a row add up to about two minutes.
_MAX_LOST_IN_A_ROW = 8
_ASKS_AFTER_S = 5.0
_REFUSED_FOR_S = 15.0  # an autoscaler that just starts may say so once before it knows its node types
_MAX_FAILED_STARTS = 3  # before any slot has worked, so that what cannot work is said soon
_FIRST_BACK_OFF_S = 1.0
_LONGEST_BACK_OFF_S = 30.0


@dataclass
class _ActorSlot:
    """One slot and its actor of the moment.

    Attributes:
        accelerator_type: What it was asked for with; empty: any.
        actor: The actor; None while the slot waits to be restarted.
        is_ready: Whether the actor runs, rather than waits for a place.
        in_hand: What it was given and has not answered, the oldest first.
        restart_at_s: When it is to be restarted.
    """

    accelerator_type: str
    actor: Any = None  # actor handles: Ray types them only for classes that know Ray
    is_ready: bool = False
    in_hand: dict[ray.ObjectRef, Task] = field(default_factory=dict)
    restart_at_s: float = 0.0


class RayExecutor:
    """One actor a slot. Needs a connected Ray."""

    depth = 2

    def __init__(self, work: UnitWork, *, can_grow: bool) -> None:
        """Makes no slot yet.

        Args:
            work: What slots do with each unit.
            can_grow: Whether nodes may join the cluster. Nothing in Ray says whether an autoscaler is there.
        """
        self._work, self._can_grow = work, can_grow
        self._slots: dict[str, _ActorSlot] = {}
        self._owners: dict[ray.ObjectRef, str] = {}  # which slot answers: to a task, or that it is ready
        self._numbers = itertools.count()
        self._resources = Resources()
        self._run_json, self._import_paths = "", list[str]()
        self._lost_in_a_row = 0
        self._pause_until_s = 0.0
        self._has_worked = False
        self._alone_since_s = 0.0
        self._refused_since_s = float("inf")

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Keeps what actors are made with: by value, so that they can be made again anywhere."""
        self._resources = run.experiment.resources
        self._run_json, self._import_paths = run.model_dump_json(), list(import_paths)
        self._alone_since_s = time.monotonic()

    def accelerator_type_of(self, arm: Arm) -> str:
        """The accelerator type."""
        return arm.accelerator_type or ""

    def want(self, accelerator_type: str, num_slots: int) -> None:
        """Makes actors: as many as the cluster has room for, or, where it can grow, as `max_slots` allows.

        Actors without a place are all the demand that Ray's autoscalers need.
        """
        names = [name for name, slot in self._slots.items() if slot.accelerator_type == accelerator_type]
        for name in [name for name in reversed(names) if not self._slots[name].is_ready][
            : max(len(names) - num_slots, 0)
        ]:
            self.give_back(name)
            names.remove(name)
        others, limit = len(self._slots) - len(names), self._resources.max_slots
        if num_slots <= len(names):
            return
        if limit is None or not self._can_grow:
            num_fitting = slot_demand.num_slots_that_fit(self._demand(accelerator_type))
            limit = min(num_fitting, limit or num_slots)
        for _ in range(max(min(num_slots, limit - others), int(not self._slots)) - len(names)):
            name = f"slot-{next(self._numbers)}"
            self._slots[name] = _ActorSlot(accelerator_type)
            self._make(name)

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Queues the task at the slot's actor."""
        ref = self._slots[slot].actor.perform.remote(task, upcoming)
        self._slots[slot].in_hand[ref] = task
        self._owners[ref] = slot

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:
        """Takes every answer there is; restarts lost slots once their pause is over."""
        for name, slot in self._slots.items():
            if slot.actor is None and slot.restart_at_s <= time.monotonic():
                self._make(name)
        answered: list[ray.ObjectRef] = []
        if self._owners:
            ray.wait(list(self._owners), num_returns=1, timeout=timeout_s)
            answered, _ = ray.wait(list(self._owners), num_returns=len(self._owners), timeout=0)
        else:  # every slot has its pause
            time.sleep(timeout_s)
        answers: list[Ready | TaskOutcome] = []
        for ref in answered:
            if ref in self._owners:  # else its slot was lost with an answer before it
                answers += self._answers(ref)
        self._check_start_timeout()
        return answers

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:
        """Kills the slot's process."""
        return self._lost(slot, reason, "hung")

    def give_back(self, slot: str) -> None:
        """Ends the actor; Ray frees what it held, and an autoscaler its node."""
        self._forget(slot)
        del self._slots[slot]

    def close(self) -> None:
        """Ends every actor; what they published stays."""
        for name in list(self._slots):
            self.give_back(name)

    def _demand(self, accelerator_type: str) -> dict[str, float]:
        return slot_demand.slot_demand(self._resources, accelerator_type)

    def _make(self, name: str) -> None:
        # Ray sets OMP_NUM_THREADS for its workers; slots set torch's threads themselves, from the suite.
        slot = self._slots[name]
        options = {"num_cpus": self._resources.num_cpus, "num_gpus": self._resources.num_gpus}
        accelerator = {"accelerator_type": slot.accelerator_type} if slot.accelerator_type else {}
        slot.actor = SlotActor.options(**options, **accelerator).remote(
            name, self._run_json, self._import_paths, self._work
        )
        self._owners[slot.actor.__ray_ready__.remote()] = name

    def _answers(self, ref: ray.ObjectRef) -> Sequence[Ready | TaskOutcome]:
        name = self._owners[ref]
        slot = self._slots[name]
        try:
            result = ray.get(ref)
        except RayError as error:
            cause = "out_of_memory" if isinstance(error, OutOfMemoryError) else "slot_lost"
            return self._lost(name, lost_actor.reason_of(error), cause, counts=not lost_actor.is_of_the_node(error))
        del self._owners[ref]
        task = slot.in_hand.pop(ref, None)
        if task is None:
            slot.is_ready = True
            return [Ready(name, slot.accelerator_type)]
        self._lost_in_a_row, self._has_worked = 0, True
        return [TaskOutcome(name, task, result)]

    def _lost(
        self, name: str, reason: str, cause: Literal["slot_lost", "out_of_memory", "hung"], *, counts: bool = True
    ) -> list[TaskOutcome]:
        """Gives up what a slot had in hand, of which it tried only the oldest. It is restarted after a pause."""
        slot = self._slots[name]
        tasks = list(slot.in_hand.values())
        self._forget(name)
        if time.monotonic() > self._pause_until_s:  # else it went with others: a node takes all its slots along
            self._lost_in_a_row += 1
            if self._lost_in_a_row > (_MAX_LOST_IN_A_ROW if self._has_worked else _MAX_FAILED_STARTS):
                raise RunError(f"slots died {self._lost_in_a_row} times in a row without finishing a unit: {reason}")
            pause_s = min(_FIRST_BACK_OFF_S * 2 ** (self._lost_in_a_row - 1), _LONGEST_BACK_OFF_S)
            self._pause_until_s = time.monotonic() + pause_s
        slot.restart_at_s = self._pause_until_s
        return [
            TaskOutcome(name, task, Failure("slot", reason, name, cause=cause, counts=counts and position == 0))
            for position, task in enumerate(tasks)
        ]

    def _forget(self, name: str) -> None:
        """Ends a slot's actor and everything that is expected of it."""
        slot = self._slots[name]
        if slot.actor is not None:
            ray.kill(slot.actor)
        slot.actor, slot.in_hand, slot.is_ready = None, {}, False
        self._owners = {ref: owner for ref, owner in self._owners.items() if owner != name}

    def _check_start_timeout(self) -> None:
        """Nodes may come late, but not never.

        Raises:
            RunError: There has been no slot for too long.
        """
        alone_s = time.monotonic() - self._alone_since_s
        if any(slot.is_ready for slot in self._slots.values()):
            self._alone_since_s, self._refused_since_s = time.monotonic(), float("inf")
            return
        demands = [self._demand(each) for each in sorted({slot.accelerator_type for slot in self._slots.values()})]
        wanted = " or ".join(map(slot_demand.as_text, demands))
        if alone_s > self._resources.start_timeout_s:
            total = slot_demand.as_text(ray.cluster_resources(), only=("CPU", "GPU"))
            raise RunError(
                f"no slot for {self._resources.start_timeout_s:g} s (resources.start_timeout_s): one needs {wanted}; "
                f"the cluster has {total} in all, and nothing added a node that has room"
            )
        if self._can_grow and alone_s > _ASKS_AFTER_S and all(map(autoscaler.refuses, demands)):
            self._refused_since_s = min(self._refused_since_s, time.monotonic())
        else:
            self._refused_since_s = float("inf")
        if time.monotonic() - self._refused_since_s > _REFUSED_FOR_S:
            raise RunError(
                f"a slot needs {wanted}, and the cluster's autoscaler has no node type with room for it; lower "
                "resources.num_cpus or num_gpus, or add a node type"
            )


@contextmanager
def ray_executor(work: UnitWork) -> Iterator[RayExecutor]:
    """An executor on the Ray that can be reached, or on a local one started for it."""
    with connected() as is_own:
        yield RayExecutor(work, can_grow=not is_own)
