"""Runs slots as Ray actors: requests them, submits tasks to them, and restarts them when their process dies."""

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

# Slots on an unreachable node are lost again and again until Ray notices, which takes 15 seconds or more; the
# back-off pauses of this many losses in a row add up to about two minutes.
_MAX_LOST_IN_A_ROW = 8
_ASKS_AFTER_S = 5.0
_REFUSED_FOR_S = 15.0  # an autoscaler that is just starting may refuse before it knows its node types
_MAX_FAILED_STARTS = 3  # before any slot has finished a unit, so that a hopeless run fails soon
_FIRST_BACK_OFF_S = 1.0
_ANSWERS_WITHIN_S = 20.0  # an actor whose worker is interrupted: killing it takes milliseconds
_LONGEST_BACK_OFF_S = 30.0


@dataclass(frozen=True)
class _Submitted:
    """A submitted, unfinished task.

    Attributes:
        task: The task.
        scored: Is resolved once the slot has scored the unit; it may not be published yet.
    """

    task: Task
    scored: ray.ObjectRef

    @property
    def has_been_scored(self) -> bool:
        """Whether the slot has scored the unit."""
        try:
            ray.get(self.scored, timeout=0)
        except (RayError, TimeoutError):
            return False
        return True


@dataclass
class _ActorSlot:
    """One slot and its current actor.

    Attributes:
        accelerator_type: The accelerator type that was requested for it; empty: any.
        actor: The actor; None while the slot waits to be restarted.
        is_ready: Whether the actor is running; False while it waits for a place in the cluster.
        in_flight: Its submitted, unfinished tasks, the oldest first.
        restart_at_s: When to restart it (monotonic clock).
        interrupted_at_s: When its worker was interrupted, if its task has not ended since.
    """

    accelerator_type: str
    actor: Any = None  # Ray has types for actor handles only if the class itself is a Ray class
    is_ready: bool = False
    in_flight: dict[ray.ObjectRef, _Submitted] = field(default_factory=dict)
    restart_at_s: float = 0.0
    interrupted_at_s: float | None = None


