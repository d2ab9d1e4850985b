"""A slot whose variants have a process each: it keeps a zygote, and at most one worker beside a timed control's."""

import os
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import Future

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import UnitWork
from assay.cluster.errors import RunError
from assay.cluster.workers.spawner import Spawner
from assay.cluster.workers.worker_handle import WorkerHandle, WorkerSetup
from assay.cluster.workers.worker_process import WorkerSource
from assay.cluster.workers.zygote_handle import ZygoteHandle
from assay.manifests.run import Run


class WorkerSlot:
    """One share of a machine. What a variant does in its worker ends with that: the next arm gets a fresh one."""

    def __init__(
        self, name: str, run_json: str, import_paths: Sequence[str], work: UnitWork, *, devices: str | None = None
    ) -> None:
        """Starts the zygote, which takes some seconds.

        Args:
            name: The slot's name in the ledger.
            run_json: The opened run, as JSON.
            import_paths: Folders that entrypoints may be imported from, in addition to the installed packages.
            work: What it does with each unit.
            devices: The slot's GPUs, as `CUDA_VISIBLE_DEVICES`; None: those of this process.

        Raises:
            RunError: The zygote could not start.
        """
        experiment = Run.model_validate_json(run_json).experiment
        where = f"{name} on {platform.node()}"
        variants = {arm.name: arm.variant for arm in experiment.arms}
        self._setup = WorkerSetup(name, run_json, import_paths, work, experiment.suite.plan.control, variants, where)
        self._resources, self._devices = experiment.resources, devices
        self._source = self._new_source()
        self._worker: WorkerHandle | None = None
        self._is_over = False

    def perform(self, task: Task, upcoming: int | None) -> Future[Published | Failure]:
        """Has a unit scored, and waits for that; it is published while the next one is scored.

        Args:
            task: The task.
            upcoming: The index of the unit that this slot will probably get next: its shards are prefetched.

        Returns:
            How the task ends. Failures are returned, not raised.

        Raises:
            RunError: The slot was killed, or the zygote has ended and no other could start.
        """
        if self._is_over:
            raise RunError("the slot was ended")
        worker = self._worker
        if worker is None or worker.is_over or worker.arm != task.arm:
            self._end_worker()
            if not self._source.is_alive:
                self._source.close()
                self._source = self._new_source()
            self._worker = worker = WorkerHandle(self._source, self._setup, task.arm)
        return worker.perform(task, upcoming)

    def interrupt(self, reason: str) -> None:
        """Kills the present worker from another thread; its tasks fail for this reason.

        Not if it has not worked for as long as a unit may take: what the slot has spent on ending the worker before, or
        on another zygote because that worker has killed it, is not its fault. The driver will ask again.
        """
        worker = self._worker
        if worker is not None and worker.has_worked_s() >= (self._resources.unit_timeout_s or 0.0):
            worker.interrupt(reason)

    def close(self) -> None:
        """Waits for the last unit to be published, and ends every process of the slot."""
        self._end_worker()
        self._source.close()

    def kill(self) -> None:
        """Ends every process of the slot at once, from another thread. Tasks that are left fail, and `close` is due."""
        self._is_over = True
        self._source.close()

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _new_source(self) -> WorkerSource:
        if sys.platform != "linux":
            return Spawner(self._setup.import_paths, devices=self._devices)
        resources = self._resources
        share = min(1.0, resources.num_cpus / (os.cpu_count() or 1)) or 1.0
        return ZygoteHandle(
            self._setup.import_paths, memory_bytes=resources.memory_bytes, share=share, devices=self._devices
        )
