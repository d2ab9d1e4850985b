"""Asks the schedule what is next, feeds an executor, gathers receipts. Holds no rows, knows no Ray."""

import time
from collections import deque
from collections.abc import Sequence
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
from assay.cluster.drive.waves import Waves
from assay.cluster.errors import RunError
from assay.evaluator.ledger.receipt import Sharing, UnitReceipt
from assay.manifests.run import Run

_TICK_S = 1.0


@dataclass
class _ReadySlot:
    """A slot that is ready.

    Attributes:
        accelerator_type: What it was asked for with; empty: any.
        tasks: What it has in hand, the oldest first: that one it works on.
        since_s: When it began with the oldest.
        lags: Whether that is so long ago that other slots may do its tasks, too.
        last_arm: The arm of its last unit: that one is loaded.
    """

    accelerator_type: str
    tasks: deque[Task] = field(default_factory=deque)
    since_s: float = 0.0
    lags: bool = False
    last_arm: str = ""


class Driver:
    """Brings every unit of every arm into the ledger, or marks the arm failed or eliminated, until it is asked to stop."""

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        reporter: ProgressReporter,
        order: Sequence[str] = (),
        budget: BudgetCheck | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        """Has no work yet.

        Args:
            run: The opened run.
            executor: Where the slots live.
            reporter: Hears of every unit that gets published and of every arm that is lost; knows whether the
                submission was cancelled.
            order: The arms in the order in which they are begun, the control aside, which is first; none: as given.
            budget: What may be spent; None: whatever it takes.
            stop: Filled when the run shall stop.
        """
        experiment = run.experiment
        self._run, self._executor, self._reporter = run, executor, reporter
        self._budget, self._stop = budget or BudgetCheck(), stop or StopRequest()
        self._outcome = DriveOutcome({arm.name: {} for arm in experiment.arms})
        self._warned: set[str] = set()
        self._share = Sharing()
        self._control = experiment.suite.plan.control
        # A stopped run is nothing without its control.
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

    def drive(self, waves: Waves, *, published: Sequence[UnitReceipt], import_paths: tuple[str, ...]) -> DriveOutcome:
        """Drives wave after wave, for as long as arms are left and nobody stops it.

        Args:
            waves: Which units are done before arms are compared: all of them, or those of a race.
            published: What is in the ledger already: never done again.
            import_paths: Where entrypoints may be imported from.

        Raises:
            RunError: The dataset or the ledger is damaged or out of reach; published units stay.
        """
        outcome, schedule = self._outcome, self._schedule
        for receipt in published:
            outcome.receipts[receipt.arm][receipt.unit] = receipt
        num_own = sum(not receipt.is_reused for receipt in published)
        if num_own:
            outcome.note("resumed", f"{num_own} units found in the ledger")
        has_started = False
        try:
            for units in waves:
                arms = [arm for arm in self._arms if arm not in schedule.failed and arm not in outcome.eliminated]
                schedule.add({arm: [unit for unit in units if unit not in outcome.receipts[arm]] for arm in arms})
                if not schedule.finished:
                    if not has_started:
                        self._executor.start(self._run, import_paths=import_paths)
                        has_started = True
                    self._work(is_last=waves.is_last)
                outcome.failed = schedule.failed
                if outcome.stopped or self._control in schedule.failed:
                    break
                self._drop_eliminated(waves, [arm for arm in arms if arm not in schedule.failed])
        finally:
            self._executor.close()
            for name in list(self._slots):
                self._lose(name)
            self._update_counts()
            self._warn()
            self._reporter.publish()
        return outcome

    def _drop_eliminated(self, waves: Waves, arms: Sequence[str]) -> None:
        for arm, reason in waves.eliminated(self._outcome.receipts, arms).items():
            self._outcome.eliminated[arm] = reason
            self._outcome.note("arm_eliminated", reason, arm=arm)
            self._reporter.arm_eliminated(arm, reason)

    def _work(self, *, is_last: bool) -> None:
        """Runs until no task is left, or until the control fails, since nothing can be compared without it."""
        self._request_slots()
        # Between waves slots are kept, unless another accelerator type may wait for the room that they take.
        gives_back = is_last or self._schedule.num_accelerator_types > 1
        while not self._schedule.finished and self._control not in self._schedule.failed:
            self._fill_slots(gives_back=gives_back)
            for answer in self._executor.wait(_TICK_S):
                self._take(answer)
            if time.monotonic() - self._checked_at_s >= _TICK_S:
                self._checked_at_s = time.monotonic()
                self._request_slots()
                self._check_deadlines()
                self._outcome.stopped = self._reason_to_stop()
                if self._outcome.stopped:
                    self._outcome.note("stopped", self._outcome.stopped)
                    return

    def _request_slots(self) -> None:
        """As many slots of each accelerator type as work or could."""
        for accelerator_type, num_openings in self._schedule.num_openings().items():
            slots = [slot for slot in self._slots.values() if slot.accelerator_type == accelerator_type]
            self._executor.want(accelerator_type, sum(bool(slot.tasks) for slot in slots) + num_openings)

    def _fill_slots(self, *, gives_back: bool) -> None:
        """Gives every slot one task before any gets its second, so that no slot starves at the end."""
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

    def _take(self, answer: Ready | TaskOutcome) -> None:
        if isinstance(answer, Ready):
            self._slots[answer.slot] = _ReadySlot(answer.accelerator_type)
            self._account.slot_ready(answer.slot, answer.accelerator_type)
            return
        slot = self._slots.get(answer.slot)
        if slot is not None:
            slot.tasks.remove(answer.task)
            seconds, slot.since_s, slot.lags = time.monotonic() - slot.since_s, time.monotonic(), False
            if not isinstance(answer.result, Failure):
                self._deadlines.record(answer.task.arm, seconds)
                slot.last_arm = answer.task.arm
        if isinstance(answer.result, Failure):
            self._take_failure(answer.slot, answer.task, answer.result)
        else:
            self._take_published(answer.slot, answer.task, answer.result)

    def _take_published(self, slot: str, task: Task, published: Published) -> None:
        self._schedule.succeeded(task)
        if not published.is_ours:
            self._outcome.note("published_elsewhere", f"{slot} came second", arm=task.arm, unit=task.unit)
        if published.digest != published.receipt.scores_digest:
            self._outcome.note(
                "nondeterminism",
                f"stored rows have {published.receipt.scores_digest}, evaluated again on {slot} they have "
                f"{published.digest}",
                arm=task.arm,
                unit=task.unit,
            )
        if task.unit in self._outcome.receipts[task.arm]:
            return  # a straggler's answer after its copy's
        self._outcome.receipts[task.arm][task.unit] = self._share(published.receipt)
        self._outcome.num_evaluated += 1
        self._reporter.add_published_unit(published.receipt)

    def _take_failure(self, slot: str, task: Task, failure: Failure) -> None:
        message = str(failure)
        if failure.scope == "run":
            raise RunError(f"arm '{task.arm}', unit {task.unit}: {message}")
        if failure.scope == "slot":
            if slot in self._slots:  # the first that is heard of it
                self._outcome.note(failure.cause, message, arm=task.arm, unit=task.unit)
            self._lose(slot)
        if task.unit in self._outcome.receipts[task.arm]:  # its copy came first
            self._schedule.failed_once(task, message)
            return
        has_failed = task.arm in self._schedule.failed
        again = self._schedule.failed_once(task, message, arm_is_lost=failure.scope == "arm", counts=failure.counts)
        if again:
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
        """A task of a slot that lags, not done twice yet: for a slot that has nothing else to do."""
        for slot in self._slots.values():
            for task in slot.tasks if slot.lags and slot.accelerator_type == accelerator_type else ():
                if (task.arm, task.unit) not in self._copied:
                    self._copied.add((task.arm, task.unit))
                    return self._schedule.copied(task)
        return None

    def _check_deadlines(self) -> None:
        """Interrupts slots that hang, which restarts them; lets others do the work of those that lag."""
        for name, slot in list(self._slots.items()):
            if not slot.tasks:
                continue
            task, seconds = slot.tasks[0], time.monotonic() - slot.since_s
            bound_s = self._deadlines.hangs_after_s(task.arm)
            if seconds > bound_s:
                for outcome in self._executor.interrupt(name, f"no answer for {seconds:.0f} s, over {bound_s:.0f} s"):
                    self._take(outcome)
            elif not slot.lags and slot.last_arm == task.arm and seconds > self._deadlines.lags_after_s(task.arm):
                slot.lags = True
                self._schedule.release(name)  # its arm is anyone's
                message = f"no answer from {name} for {seconds:.0f} s; other slots may try it, too"
                self._outcome.note("straggler", message, arm=task.arm, unit=task.unit)
                alike = [each for each in self._slots.values() if each.accelerator_type == slot.accelerator_type]
                self._executor.want(slot.accelerator_type, len(alike) + 1)

    def _reason_to_stop(self) -> str:
        """Why to stop; empty if there is no reason. The reporter hears at the same time how far this driver is."""
        self._update_counts()
        self._warn()
        return self._reporter.poll_cancelled() or self._stop.reason or self._budget.exceeded(self._reporter.spent)

    def _warn(self) -> None:
        """Notes once of each budget that its soft bound is passed."""
        for bound, message in self._budget.warnings(self._reporter.spent).items():
            if bound not in self._warned:
                self._warned.add(bound)
                self._outcome.note("budget", message)

    def _update_counts(self) -> None:
        num_busy = sum(1 for slot in self._slots.values() if slot.tasks)
        self._reporter.update(SlotCounts(len(self._slots), num_busy, self._num_retries, self._account.spent()))
