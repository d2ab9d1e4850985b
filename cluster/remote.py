"""Slots as Ray actors: made, fed, and made again when their process dies."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.actors import SlotActor
from cluster.errors import RunError
from cluster.executor import Outcome
from cluster.schedule import Task
from cluster.session import connected
from cluster.slot import Failure
from manifests.ledger import Run

_MAX_LOST_IN_A_ROW = 5
_FIRST_BACK_OFF_S = 1.0
_LONGEST_BACK_OFF_S = 30.0


class RayExecutor:
    """One actor a slot. Needs a connected Ray."""

    depth = 2

    def __init__(self) -> None:
        self._actors: dict[str, Any] = {}  # actor handles: Ray types them only for classes that know Ray
        self._in_hand: dict[ray.ObjectRef, tuple[str, Task]] = {}
        self._arguments: tuple[str, list[str]] = ("", [])
        self._options: dict[str, float] = {}
        self._lost_in_a_row = 0

    def start(self, run: Run, *, num_slots: int, import_paths: tuple[str, ...]) -> tuple[str, ...]:
        """Makes as many slots as are wanted and the cluster has room for, at least one."""
        resources = run.experiment.resources
        total = ray.cluster_resources()
        room = num_slots
        for wanted, kind in ((resources.num_cpus, "CPU"), (resources.num_gpus, "GPU")):
            if wanted > 0:
                room = min(room, int(total.get(kind, 0.0) / wanted + 1e-9))
        if room < 1:
            raise RunError(
                f"a slot needs {resources.num_cpus:g} CPUs and {resources.num_gpus:g} GPUs, but the cluster has "
                f"{total.get('CPU', 0):g} and {total.get('GPU', 0):g}; lower resources.num_cpus or num_gpus"
            )
        self._arguments = (run.model_dump_json(), list(import_paths))
        self._options = {"num_cpus": resources.num_cpus, "num_gpus": resources.num_gpus}
        names = tuple(f"slot-{number}" for number in range(room))
        for name in names:
            self._make(name)
        return names

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Queues the task at the slot's actor."""
        self._in_hand[self._actors[slot].perform.remote(task, upcoming)] = (slot, task)

    def wait(self) -> list[Outcome]:
        """Takes every task that has ended; replaces actors that died."""
        ray.wait(list(self._in_hand), num_returns=1)
        ready, _ = ray.wait(list(self._in_hand), num_returns=len(self._in_hand), timeout=0)
        outcomes: list[Outcome] = []
        lost: set[str] = set()
        for ref in ready:
            slot, task = self._in_hand.pop(ref)
            try:
                outcomes.append(Outcome(slot, task, ray.get(ref)))
                self._lost_in_a_row = 0
            except RayError as error:
                lost.add(slot)
                outcomes.append(self._lost(slot, task, error))
        for slot in lost:
            outcomes += self._replace(slot)
        return outcomes

    def close(self) -> None:
        """Ends every actor; what they published stays."""
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors, self._in_hand = {}, {}

    def _make(self, slot: str) -> None:
        # Ray sets OMP_NUM_THREADS for its workers; slots set torch's threads themselves, from the suite.
        self._actors[slot] = SlotActor.options(**self._options).remote(slot, *self._arguments)

    def _replace(self, slot: str) -> list[Outcome]:
        """Makes a new actor for a dead one, and gives up what the dead one had in hand."""
        self._lost_in_a_row += 1
        if self._lost_in_a_row > _MAX_LOST_IN_A_ROW:
            raise RunError(f"{slot}: {self._lost_in_a_row} slots died one after the other without finishing a unit")
        time.sleep(min(_FIRST_BACK_OFF_S * 2 ** (self._lost_in_a_row - 1), _LONGEST_BACK_OFF_S))
        ray.kill(self._actors[slot])
        queued = [ref for ref, (owner, _) in self._in_hand.items() if owner == slot]
        outcomes = []
        for ref in queued:
            _, task = self._in_hand.pop(ref)
            outcomes.append(Outcome(slot, task, Failure("slot", "the slot died before it began", slot)))
        self._make(slot)
        return outcomes

    def _lost(self, slot: str, task: Task, error: RayError) -> Outcome:
        words = str(error).strip().splitlines() or [""]
        return Outcome(slot, task, Failure("slot", f"{type(error).__name__}: {words[0]}", slot))


@contextmanager
def ray_executor() -> Iterator[RayExecutor]:
    """An executor on the Ray that can be reached, or on a local one started for it."""
    with connected():
        yield RayExecutor()
