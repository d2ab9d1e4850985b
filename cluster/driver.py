"""Asks the schedule what is next, feeds an executor, gathers receipts. Holds no rows, knows no Ray."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.errors import RunError
from cluster.executor import Executor, Outcome
from cluster.progress import Watch, now
from cluster.schedule import Schedule
from cluster.slot import Failure, Published
from evaluator.ledger.reader import UnitReceipt
from manifests.ledger import Run


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


def event(kind: str, message: str, *, arm: str = "", unit: int = -1) -> Event:
    """Something that happens now."""
    return Event(now(), kind, arm, unit, message)


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
        self.events.append(event(kind, message, arm=arm, unit=unit))


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
