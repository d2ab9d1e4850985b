"""The driver's loop: takes tasks from the schedule, submits them to an executor, collects receipts.

It never holds rows of the dataset, and it does not know Ray.
"""

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from assay.cluster.cost.account import SlotAccount
from assay.cluster.cost.budget import BudgetCheck
from assay.cluster.drive.deadlines import Deadlines
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.drive.executor import Executor, Ready, TaskOutcome
from assay.cluster.drive.progress import ProgressReporter, SlotCounts
from assay.cluster.drive.schedule import Schedule, Task
from assay.cluster.drive.stopping import StopRequest
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_check import UnitCheck
from assay.cluster.drive.waves import Waves
from assay.cluster.errors import RunError
from assay.evaluator.ledger.receipt import Sharing, UnitReceipt
from assay.manifests.run import Run

_TICK_S = 1.0


@dataclass
class _ReadySlot:
    """A slot that is ready.

    Attributes:
        accelerator_type: The accelerator type that was requested for it; empty: any.
        tasks: Its tasks in flight, the oldest first; it works on that one.
        since_s: When it started the oldest task (monotonic clock).
        lags: Whether it is a straggler: other slots may copy its tasks.
        last_arm: The arm of its last published unit, which it has loaded.
    """

    accelerator_type: str
    tasks: deque[Task] = field(default_factory=deque)
    since_s: float = 0.0
    lags: bool = False
    last_arm: str = ""