class RayExecutor:
    """Runs one actor per slot. Needs a connected Ray."""

    depth = 2

    def __init__(self, work: UnitWork, *, can_grow: bool) -> None:
        """Starts no slot yet.

        Args:
            work: What slots do with each unit.
            can_grow: Whether nodes may join the cluster. Ray does not say whether there is an autoscaler.
        """
        self._work, self._can_grow = work, can_grow
        self._slots: dict[str, _ActorSlot] = {}
        self._owners: dict[ray.ObjectRef, str] = {}  # the slot of each pending task and ready check
        self._numbers = itertools.count()
        self._resources = Resources()
        self._run_json, self._import_paths = "", list[str]()
        self._lost_in_a_row = 0
        self._pause_until_s = 0.0
        self._has_worked = False
        self._alone_since_s = 0.0
        self._refused_since_s = float("inf")

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Stores the arguments of actors, by value, so that they can be restarted on any node."""
        self._resources = run.experiment.resources
        self._run_json, self._import_paths = run.model_dump_json(), list(import_paths)
        self._alone_since_s = time.monotonic()

    def accelerator_type_of(self, arm: Arm) -> str:
        """The arm's accelerator type; empty: any."""
        return arm.accelerator_type or ""

    def want(self, accelerator_type: str, num_slots: int) -> None:
        """Starts actors: as many as fit into the cluster or, if it can grow and `max_slots` is set, up to `max_slots`.

        Actors that wait for a place are the demand to which Ray's autoscaler responds.
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
            self._start_actor(name)

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Submits the task to the slot's actor."""
        actor = self._slots[slot].actor
        scored, ref = actor.score.remote(task, upcoming), actor.outcome.remote()
        self._slots[slot].in_flight[ref] = _Submitted(task, scored)
        self._owners[ref] = slot

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:
        """Returns all available outcomes; restarts lost slots whose back-off pause is over."""
        for name, slot in self._slots.items():
            if slot.actor is None and slot.restart_at_s <= time.monotonic():
                self._start_actor(name)
        finished: list[ray.ObjectRef] = []
        if self._owners:
            ray.wait(list(self._owners), num_returns=1, timeout=timeout_s)
            finished, _ = ray.wait(list(self._owners), num_returns=len(self._owners), timeout=0)
        else:  # every slot is waiting for its restart
            time.sleep(timeout_s)
        outcomes: list[Ready | TaskOutcome] = []
        for ref in finished:
            if ref in self._owners:  # not if an earlier reference in this loop showed that its slot was lost
                outcomes += self._outcomes_of(ref)
        self._check_start_timeout()
        return outcomes

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:
        """Kills the slot's worker, and its actor as well if that does not answer either."""
        asked = self._slots[slot]
        if asked.interrupted_at_s is None:
            asked.interrupted_at_s = time.monotonic()
        if time.monotonic() - asked.interrupted_at_s > _ANSWERS_WITHIN_S:
            return self._lost(slot, reason, "hung")
        asked.actor.interrupt.remote(reason)
        return []

    def give_back(self, slot: str) -> None:
        """Ends the actor: Ray frees its resources, and an autoscaler may remove its node."""
        self._forget(slot)
        del self._slots[slot]

    def close(self) -> list[TaskOutcome]:
        """Ends every actor at once; published units stay."""
        for name in list(self._slots):
            self.give_back(name)
        return []

    def _demand(self, accelerator_type: str) -> dict[str, float]:
        return slot_demand.slot_demand(self._resources, accelerator_type)

    def _start_actor(self, name: str) -> None:
        # Ray sets OMP_NUM_THREADS for its workers; slots set torch's number of threads themselves, from the suite.
        slot = self._slots[name]
        options = {"num_cpus": self._resources.num_cpus, "num_gpus": self._resources.num_gpus}
        accelerator = {"accelerator_type": slot.accelerator_type} if slot.accelerator_type else {}
        slot.actor = SlotActor.options(**options, **accelerator).remote(
            name, self._run_json, self._import_paths, self._work
        )
        self._owners[slot.actor.__ray_ready__.remote()] = name

    def _outcomes_of(self, ref: ray.ObjectRef) -> Sequence[Ready | TaskOutcome]:
        name = self._owners[ref]
        slot = self._slots[name]
        try:
            result = ray.get(ref)
        except RayError as error:
            cause = "out_of_memory" if isinstance(error, OutOfMemoryError) else "slot_lost"
            return self._lost(name, lost_actor.reason_of(error), cause, counts=not lost_actor.is_of_the_node(error))
        del self._owners[ref]
        ended = slot.in_flight.pop(ref, None)
        if ended is None:
            slot.is_ready = True
            return [Ready(name, slot.accelerator_type)]
        slot.interrupted_at_s = None
        self._lost_in_a_row, self._has_worked = 0, True
        return [TaskOutcome(name, ended.task, result)]

    def _lost(
        self, name: str, reason: str, cause: Literal["slot_lost", "out_of_memory", "hung"], *, counts: bool = True
    ) -> list[TaskOutcome]:
        """Fails a lost slot's tasks in flight; restarts it after a pause.

        Of these tasks, it was scoring the first one that it had not scored yet, and had not started those after it.
        """
        slot = self._slots[name]
        tasks = [each.task for each in slot.in_flight.values()]
        at_work_on = next((n for n, each in enumerate(slot.in_flight.values()) if not each.has_been_scored), 0)
        self._forget(name)
        if (
            time.monotonic() > self._pause_until_s
        ):  # otherwise it counts with the loss before: a node takes all its slots
            self._lost_in_a_row += 1
            if self._lost_in_a_row > (_MAX_LOST_IN_A_ROW if self._has_worked else _MAX_FAILED_STARTS):
                raise RunError(
                    f"slots died {self._lost_in_a_row} times in a row without finishing a unit; the last time: {reason}"
                )
            pause_s = min(_FIRST_BACK_OFF_S * 2 ** (self._lost_in_a_row - 1), _LONGEST_BACK_OFF_S)
            self._pause_until_s = time.monotonic() + pause_s
        slot.restart_at_s = self._pause_until_s
        return [
            TaskOutcome(
                name, task, Failure("slot", reason, name, cause=cause, counts=counts and position == at_work_on)
            )
            for position, task in enumerate(tasks)
        ]

    def _forget(self, name: str) -> None:
        """Kills a slot's actor and forgets its tasks."""
        slot = self._slots[name]
        if slot.actor is not None:
            ray.kill(slot.actor)
        slot.actor, slot.in_flight, slot.is_ready, slot.interrupted_at_s = None, {}, False, None
        self._owners = {ref: owner for ref, owner in self._owners.items() if owner != name}

    def _check_start_timeout(self) -> None:
        """Checks that slots become ready in time, since an autoscaler may add nodes late or never.

        Raises:
            RunError: No slot has been ready for `start_timeout_s`, or the autoscaler refuses to add a node for one.
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
                f"no slot became ready within {self._resources.start_timeout_s:g} s (resources.start_timeout_s): a slot "
                f"needs {wanted}; the cluster has {total} in total, and no node with enough free was added"
            )
        if self._can_grow and alone_s > _ASKS_AFTER_S and all(map(autoscaler.refuses, demands)):
            self._refused_since_s = min(self._refused_since_s, time.monotonic())
        else:
            self._refused_since_s = float("inf")
        if time.monotonic() - self._refused_since_s > _REFUSED_FOR_S:
            raise RunError(
                f"a slot needs {wanted}, and the cluster's autoscaler has no node type large enough for it; lower "
                "resources.num_cpus or num_gpus, or add a node type"
            )


@contextmanager
def ray_executor(work: UnitWork) -> Iterator[RayExecutor]:
    """An executor on the cluster of `RAY_ADDRESS`, or on a local Ray that is started for it."""
    with connected() as is_own:
        yield RayExecutor(work, can_grow=not is_own)
