"""A slot: has one variant loaded at a time and works on one unit after another. Knows nothing of Ray."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Literal, TypeVar

from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published, one_line
from assay.cluster.drive.unit_work import UnitWork
from assay.evaluator.errors import DamageError, StoreError, VariantError
from assay.evaluator.ledger.opening import open_ledger
from assay.evaluator.ledger.reader import read_run
from assay.evaluator.predictors import InputWrittenError, PredictionError
from assay.evaluator.process_state.watch import ProcessWatch
from assay.manifests.plain_text import text_of, trace_text
from assay.manifests.run import Run

Step = TypeVar("Step")


class Slot:
    """One share of a machine, with at most one variant loaded. It publishes a unit while it scores the next one.

    Attributes:
        scorer: Loads arms and scores units.
    """

    def __init__(
        self,
        name: str,
        run_json: str,
        import_paths: Sequence[str],
        work: UnitWork,
        watch: ProcessWatch | None = None,
    ) -> None:
        """Takes everything by value, so that a slot can be restarted on any host.

        Args:
            name: The slot's name in the ledger.
            run_json: The opened run, as JSON.
            import_paths: Folders that entrypoints may be imported from, in addition to the installed packages.
            work: What it does with each unit.
            watch: Finds what arms change in this process, if several share it; None: each has a process of its own.
        """
        self._name, self._work, self._pid = name, work, os.getpid()
        self.scorer = ArmScorer(Run.model_validate_json(run_json), import_paths, watch=watch)
        self._suite = self.scorer.run.experiment.suite
        self._ledger = open_ledger(self.scorer.run.experiment.ledger, patient=True)
        self._lost_arms: dict[str, Failure] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish", initializer=self._note_clock)
        self._thread_clock: int | None = None
        self._published: Future[Published | Failure] = Future()
        self._published.set_result(Failure("unit", "there was no unit before", name))
        self.scorer.cpu_clock = self._cpu_s

    def perform(self, task: Task, upcoming: int | None) -> Future[Published | Failure]:
        """Scores one unit in this thread and publishes it in another, once the unit before it is published.

        Args:
            task: The task.
            upcoming: The index of the unit that this slot will probably get next: its shards are prefetched.

        Returns:
            How the task ends. Failures are returned, not raised, so that they cross process boundaries intact.
        """
        self.scorer.prefetch(index for index in (task.unit, upcoming) if index is not None)
        try:
            publish = self._lost_arms.get(task.arm) or self._attempted(partial(self._scored, task), task.arm)
        finally:
            if os.getpid() != self._pid:  # a child that user code has forked came back instead of ending itself
                os._exit(1)
        if isinstance(publish, Failure) and publish.scope == "arm":
            self._lost_arms[task.arm] = publish  # the driver may have sent another of its units already
        wait([self._published])
        self._published = self._thread.submit(
            partial(self._attempted, publish, task.arm) if callable(publish) else lambda: publish
        )
        return self._published

    def _scored(self, task: Task) -> Callable[[], Published] | Failure:
        """Scores the unit and returns what publishes it."""
        scorer, work = self.scorer, self._work
        if task.arm != scorer.arm:
            wait([self._published])  # it may give times back to the arm that is loaded
            try:
                scorer.load(task.arm, checks_weights=work.checks_weights)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001  # a variant's code may raise anything
                return self._failure("arm", f"the variant cannot be loaded: {one_line(error)}", error, arm=task.arm)
        sensitivity = scorer.probe(times_control=work.times_control)
        unit, is_sensitive = scorer.units[task.unit], sensitivity.exceeds(self._suite.batch_sensitivity_tolerance)
        if is_sensitive and self._suite.on_batch_sensitivity == "fail":
            return self._failure(
                "arm", f"its scores depend on the batch size: {sensitivity.description(self._suite)}", arm=task.arm
            )
        if is_sensitive and self._suite.on_batch_sensitivity == "batch_size_1":
            unit = replace(unit, batch_size=1)
        return work.perform(task, unit, scorer=scorer, sensitivity=sensitivity, ledger=self._ledger, slot=self._name)

    def _attempted(self, step: Callable[[], Step], arm: str) -> Step | Failure:
        """What a step returns, or the failure that its error means."""
        try:
            return step()
        except (DamageError, StoreError) as error:
            return self._failure("run", text_of(error), arm=arm)
        except PredictionError as error:
            # An exception of the variant's code may be transient (a busy device); output of the wrong form is not.
            is_transient = error.__cause__ is not None and not isinstance(error, InputWrittenError)
            return self._failure("unit" if is_transient else "arm", text_of(error), error.__cause__, arm=arm)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # a variant's code may raise anything
            return self._failure("unit", one_line(error), error, arm=arm)

    def check(self, unit: int) -> None:
        """Reads what scoring a unit needs, without a variant.

        Raises:
            DamageError, StoreError: The rows or the ledger cannot be read.
        """
        self.scorer.read(self.scorer.units[unit])
        read_run(self._ledger, self.scorer.run.run_id)

    def close(self) -> None:
        """Waits for the last unit to be published, and releases files and locks that the slot holds."""
        self._thread.shutdown()
        self.scorer.close()

    def _note_clock(self) -> None:
        self._thread_clock = time.pthread_getcpuclockid(threading.get_ident())

    def _cpu_s(self) -> float:
        """CPU seconds of this process, without those of publishing: a unit has them of its own."""
        return time.process_time() - (0.0 if self._thread_clock is None else time.clock_gettime(self._thread_clock))

    def _failure(
        self, scope: Literal["unit", "arm", "run"], reason: str, error: BaseException | None = None, *, arm: str
    ) -> Failure:
        altered_by = self.scorer.altered_by(arm)
        if altered_by:
            reason = f"{reason}; it ran after {altered_by}"
        is_ours = isinstance(error, VariantError)
        trace = "" if error is None or is_ours else trace_text(error)
        host = self.scorer.environment.circumstance["host"]
        return Failure(scope, reason, f"{self._name} on {host}", trace)