class Driver:
    """Has every unit of every arm published, or marks the arm as failed or eliminated, until it is asked to stop."""

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        reporter: ProgressReporter,
        order: Sequence[str] = (),
        budget: BudgetCheck | None = None,
        stop: StopRequest | None = None,
        check: UnitCheck | None = None,
    ) -> None:
        """Sets up the schedule; no work is added until `drive`.

        Args:
            run: The opened run.
            executor: Runs the slots.
            reporter: Is notified of every published unit and every failed or eliminated arm; knows whether the
                submission was cancelled.
            order: The order in which arms are started; the control always comes first. Empty: the experiment's order.
            budget: What the run may spend; None: no limit.
            stop: Its reason is set once the run should stop.
            check: Verifies published units; None: they are not verified here.
        """
        experiment = run.experiment
        self._run, self._executor, self._reporter = run, executor, reporter
        self._budget, self._stop, self._check = budget or BudgetCheck(), stop or StopRequest(), check
        self._outcome = DriveOutcome({arm.name: {} for arm in experiment.arms})
        self._warned: set[str] = set()
        self._share = Sharing()
        self._control = experiment.suite.plan.control
        # The control first: without it, a stopped run has nothing to compare with.
        place = {arm: index for index, arm in enumerate(order)}
        arms = sorted(experiment.arms, key=lambda arm: (arm.name != self._control, place.get(arm.name, len(place))))
        self._arms = [arm.name for arm in arms]
        self._schedule = Schedule(
            self._arms,
            replicas=experiment.resources.replicas,
            max_attempts=experiment.resources.max_attempts,
            accelerator_types={arm.name: executor.accelerator_type_of(arm) for arm in arms},
        )
        self._slots: dict[str, _ReadySlot] = {}
        self._account = SlotAccount(experiment.resources, experiment.prices)
        self._deadlines = Deadlines(experiment.resources.unit_timeout_s)
        self._copied: set[tuple[str, int]] = set()
        self._num_retries = 0
        self._checked_at_s = 0.0
        self._import_paths: tuple[str, ...] = ()
        self._has_started = False

    def drive(
        self,
        waves: Waves,
        *,
        published: Sequence[UnitReceipt],
        import_paths: tuple[str, ...],
        arms: Collection[str] | None = None,
    ) -> DriveOutcome:
        """Runs wave after wave until no arm is left or the run is stopped.

        Args:
            waves: The units to score before arms are compared: all of them at once, or those of a race's waves.
            published: Receipts of units that are in the ledger already; they are not scored again.
            import_paths: Folders that entrypoints may be imported from.
            arms: The arms to score; None: all arms of the run.

        Raises:
            RunError: The dataset or the ledger is damaged or unreachable; published units stay.
        """
        outcome, schedule = self._outcome, self._schedule
        self._import_paths = import_paths
        for receipt in published:
            outcome.receipts[receipt.arm][receipt.unit] = receipt
        num_own = sum(not receipt.is_reused for receipt in published)
        if num_own:
            outcome.note("resumed", f"{num_own} units found in the ledger")
        with self._slots_until_the_end():
            for units in waves:
                left = [arm for arm in self._left() if arms is None or arm in arms]
                pending = {arm: [unit for unit in units if unit not in outcome.receipts[arm]] for arm in left}
                self._score(pending, is_last=waves.is_last)
                if not waves.is_last:  # the interim look decides about arms, so it rests on verified rows only
                    looked_at = [
                        of_arm[unit] for of_arm in outcome.receipts.values() for unit in units if unit in of_arm
                    ]
                    self._score_damaged([each for each in looked_at if each.sha256 is None], is_last=False)
                if outcome.stopped or self._control in schedule.failed:
                    break
                self._drop_eliminated(waves, [arm for arm in left if arm not in schedule.failed])
        return outcome

    def score_damaged_units(self) -> DriveOutcome:
        """Verifies every unit of the arms that are left, and scores those again that are damaged.

        For a commit that has found a damaged unit after `drive` has ended all slots: they are started again if needed. A
        run that was stopped scores nothing; its damaged units are missing from then on.

        Raises:
            RunError: As of `drive`, or a unit was damaged again after it had been scored again.
        """
        with self._slots_until_the_end():
            published = [receipt for arm in self._left() for receipt in self._outcome.receipts[arm].values()]
            self._score_damaged(published, is_last=True)
        return self._outcome

    def _drop_eliminated(self, waves: Waves, arms: Sequence[str]) -> None:
        for arm, reason in waves.eliminated(self._outcome.receipts, arms).items():
            self._outcome.eliminated[arm] = reason
            self._outcome.note("arm_eliminated", reason, arm=arm)
            self._reporter.arm_eliminated(arm, reason)

    def _left(self) -> list[str]:
        """The arms that have neither failed nor been eliminated."""
        left_out = {*self._schedule.failed, *self._outcome.eliminated}
        return [arm for arm in self._arms if arm not in left_out]

    def _score(self, pending: Mapping[str, Sequence[int]], *, is_last: bool) -> None:
        """Has these units published, unless their arm fails or the run is stopped."""
        self._schedule.add(pending)
        if not self._schedule.finished:
            if not self._has_started:
                self._executor.start(self._run, import_paths=self._import_paths)
                self._has_started = True
            self._work(is_last=is_last)
        self._outcome.failed = self._schedule.failed

    def _score_damaged(self, published: Sequence[UnitReceipt], *, is_last: bool) -> None:
        """Verifies published units; has those that are damaged set aside and scored again."""
        if self._check is None:
            return
        checked = self._check.checked(published)
        for receipt in checked.intact:
            self._outcome.receipts[receipt.arm][receipt.unit] = self._share(receipt)
        pending: dict[str, list[int]] = {}
        for receipt, message in checked.set_aside:
            del self._outcome.receipts[receipt.arm][receipt.unit]
            self._outcome.note("set_aside", message, arm=receipt.arm, unit=receipt.unit)
            self._reporter.take_back(receipt)
            if receipt.arm in self._left():
                pending.setdefault(receipt.arm, []).append(receipt.unit)
        if pending and not self._outcome.stopped:
            self._score(pending, is_last=is_last)

    @contextmanager
    def _slots_until_the_end(self) -> Iterator[None]:
        """Ends every slot when the block ends or raises."""
        try:
            yield
        finally:
            for update in self._executor.close():
                self._take(update)
            for name in list(self._slots):
                self._lose(name)
            self._has_started = False
            self._update_counts()
            self._warn()
            self._reporter.publish()

    def _work(self, *, is_last: bool) -> None:
        """Runs until no task is left, or until the control fails (nothing can be compared without it)."""
        self._request_slots()
        # Slots are kept between waves, unless slots of another accelerator type may be waiting for their resources.
        gives_back = is_last or self._schedule.num_accelerator_types > 1
        while not self._schedule.finished and self._control not in self._schedule.failed:
            self._fill_slots(gives_back=gives_back)
            for update in self._executor.wait(_TICK_S):
                self._take(update)
            if time.monotonic() - self._checked_at_s >= _TICK_S:
                self._checked_at_s = time.monotonic()
                self._request_slots()
                self._check_deadlines()
                self._outcome.stopped = self._reason_to_stop()
                if self._outcome.stopped:
                    self._outcome.note("stopped", self._outcome.stopped)
                    return

    def _request_slots(self) -> None:
        """Requests, per accelerator type, as many slots as have work now or could have."""
        for accelerator_type, num_openings in self._schedule.num_openings().items():
            slots = [slot for slot in self._slots.values() if slot.accelerator_type == accelerator_type]
            self._executor.want(accelerator_type, sum(bool(slot.tasks) for slot in slots) + num_openings)

    def _fill_slots(self, *, gives_back: bool) -> None:
        """Gives every slot one task before any slot gets a second, so that no slot idles near the end."""
        for level in range(self._executor.depth):
            for name in [name for name, slot in self._slots.items() if len(slot.tasks) == level]:
                slot = self._slots[name]
                task = self._schedule.next_task(name, slot.accelerator_type)
                if task is None and level == 0:
                    task = self._straggler(slot.accelerator_type)
                if task is not None:
                    self._submit(name, task)
                elif level == 0 and gives_back:
                    self._executor.give_back(name)
                    self._lose(name)

    def _submit(self, name: str, task: Task) -> None:
        slot = self._slots[name]
        if not slot.tasks:
            slot.since_s = time.monotonic()
        slot.tasks.append(task)
        self._executor.submit(name, task, self._schedule.upcoming(name, slot.accelerator_type))

    def _take(self, update: Ready | TaskOutcome) -> None:
        if isinstance(update, Ready):
            self._slots[update.slot] = _ReadySlot(update.accelerator_type)
            self._account.slot_ready(update.slot, update.accelerator_type)
            return
        slot = self._slots.get(update.slot)
        if slot is not None:
            slot.tasks.remove(update.task)
            seconds, slot.since_s, slot.lags = time.monotonic() - slot.since_s, time.monotonic(), False
            if not isinstance(update.result, Failure):
                self._deadlines.record(update.task.arm, seconds)
                slot.last_arm = update.task.arm
        if isinstance(update.result, Failure):
            self._take_failure(update.slot, update.task, update.result)
        else:
            self._take_published(update.slot, update.task, update.result)

    def _take_published(self, slot: str, task: Task, published: Published) -> None:
        self._schedule.succeeded(task)
        if published.set_aside:
            self._outcome.note("set_aside", published.set_aside, arm=task.arm, unit=task.unit)
        if not published.is_ours:
            message = f"{slot} finished second: the unit had been published already"
            self._outcome.note("published_elsewhere", message, arm=task.arm, unit=task.unit)
        if published.digest != published.receipt.scores_digest:
            self._outcome.note(
                "nondeterminism",
                f"scored again on {slot}, the unit has the digest {published.digest}; the stored scores have "
                f"{published.receipt.scores_digest}",
                arm=task.arm,
                unit=task.unit,
            )
        if task.unit in self._outcome.receipts[task.arm]:
            return  # a straggler that finished after its copy
        self._outcome.receipts[task.arm][task.unit] = self._share(published.receipt)
        self._outcome.num_evaluated += 1
        self._reporter.add_published_unit(published.receipt)

    def _take_failure(self, slot: str, task: Task, failure: Failure) -> None:
        message = str(failure)
        if failure.scope == "run":
            raise RunError(f"arm '{task.arm}', unit {task.unit}: {message}")
        if failure.scope == "worker" and failure.counts:
            self._outcome.note(failure.cause, failure.reason, arm=task.arm, unit=task.unit)
        if failure.scope == "slot":
            if slot in self._slots:  # the first of the slot's tasks that is reported lost
                self._outcome.note(failure.cause, message, arm=task.arm, unit=task.unit)
            self._lose(slot)
        if task.unit in self._outcome.receipts[task.arm]:  # its copy finished first
            self._schedule.failed_once(task, message)
            return
        has_failed = task.arm in self._schedule.failed
        is_retried = self._schedule.failed_once(
            task, message, arm_is_lost=failure.scope == "arm", counts=failure.counts
        )
        if is_retried:
            self._num_retries += 1
            self._outcome.note("retried", message, arm=task.arm, unit=task.unit)
        elif not has_failed:
            self._outcome.note("arm_failed", message, arm=task.arm, unit=task.unit)
            self._reporter.arm_failed(task.arm, self._schedule.failed[task.arm])

    def _lose(self, name: str) -> None:
        self._slots.pop(name, None)
        self._schedule.release(name)
        self._account.slot_gone(name)

    def _straggler(self, accelerator_type: str) -> Task | None:
        """A task of a straggling slot that has no copy yet: for a slot that has nothing else to do."""
        for slot in self._slots.values():
            for task in slot.tasks if slot.lags and slot.accelerator_type == accelerator_type else ():
                if (task.arm, task.unit) not in self._copied:
                    self._copied.add((task.arm, task.unit))
                    return self._schedule.copied(task)
        return None

    def _check_deadlines(self) -> None:
        """Interrupts hung slots, which restarts them, and lets other slots copy the tasks of stragglers."""
        for name, slot in list(self._slots.items()):
            if not slot.tasks:
                continue
            task, seconds = slot.tasks[0], time.monotonic() - slot.since_s
            bound_s = self._deadlines.hangs_after_s(task.arm)
            if seconds > bound_s:
                reason = f"no answer for {seconds:.0f} s (limit {bound_s:.0f} s)"
                for outcome in self._executor.interrupt(name, reason):
                    self._take(outcome)
            elif not slot.lags and slot.last_arm == task.arm and seconds > self._deadlines.lags_after_s(task.arm):
                slot.lags = True
                self._schedule.release(name)  # other slots may take its arm
                message = f"no answer from {name} for {seconds:.0f} s; another slot may score the unit as well"
                self._outcome.note("straggler", message, arm=task.arm, unit=task.unit)
                alike = [each for each in self._slots.values() if each.accelerator_type == slot.accelerator_type]
                self._executor.want(slot.accelerator_type, len(alike) + 1)

    def _reason_to_stop(self) -> str:
        """Why the run should stop; empty if it should not. Reports progress and budget warnings as well."""
        self._update_counts()
        self._warn()
        return self._reporter.poll_cancelled() or self._stop.reason or self._budget.exceeded(self._reporter.spent)

    def _warn(self) -> None:
        """Notes once per bound that its warning threshold is passed."""
        for bound, message in self._budget.warnings(self._reporter.spent).items():
            if bound not in self._warned:
                self._warned.add(bound)
                self._outcome.note("budget", message)

    def _update_counts(self) -> None:
        num_busy = sum(1 for slot in self._slots.values() if slot.tasks)
        self._reporter.update(SlotCounts(len(self._slots), num_busy, self._num_retries, self._account.spent()))
