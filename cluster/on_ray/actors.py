"""The slot as a Ray actor, and the device class that such actors get."""

from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import ray
from ray.exceptions import GetTimeoutError

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import UnitWork
from assay.cluster.workers.worker_slot import WorkerSlot
from assay.manifests.resources import Resources

_REPORTING = "reporting"  # the group, and thread, of the calls that wait for a unit to be published
_INTERRUPTING = "interrupting"


class RemoteSlot:
    """A slot that is called twice per unit, so that it can score one unit while it publishes another.

    Both kinds of calls are answered in order, each by one thread. Variants are not loaded in this process, which imports
    no torch, but in its workers.
    """

    def __init__(self, name: str, run_json: str, import_paths: Sequence[str], work: UnitWork) -> None:
        """Creates the slot, with the slot's arguments."""
        self._slot = WorkerSlot(name, run_json, import_paths, work)
        self._ends: SimpleQueue[Future[Published | Failure]] = SimpleQueue()

    def score(self, task: Task, upcoming: int | None) -> None:
        """Scores one unit; `outcome` says how the task ends."""
        end: Future[Published | Failure] = Future()
        try:
            end = self._slot.perform(task, upcoming)
        except BaseException as error:  # such as SystemExit: the driver must not wait for an outcome
            end.set_exception(error)
            raise
        finally:
            self._ends.put(end)

    @ray.method(concurrency_group=_REPORTING)
    def outcome(self) -> Published | Failure:
        """How the oldest task ends that this was not called for yet."""
        return self._ends.get().result()

    @ray.method(concurrency_group=_INTERRUPTING)
    def interrupt(self, reason: str) -> None:
        """Kills the present worker; its tasks fail for this reason."""
        self._slot.interrupt(reason)


_remote: Any = ray.remote  # Ray's types do not have `concurrency_groups`
SlotActor = _remote(max_restarts=0, concurrency_groups={_REPORTING: 1, _INTERRUPTING: 1})(RemoteSlot)
"""The class of the actors. They are never restarted by Ray: only the driver knows which units were in flight."""


def slot_device_class(resources: Resources, accelerator_type: str) -> str:
    """The device class that a slot works on; empty if no slot becomes ready within `start_timeout_s`.

    If the cluster has GPUs, a Ray task that is placed like a slot reports it, because a slot that reserves no GPU may
    still see one. On a cluster with several GPU models, the result is one of them.

    Args:
        resources: What a slot reserves.
        accelerator_type: The accelerator type that is requested for it; empty: any.
    """
    if not resources.num_gpus and not ray.cluster_resources().get("GPU", 0.0):
        return "cpu"
    options: dict[str, Any] = {"num_cpus": resources.num_cpus, "num_gpus": resources.num_gpus}
    options |= {"accelerator_type": accelerator_type} if accelerator_type else {}
    answer = ray.remote(**options)(_device_class).remote()
    try:
        return ray.get(answer, timeout=resources.start_timeout_s)
    except GetTimeoutError:
        ray.cancel(answer)
        return ""


def _device_class() -> str:
    """The device class in the process of a Ray task."""
    from assay.evaluator.predictors import device_class, pick_device

    return device_class(pick_device())
