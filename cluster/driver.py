"""Asks the schedule what is next, feeds an executor, gathers receipts. Holds no rows, knows no Ray."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from cluster.errors import RunError
from cluster.executor import Executor, Outcome
from cluster.schedule import Schedule
from cluster.slot import Failure, Published
from evaluator.errors import StoreError
from evaluator.ledger.reader import UnitReceipt
from evaluator.storage import Store
from manifests.ledger import ArmProgress, Progress, Run, cancel_key, progress_key

_WATCH_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Event:
    """Something that happened on the way and stays in the ledger.

    Attributes:
        at: UTC, ISO 8601.
        kind: `resumed`, `reused`, `reuse_refused`, `retried`, `arm_failed`, `slot_lost`, `published_elsewhere` or
            `nondeterminism`.
        arm: The arm, if one is meant.
        unit: The unit, or -1.
        message: What happened.
    """

    at: str
    kind: str
    arm: str
    unit: int
    message: str


@dataclass
class Driven:
    """What came of the units of a run.

    Attributes:
        receipts: Per arm, the receipt of every published unit by index.
        failed: The arms that failed, with the reason.
        events: What happened, in order.
        num_evaluated: Units evaluated now, not found in the ledger.
    """

    receipts: dict[str, dict[int, UnitReceipt]]
    failed: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    num_evaluated: int = 0

    def note(self, kind: str, message: str, *, arm: str = "", unit: int = -1) -> None:
        """Adds an event."""
        self.events.append(Event(_now(), kind, arm, unit, message))


class Watch:
    """Tells, through the ledger, how far a run is, and hears there whether its submission was cancelled.

    Cheap whatever units cost: the ledger is written and asked at most once a second.
    """

    def __init__(
        self,
        run: Run,
        *,
        num_units: int,
        num_rows: int,
        store: Store,
        submission_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Knows nothing as done yet.

        Args:
            run: The opened run.
            num_units: Units per arm.
            num_rows: Rows per arm.
            store: The ledger.
            submission_id: The submission that this driver carries out; empty if nobody submitted it.
            clock: Seconds that only go on.
        """
        self._run, self._store, self._submission_id, self._clock = run, store, submission_id, clock
        self._num_units, self._num_rows = num_units, num_rows
        self._rows = {arm.name: dict[int, int]() for arm in run.experiment.arms}
        self._failed: dict[str, str] = {}
        self._num_evaluated = 0
        self._began_at_s = clock()
        self._looked_at_s = float("-inf")
        self._started_at = _now()

    def found(self, receipts: Sequence[UnitReceipt]) -> None:
        """These units were in the ledger already, or were taken over."""
        for receipt in receipts:
            self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self.look()

    def published(self, receipt: UnitReceipt) -> None:
        """This unit was evaluated now."""
        self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self._num_evaluated += 1
        self.look()

    def arm_failed(self, arm: str, reason: str) -> None:
        """This arm will not be finished."""
        self._failed[arm] = reason

    def look(self) -> None:
        """Tells and listens, unless it has done so within the last second.

        Raises:
            RunError: The submission was cancelled.
        """
        if self._clock() - self._looked_at_s < _WATCH_INTERVAL_S:
            return
        self._looked_at_s = self._clock()
        self._tell("running", "")
        if self.is_cancelled():
            raise RunError(
                f"run '{self._run.run_id}' was cancelled: submission '{self._submission_id}'; what was published "
                "stays: submit it again to go on"
            )

    def is_cancelled(self) -> bool:
        """Whether the ledger holds the submission's cancel marker; no, if the ledger does not answer."""
        try:
            return bool(self._submission_id) and self._store.exists(cancel_key(self._submission_id))
        except (StoreError, OSError):  # units meet the same trouble, with retries; this is asked again in a second
            return False

    def end(self, error: BaseException | None) -> None:
        """Tells how it ended."""
        if error is None:
            self._tell("committed", "")
        else:
            self._tell("cancelled" if self.is_cancelled() else "failed", str(error) or type(error).__name__)

    def progress(self, state: Literal["running", "committed", "failed", "cancelled"], reason: str) -> Progress:
        """What there is to tell."""
        left = sum(self._num_units - len(done) for arm, done in self._rows.items() if arm not in self._failed)
        spent_s = self._clock() - self._began_at_s
        return Progress(
            run_id=self._run.run_id,
            state=state,
            reason=reason,
            num_units=self._num_units,
            num_rows=self._num_rows,
            arms=tuple(
                ArmProgress(
                    arm=arm,
                    num_units_done=len(done),
                    num_rows_done=sum(done.values()),
                    failed=self._failed.get(arm, ""),
                )
                for arm, done in self._rows.items()
            ),
            eta_s=spent_s / self._num_evaluated * left if self._num_evaluated else None,
            started_at=self._started_at,
            updated_at=_now(),
        )

    def _tell(self, state: Literal["running", "committed", "failed", "cancelled"], reason: str) -> None:
        try:
            self._store.replace(progress_key(self._run.run_id), self.progress(state, reason).model_dump_json().encode())
        except (StoreError, OSError):  # a run does not end because nobody could be told how far it is
            return


@contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """Looks once at the start, and tells at the end how it went."""
    try:
        watch.look()
        yield watch
    except BaseException as error:
        watch.end(error)
        raise
    watch.end(None)


def drive(
    run: Run,
    *,
    num_units: int,
    published: Sequence[UnitReceipt],
    executor: Executor,
    import_paths: tuple[str, ...],
    on_progress: Callable[[str], None],
    watch: Watch | None = None,
) -> Driven:
    """Brings every unit of every arm into the ledger, or marks the arm failed.

    Args:
        run: The opened run.
        num_units: Units per arm.
        published: What is in the ledger already: never done again.
        executor: Where the slots live.
        import_paths: Where entrypoints may be imported from.
        on_progress: Called with the arm's name for each unit that gets published.
        watch: Told of every unit and of every failed arm; None if nobody asks.

    Raises:
        RunError: The dataset or the ledger is damaged or out of reach, or the run was cancelled; published units stay.
    """
    experiment = run.experiment
    driven = Driven({arm.name: {} for arm in experiment.arms})
    for receipt in published:
        driven.receipts[receipt.arm][receipt.unit] = receipt
    pending = {
        arm: [unit for unit in range(num_units) if unit not in receipts] for arm, receipts in driven.receipts.items()
    }
    ours = [receipt for receipt in published if "reused_from" not in receipt.facts]
    if ours:
        missing = sum(len(units) for units in pending.values())
        driven.note("resumed", f"{len(ours)} units found in the ledger, {missing} to do")
    schedule = Schedule(pending, replicas=experiment.resources.replicas, max_attempts=experiment.resources.max_attempts)
    if not schedule.finished:
        _work(run, schedule, driven, executor=executor, import_paths=import_paths, on_progress=on_progress, watch=watch)
    driven.failed = schedule.failed
    return driven


def _work(
    run: Run,
    schedule: Schedule,
    driven: Driven,
    *,
    executor: Executor,
    import_paths: tuple[str, ...],
    on_progress: Callable[[str], None],
    watch: Watch | None,
) -> None:
    limit = run.experiment.resources.max_slots or schedule.num_waiting_slots
    try:
        slots = executor.start(run, num_slots=min(limit, schedule.num_waiting_slots), import_paths=import_paths)
        room = dict.fromkeys(slots, executor.depth)
        while not schedule.finished:
            _fill(schedule, executor, room)
            for outcome in executor.wait():
                room[outcome.slot] += 1
                _take(outcome, schedule, driven, on_progress)
                if watch is not None:
                    _tell(watch, outcome, schedule)
    finally:
        executor.close()


def _fill(schedule: Schedule, executor: Executor, room: dict[str, int]) -> None:
    """Gives every slot one task before any gets its second, so that no slot starves at the end."""
    for level in range(executor.depth, 0, -1):
        for slot in [slot for slot, free in room.items() if free == level]:
            task = schedule.next_task(slot)
            if task is not None:
                executor.submit(slot, task, schedule.upcoming(slot))
                room[slot] -= 1


def _take(outcome: Outcome, schedule: Schedule, driven: Driven, on_progress: Callable[[str], None]) -> None:
    task, result = outcome.task, outcome.result
    if isinstance(result, Published):
        schedule.succeeded(task)
        driven.receipts[task.arm][task.unit] = result.receipt
        driven.num_evaluated += 1
        if not result.is_ours:
            driven.note("published_elsewhere", f"{outcome.slot} came second", arm=task.arm, unit=task.unit)
        if result.digest != result.receipt.scores_digest:
            driven.note(
                "nondeterminism",
                f"stored rows have {result.receipt.scores_digest}, evaluated again on {outcome.slot} they have "
                f"{result.digest}",
                arm=task.arm,
                unit=task.unit,
            )
        on_progress(task.arm)
        return
    if result.scope == "run":
        raise RunError(f"arm '{task.arm}', unit {task.unit}, {result.where}: {result.reason}")
    again = schedule.failed_once(task, _told(result), arm_is_lost=result.scope == "arm")
    if result.scope == "slot":
        driven.note("slot_lost", _told(result), arm=task.arm, unit=task.unit)
    driven.note("retried" if again else "arm_failed", _told(result), arm=task.arm, unit=task.unit)


def _tell(watch: Watch, outcome: Outcome, schedule: Schedule) -> None:
    arm = outcome.task.arm
    if isinstance(outcome.result, Published):
        watch.published(outcome.result.receipt)
        return
    if arm in schedule.failed:
        watch.arm_failed(arm, schedule.failed[arm])
    watch.look()


def _told(failure: Failure) -> str:
    return f"{failure.reason} [{failure.where}]" + (f"\n{failure.traceback}" if failure.traceback else "")


def arm_times(receipts: Mapping[int, UnitReceipt]) -> dict[str, float]:
    """Seconds and rows of one arm, summed over its units."""
    facts = [receipt.facts for receipt in receipts.values()]
    return {
        name: sum(float(fact.get(name, 0.0)) for fact in facts)
        for name in ("load_s", "read_s", "predict_s", "score_s", "write_s", "cpu_s")
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
