"""Runs slots on this machine, without Ray: each is a thread that keeps a zygote and its workers."""

import itertools
import os
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from assay.cluster.drive.executor import Ready, TaskOutcome
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import UnitWork
from assay.cluster.errors import RunError
from assay.cluster.workers.worker_slot import WorkerSlot
from assay.manifests import Arm, Resources
from assay.manifests.run import Run

_LOOKS_EVERY_S = 0.05


@dataclass
class _Slot:
    """A slot and its thread.

    Attributes:
        place: Its place among the slots that fit on this machine.
        tasks: Its tasks with the units that it will probably get after them; None ends the thread.
        slot: The slot, once it is ready.
        thread: The thread, which starts the slot, works and ends the slot.
    """

    place: int
    tasks: queue.SimpleQueue[tuple[Task, int | None] | None] = field(default_factory=queue.SimpleQueue)
    slot: WorkerSlot | None = None
    thread: threading.Thread | None = None


class LocalExecutor:
    """As many slots as fit on this machine."""

    depth = 2

    def __init__(self, work: UnitWork) -> None:
        """Starts no slot yet.

        Args:
            work: What slots do with each unit.
        """
        self._work = work
        self._slots: dict[str, _Slot] = {}
        self._given_back: list[_Slot] = []
        self._numbers = itertools.count()
        self._updates: queue.SimpleQueue[Ready | TaskOutcome | BaseException] = queue.SimpleQueue()
        self._is_closing = threading.Event()
        self._run_json, self._import_paths, self._resources = "", tuple[str, ...](), Resources()

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Takes the run that slots will work on."""
        self._resources = run.experiment.resources
        self._run_json, self._import_paths = run.model_dump_json(), import_paths

    def accelerator_type_of(self, arm: Arm) -> str:  # noqa: ARG002
        """Always empty: there is one machine, whatever the arm requests."""
        return ""

    def want(self, accelerator_type: str, num_slots: int) -> None:  # noqa: ARG002
        """Starts slots, up to as many as fit on this machine.

        Raises:
            RunError: Not even one fits.
        """
        most = num_local_slots(self._resources)
        free = [place for place in range(most) if place not in {slot.place for slot in self._slots.values()}]
        for place in free[: max(0, min(num_slots, most) - len(self._slots))]:
            name, slot = f"slot-{next(self._numbers)}", _Slot(place)
            slot.thread = threading.Thread(target=self._serve, args=(name, slot), name=name, daemon=True)
            self._slots[name] = slot
            slot.thread.start()

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:
        """Queues the task."""
        self._slots[slot].tasks.put((task, upcoming))

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:
        """Waits for the next updates of slots.

        Raises:
            RunError: A slot could not start.
        """
        updates: list[Ready | TaskOutcome] = []
        try:
            update = self._updates.get(timeout=timeout_s)
            while True:
                if isinstance(update, BaseException):
                    raise update
                updates.append(update)
                update = self._updates.get_nowait()
        except queue.Empty:
            return updates

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:
        """Kills the slot's worker; its tasks fail a moment later."""
        running = self._slots[slot].slot
        if running is not None:
            running.interrupt(reason)
        return []

    def give_back(self, slot: str) -> None:
        """Ends the slot, in its own thread."""
        ended = self._slots.pop(slot)
        ended.tasks.put(None)
        self._given_back.append(ended)

    def close(self) -> list[TaskOutcome]:
        """Ends every slot at once; published units stay. Returns what was published since the last `wait`."""
        self._is_closing.set()
        slots = [*self._slots.values(), *self._given_back]
        for slot in slots:
            slot.tasks.put(None)
        for slot in slots:
            assert slot.thread is not None
            while slot.thread.is_alive():
                if slot.slot is not None:
                    slot.slot.kill()
                slot.thread.join(_LOOKS_EVERY_S)
        self._slots, self._given_back = {}, []
        self._is_closing.clear()
        updates = [self._updates.get_nowait() for _ in range(self._updates.qsize())]
        outcomes = [update for update in updates if isinstance(update, TaskOutcome)]
        return [each for each in outcomes if isinstance(each.result, Published)]

    def _serve(self, name: str, slot: _Slot) -> None:
        """The thread of a slot."""
        try:
            devices = _devices(self._resources, slot.place)
            slot.slot = WorkerSlot(name, self._run_json, self._import_paths, self._work, devices=devices)
            self._updates.put(Ready(name, ""))
            try:
                while (item := slot.tasks.get()) is not None and not self._is_closing.is_set():
                    task, upcoming = item
                    end = slot.slot.perform(task, upcoming)
                    end.add_done_callback(partial(self._ended, name, task))
            finally:
                slot.slot.close()
        except BaseException as error:  # noqa: BLE001  # for the thread of the driver
            self._updates.put(error)

    def _ended(self, name: str, task: Task, end: Future[Published | Failure]) -> None:
        self._updates.put(TaskOutcome(name, task, end.result()))


def num_local_slots(resources: Resources) -> int:
    """How many slots fit on this machine.

    Raises:
        RunError: Not even one.
    """
    most = [resources.max_slots] if resources.max_slots is not None else []
    has = {"CPU": float(os.cpu_count() or 1), "GPU": float(len(_visible_gpus()) if resources.num_gpus else 0)}
    for name, needed in (("CPU", resources.num_cpus), ("GPU", resources.num_gpus)):
        if needed > has[name]:
            raise RunError(
                f"a slot needs {needed:g} {name}, but this machine has {has[name]:g}; lower resources.num_cpus or num_gpus"
            )
        most += [int(has[name] / needed)] if needed else []
    return min(most, default=1)


def _devices(resources: Resources, place: int) -> str | None:
    """The GPUs of a slot, as `CUDA_VISIBLE_DEVICES`; None: all that this process sees.

    Args:
        resources: What each slot reserves.
        place: The slot's place among those that fit on this machine.
    """
    if not resources.num_gpus:
        return None
    first = int(place * resources.num_gpus)
    return ",".join(_visible_gpus()[first : first + max(1, int(resources.num_gpus))])


def _visible_gpus() -> list[str]:
    """The ids of the GPUs that this process may use."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()  # by NVML, so it does not start CUDA here
    return [str(number) for number in range(count)] if visible is None else visible.split(",")[:count]
