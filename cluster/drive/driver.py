"""Asks the schedule what is next, feeds an executor, gathers receipts. Holds no rows, knows no Ray."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from assay.cluster.cost.account import Allowance, Spending
from assay.cluster.drive.deadlines import Deadlines
from assay.cluster.drive.events import Event, event
from assay.cluster.drive.executor import Executor, Outcome, Ready
from assay.cluster.drive.progress import Pulse, Watch
from assay.cluster.drive.schedule import Schedule, Task
from assay.cluster.drive.slot import Failure
from assay.cluster.drive.stopping import StopRequest
from assay.cluster.drive.waves import Waves
from assay.cluster.errors import RunError
from assay.evaluator.ledger.receipt import Sharing, UnitReceipt
from assay.manifests.run import Run

_TICK_S = 1.0


@dataclass
class Driven:
    """What came of the units of a run.

    Attributes:
        receipts: Per arm, the receipt of every published unit by index.
        failed: The arms that failed, with the reason.
        dropped: The arms that were dropped from the race, with the reason.
        stopped: Why it ended before everything was done; empty if it did not.
        events: What happened, in order.
        num_evaluated: Units evaluated now, not found in the ledger.
    """

    receipts: dict[str, dict[int, UnitReceipt]]
    failed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    events: list[Event] = field(default_factory=list)
    num_evaluated: int = 0

    def note(self, kind: str, message: str, *, arm: str = "", unit: int = -1) -> None:
        """Adds an event."""
        self.events.append(event(kind, message, arm=arm, unit=unit))


def drive(
    run: Run,
    *,
    waves: Waves,
    published: Sequence[UnitReceipt],
    executor: Executor,
    import_paths: tuple[str, ...],
    on_progress: Callable[[str], None],
    watch: Watch,
    order: Sequence[str] = (),
    allowance: Allowance | None = None,
    stop: StopRequest | None = None,
) -> Driven:
    """Brings every unit of every arm into the ledger, or marks the arm failed or dropped, until it is told to stop.

    Args:
        run: The opened run.
        waves: Which units are done before arms are compared: all of them, or those of a race.
        published: What is in the ledger already: never done again.
        executor: Where the slots live.
        import_paths: Where entrypoints may be imported from.
        on_progress: Called with the arm's name for each unit that gets published.
        watch: Told how far it is; hears that the submission was cancelled.
        order: The arms in the order in which they are begun, the control aside, which is first; none: as given.
        allowance: What may be spent.
        stop: Filled when the run shall stop.

    Raises:
        RunError: The dataset or the ledger is damaged or out of reach; published units stay.
    """
    driven = Driven({arm.name: {} for arm in run.experiment.arms})
    for receipt in published:
        driven.receipts[receipt.arm][receipt.unit] = receipt
    ours = [receipt for receipt in published if not receipt.is_reused]
    if ours:
        driven.note("resumed", f"{len(ours)} units found in the ledger")
    drive = _Drive(
        run,
        driven,
        executor,
        on_progress=on_progress,
        watch=watch,
        order=order,
        allowance=allowance or Allowance(),
        stop=stop or StopRequest(),
    )
    drive.through(waves, import_paths)
    return driven


@dataclass
class _Held:
    """A slot that is ready.

    Attributes:
        kind: What it was asked for as.
        tasks: What it has in hand, the oldest first: that one it works on.
        since_s: When it began with the oldest.
        lags: Whether that is so long ago that other slots may do its tasks, too.
        has_done: The arm of its last unit: that one is loaded.
    """

    kind: str
    tasks: deque[Task] = field(default_factory=deque)
    since_s: float = 0.0
    lags: bool = False
    has_done: str = ""


class _Drive:
    """The state of one driver."""

    def __init__(
        self,
        run: Run,
        driven: Driven,
        executor: Executor,
        *,
        on_progress: Callable[[str], None],
        watch: Watch,
        order: Sequence[str],
        allowance: Allowance,
        stop: StopRequest,
    ) -> None:
        experiment = run.experiment
        self._run, self._driven, self._executor = run, driven, executor
        self._on_progress, self._watch, self._allowance, self._stop = on_progress, watch, allowance, stop
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
            kinds={arm.name: executor.kind_of(arm) for arm in arms},
        )
        self._slots: dict[str, _Held] = {}
        self._spending = Spending(experiment.resources, experiment.prices)
        self._deadlines = Deadlines(experiment.resources.unit_timeout_s)
        self._copied: set[tuple[str, int]] = set()
        self._num_retries = 0
        self._looked_at_s = 0.0

    def through(self, waves: Waves, import_paths: tuple[str, ...]) -> None:
        """Wave after wave, for as long as arms are left and nobody stops it."""
        driven, schedule = self._driven, self._schedule
        has_started = False
        try:
            for units in waves:
                arms = [arm for arm in self._arms if arm not in schedule.failed and arm not in driven.dropped]
                schedule.add({arm: [unit for unit in units if unit not in driven.receipts[arm]] for arm in arms})
                if not schedule.finished:
                    if not has_started:
                        self._executor.start(self._run, import_paths=import_paths)
                        has_started = True
                    self._work(is_last=waves.is_last)
                driven.failed = schedule.failed
                if driven.stopped or self._control in schedule.failed:
                    break
                left = [arm for arm in arms if arm not in schedule.failed]
                for arm, reason in waves.beaten(driven.receipts, left).items():
                    driven.dropped[arm] = reason
                    driven.note("arm_dropped", reason, arm=arm)
                    self._watch.arm_dropped(arm, reason)
        finally:
            self._executor.close()
            for name in list(self._slots):
                self._lose(name)
            self._beat()
            self._warn()
            self._watch.tell()

    def _work(self, *, is_last: bool) -> None:
        """Until everything that waits is done, or the control has failed, without which it is good for nothing."""
        self._want()
        # Between waves slots are kept, unless another kind may wait for the room that they take.
        gives_back = is_last or self._schedule.num_kinds > 1
        while not self._schedule.finished and self._control not in self._schedule.failed:
            self._fill(gives_back=gives_back)
            for told in self._executor.wait(_TICK_S):
                self._take(told)
            if time.monotonic() - self._looked_at_s >= _TICK_S:
                self._looked_at_s = time.monotonic()
                self._want()
                self._mind_the_slow()
                self._driven.stopped = self._wish_to_stop()
                if self._driven.stopped:
                    self._driven.note("stopped", self._driven.stopped)
                    return

    def _want(self) -> None:
        """As many slots of each kind as work or could."""
        for kind, num_openings in self._schedule.num_openings().items():
            num_working = sum(bool(held.tasks) for held in self._slots.values() if held.kind == kind)
            self._executor.want(kind, num_working + num_openings)

    def _fill(self, *, gives_back: bool) -> None:
        """Gives every slot one task before any gets its second, so that no slot starves at the end."""
        for level in range(self._executor.depth):
            for name in [name for name, held in self._slots.items() if len(held.tasks) == level]:
                held = self._slots[name]
                task = self._schedule.next_task(name, held.kind)
                if task is None and level == 0:
                    task = self._straggler(held.kind)
                if task is not None:
                    self._hand(name, task)
                elif level == 0 and gives_back:
                    self._executor.give_back(name)
                    self._lose(name)

    def _hand(self, name: str, task: Task) -> None:
        held = self._slots[name]
        if not held.tasks:
            held.since_s = time.monotonic()
        held.tasks.append(task)
        self._executor.submit(name, task, self._schedule.upcoming(name, held.kind))

    def _take(self, told: Ready | Outcome) -> None:
        if isinstance(told, Ready):
            self._slots[told.slot] = _Held(told.kind)
            self._spending.ready(told.slot, told.kind)
            return
        held = self._slots.get(told.slot)
        if held is not None:
            held.tasks.remove(told.task)
            took_s, held.since_s, held.lags = time.monotonic() - held.since_s, time.monotonic(), False
            if not isinstance(told.result, Failure):
                self._deadlines.took(told.task.arm, took_s)
                held.has_done = told.task.arm
        if isinstance(told.result, Failure):
            self._take_failure(told, told.result)
            return
        task, published = told.task, told.result
        self._schedule.succeeded(task)
        if not published.is_ours:
            self._driven.note("published_elsewhere", f"{told.slot} came second", arm=task.arm, unit=task.unit)
        if published.digest != published.receipt.scores_digest:
            self._driven.note(
                "nondeterminism",
                f"stored rows have {published.receipt.scores_digest}, evaluated again on {told.slot} they have "
                f"{published.digest}",
                arm=task.arm,
                unit=task.unit,
            )
        if task.unit in self._driven.receipts[task.arm]:
            return  # a straggler's answer after its copy's
        self._driven.receipts[task.arm][task.unit] = self._share(published.receipt)
        self._driven.num_evaluated += 1
        self._watch.published(published.receipt)
        self._on_progress(task.arm)

    def _take_failure(self, told: Outcome, failure: Failure) -> None:
        task, words = told.task, _told(failure)
        if failure.scope == "run":
            raise RunError(f"arm '{task.arm}', unit {task.unit}: {words}")
        if failure.scope == "slot":
            if told.slot in self._slots:  # the first that is heard of it
                self._driven.note(failure.cause, words, arm=task.arm, unit=task.unit)
            self._lose(told.slot)
        if task.unit in self._driven.receipts[task.arm]:  # its copy came first
            self._schedule.failed_once(task, words)
            return
        has_failed = task.arm in self._schedule.failed
        again = self._schedule.failed_once(task, words, arm_is_lost=failure.scope == "arm", counts=failure.counts)
        if again:
            self._num_retries += 1
            self._driven.note("retried", words, arm=task.arm, unit=task.unit)
        elif not has_failed:
            self._driven.note("arm_failed", words, arm=task.arm, unit=task.unit)
            self._watch.arm_failed(task.arm, self._schedule.failed[task.arm])

    def _lose(self, name: str) -> None:
        self._slots.pop(name, None)
        self._schedule.gone(name)
        self._spending.gone(name)

    def _straggler(self, kind: str) -> Task | None:
        """A task of a slot that lags, not done twice yet: for a slot that has nothing else to do."""
        for held in self._slots.values():
            for task in held.tasks if held.lags and held.kind == kind else ():
                if (task.arm, task.unit) not in self._copied:
                    self._copied.add((task.arm, task.unit))
                    return self._schedule.copied(task)
        return None

    def _mind_the_slow(self) -> None:
        """Makes slots anew that hang; lets others do the work of those that lag."""
        for name, held in list(self._slots.items()):
            if not held.tasks:
                continue
            task, seconds = held.tasks[0], time.monotonic() - held.since_s
            bound_s = self._deadlines.hangs_after_s(task.arm)
            if seconds > bound_s:
                for outcome in self._executor.interrupt(name, f"no answer for {seconds:.0f} s, over {bound_s:.0f} s"):
                    self._take(outcome)
            elif not held.lags and held.has_done == task.arm and seconds > self._deadlines.lags_after_s(task.arm):
                held.lags = True
                self._schedule.gone(name)  # its arm is anyone's
                words = f"no answer from {name} for {seconds:.0f} s; other slots may try it, too"
                self._driven.note("straggler", words, arm=task.arm, unit=task.unit)
                self._executor.want(held.kind, sum(each.kind == held.kind for each in self._slots.values()) + 1)

    def _wish_to_stop(self) -> str:
        """Why to stop, if someone wishes it; the watch is told at the same time how far this driver is."""
        self._beat()
        self._warn()
        return self._watch.look() or self._stop.reason or self._allowance.exceeded(self._watch.spent)

    def _warn(self) -> None:
        """Says once of each budget that its soft bound is passed."""
        for bound, words in self._allowance.warnings(self._watch.spent).items():
            if bound not in self._warned:
                self._warned.add(bound)
                self._driven.note("budget", words)

    def _beat(self) -> None:
        busy = sum(1 for held in self._slots.values() if held.tasks)
        self._watch.beat(Pulse(len(self._slots), busy, self._num_retries, self._spending.spent()))


def _told(failure: Failure) -> str:
    return f"{failure.reason} [{failure.where}]" + (f"\n{failure.traceback}" if failure.traceback else "")
