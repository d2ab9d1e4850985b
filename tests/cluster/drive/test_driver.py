"""The driver with slots that die, hang, lag and finish late: fake slots, a real schedule and a real ledger."""

import itertools
from collections import defaultdict
from dataclasses import replace

import pytest

from assay.cluster import pipeline
from assay.cluster.cost.budget import BudgetCheck
from assay.cluster.drive import deadlines, driver
from assay.cluster.drive.deadlines import Deadlines
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.drive.driver import Driver
from assay.cluster.drive.executor import Ready, TaskOutcome
from assay.cluster.drive.progress import ProgressReporter
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.stopping import StopRequest
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_check import Checked
from assay.cluster.drive.waves import Waves
from assay.cluster.errors import RunError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests import Budget, Prices, Resources
from tests import builders
from tests.receipts import receipt

NUM_UNITS = 7  # 200 rows in units of 32


class PretendedSlots:
    """An executor whose slots finish at once with the outcome that a script gives for the n-th attempt at a unit."""

    depth = 2

    def __init__(self, script=None, *, num_slots=2, never=()) -> None:
        self.script, self.never = script or {}, set(never)
        self.stuck: dict = {}
        self.num_slots = num_slots
        self.slots: dict[str, list] = {}
        self.accelerator_types: dict[str, str] = {}
        self.told: list = []
        self.tries: dict = defaultdict(int)
        self.done_by: dict = defaultdict(list)
        self.given_back: list[str] = []
        self.numbers = itertools.count()
        self.wanted: list[tuple[str, int]] = []

    def start(self, run, *, import_paths) -> None:
        pass

    def accelerator_type_of(self, arm) -> str:
        return arm.accelerator_type or ""

    def want(self, accelerator_type, num_slots) -> None:
        self.wanted.append((accelerator_type, num_slots))
        there = sum(each == accelerator_type for each in self.accelerator_types.values())
        for _ in range(min(num_slots, self.num_slots) - there):
            name = f"slot-{next(self.numbers)}"
            self.slots[name], self.accelerator_types[name] = [], accelerator_type
            self.told.append(Ready(name, accelerator_type))

    def submit(self, slot, task, upcoming) -> None:
        self.slots[slot].append(task)

    def wait(self, timeout_s):
        told, self.told = self.told, []
        for slot, tasks in list(self.slots.items()):
            if not tasks or self.is_stuck(slot, (tasks[0].arm, tasks[0].unit)):
                continue
            task = tasks.pop(0)
            self.tries[task.arm, task.unit] += 1
            result = self.script.get((task.arm, task.unit, self.tries[task.arm, task.unit]))
            self.done_by[task.arm, task.unit].append(slot)
            told.append(TaskOutcome(slot, task, result or published(task)))
            if isinstance(result, Failure) and result.scope == "slot":
                told += self.lost(slot, result.reason)
        return told

    def is_stuck(self, slot, unit) -> bool:
        """The first slot that gets one of these units never finishes it."""
        return unit in self.never and self.stuck.setdefault(unit, slot) == slot

    def lost(self, slot, reason):
        outcomes = [TaskOutcome(slot, task, Failure("slot", reason, slot, counts=False)) for task in self.slots[slot]]
        self.slots[slot] = []
        self.told.append(Ready(slot, ""))
        return outcomes

    def interrupt(self, slot, reason):
        self.never = {unit for unit in self.never if self.stuck.get(unit) != slot}
        first, *rest = self.slots[slot]
        self.slots[slot] = rest
        return [TaskOutcome(slot, first, Failure("slot", reason, slot, cause="hung")), *self.lost(slot, reason)]

    def give_back(self, slot) -> None:
        self.given_back.append(slot)
        del self.slots[slot], self.accelerator_types[slot]

    def close(self) -> list:
        self.slots, self.accelerator_types = {}, {}
        return []


def published(task, *, digest="same", is_ours=True) -> Published:
    return Published(receipt(task.arm, task.unit), is_ours, digest)


def lost(reason="died", *, counts=True, cause="slot_lost") -> Failure:
    return Failure("slot", reason, "slot", cause=cause, counts=counts)


@pytest.fixture
def prepared(tmp_path) -> pipeline.Prepared:
    return pipeline.prepare(
        str(builders.write_experiment(tmp_path, arms={"control": builders.variant()} | builders.ARMS))
    )


@pytest.fixture(autouse=True)
def always_looks(monkeypatch) -> None:
    monkeypatch.setattr(driver, "_TICK_S", 0.0)


def driver_of(
    prepared, executor, *, stop=None, on_progress=lambda arm: None, order=(), budget=None, check=None, **changes
) -> Driver:
    experiment = prepared.run.experiment
    resources = experiment.resources.model_copy(update=changes.pop("resources", {}))
    run = prepared.run.model_copy(
        update={"experiment": experiment.model_copy(update={"resources": resources, **changes})}
    )
    reporter = ProgressReporter(
        run,
        num_units=NUM_UNITS,
        num_rows=200,
        store=MemoryStore("w"),
        submission_id="",
        on_progress=lambda arm, _units: on_progress(arm),
    )
    return Driver(run, executor=executor, reporter=reporter, order=order, budget=budget, stop=stop, check=check)


def driven(prepared, executor, *, waves=None, published=(), **options) -> DriveOutcome:
    driver = driver_of(prepared, executor, **options)
    for each in published:
        driver._reporter.add_existing_unit(each)
    return driver.drive(waves or Waves(prepared.units), published=published, import_paths=())


class Finds:
    """A check that finds some units damaged, each once."""

    def __init__(self, *damaged: tuple[str, int]) -> None:
        self.damaged, self.looked_at = set(damaged), []

    def checked(self, receipts) -> Checked:
        outcome = Checked()
        for each in receipts:
            self.looked_at.append((each.arm, each.unit))
            if (each.arm, each.unit) in self.damaged:
                self.damaged.remove((each.arm, each.unit))
                outcome.set_aside.append((each, "set aside"))
            else:
                outcome.intact.append(replace(each, sha256="sha256"))
        return outcome


def kinds(found: DriveOutcome) -> list[str]:
    return [event.kind for event in found.events]


def is_whole(found: DriveOutcome, arms=builders.ARMS) -> bool:
    return all(sorted(found.receipts[arm]) == list(range(NUM_UNITS)) for arm in arms)


def test_the_control_goes_first_and_slots_are_given_back_once_nothing_waits(prepared):
    order = []
    slots = PretendedSlots(num_slots=3)
    found = driven(prepared, slots, on_progress=order.append)
    assert is_whole(found)
    assert order[0] == "control"
    assert len(slots.given_back) == 2  # the last one ends with the run
    assert slots.wanted[0] == ("", len(builders.ARMS))


def test_what_a_dead_slot_had_not_begun_costs_no_attempt(prepared):
    # every unit is once the oldest in flight and dies; units behind it are lost with it once or more
    script = {(arm, unit, 1): lost() for arm in builders.ARMS for unit in range(NUM_UNITS)}
    found = driven(prepared, PretendedSlots(script, num_slots=1), resources={"max_attempts": 2})
    assert is_whole(found)
    assert not found.failed
    assert kinds(found).count("slot_lost") == NUM_UNITS * len(builders.ARMS)


def test_a_node_that_dies_again_and_again_fails_no_arm(prepared):
    script = {("better", 2, attempt): lost("its node has died", counts=False) for attempt in range(1, 9)}
    found = driven(prepared, PretendedSlots(script), resources={"max_attempts": 2})
    assert is_whole(found)


def test_a_poisoned_unit_is_given_up_after_its_attempts_and_the_other_arms_finish(prepared):
    script = {("better", 2, attempt): lost(cause="out_of_memory") for attempt in range(1, 9)}
    found = driven(prepared, PretendedSlots(script), resources={"max_attempts": 3})
    assert list(found.failed) == ["better"]
    assert found.failed["better"].startswith("unit 2 (3 attempts)")
    assert is_whole(found, set(builders.ARMS) - {"better"})
    assert kinds(found).count("out_of_memory") == 3
    assert kinds(found).count("arm_failed") == 1


def test_a_unit_that_hangs_is_interrupted_and_tried_again(prepared):
    slots = PretendedSlots(num_slots=2, never={("better", 3)})
    found = driven(prepared, slots, resources={"unit_timeout_s": 0.05})
    assert is_whole(found)
    assert "hung" in kinds(found)


def test_a_unit_that_lags_is_done_by_another_slot_and_nobody_waits_for_the_first(prepared, monkeypatch):
    monkeypatch.setattr(deadlines, "_LAGS_AT_LEAST_S", 0.05)
    slots = PretendedSlots(num_slots=2, never={("better", 4)})
    found = driven(prepared, slots)
    assert is_whole(found)
    assert "straggler" in kinds(found)
    assert not found.failed


@pytest.mark.parametrize(
    ("digest", "is_ours", "expected"),
    [
        ("same", True, []),
        ("same", False, ["published_elsewhere"]),
        ("other", False, ["published_elsewhere", "nondeterminism"]),
    ],
)
def test_rows_that_were_made_twice_are_compared(prepared, digest, is_ours, expected):
    script = {("better", 2, 1): published(Task("better", 2), digest=digest, is_ours=is_ours)}
    found = driven(prepared, PretendedSlots(script))
    assert kinds(found) == expected
    assert is_whole(found)


def test_a_damaged_dataset_ends_the_run(prepared):
    script = {("better", 2, 1): Failure("run", "shard 3 is not what was frozen", "slot-1")}
    with pytest.raises(RunError, match=r"arm 'better', unit 2: shard 3.*slot-1"):
        driven(prepared, PretendedSlots(script))


def test_a_request_to_stop_ends_it_between_two_units(prepared):
    stop = StopRequest()
    seen = []

    def ask(arm: str) -> None:
        seen.append(arm)
        stop.reason = "SIGTERM" if len(seen) == 5 else stop.reason

    found = driven(prepared, PretendedSlots(), stop=stop, on_progress=ask)
    assert found.stopped == "SIGTERM"
    assert kinds(found)[-1] == "stopped"
    assert 5 <= sum(map(len, found.receipts.values())) < NUM_UNITS * len(builders.ARMS)


def test_a_spent_budget_stops_it_and_says_which_bound(prepared):
    budget = BudgetCheck(Budget(price=1e-9))
    found = driven(prepared, PretendedSlots(), budget=budget, prices=Prices(cpu_hour=1.0))
    assert found.stopped.startswith("budget exhausted: budget.price is 1e-09")


def test_a_soft_bound_is_told_once_and_stops_nothing(prepared):
    budget = BudgetCheck(Budget(price=1e6, slot_hours=1e6, warn_at=1e-15))
    found = driven(prepared, PretendedSlots(), budget=budget, prices=Prices(cpu_hour=1.0))
    assert is_whole(found)
    warnings = [event.message for event in found.events if event.kind == "budget"]
    assert [message.partition(" is spent: ")[0].partition(" % of ")[2] for message in warnings] == ["the budget"] * 2
    assert {message.split(": ")[1].split(" ")[0] for message in warnings} == {"budget.price", "budget.slot_hours"}


@pytest.mark.parametrize("order", [("again", "worse", "better", "control"), ("better", "worse")])
def test_arms_are_begun_in_the_order_that_is_asked_for_after_the_control(prepared, order):
    begun = []
    found = driven(prepared, PretendedSlots(num_slots=1), order=order, on_progress=begun.append)
    assert is_whole(found)
    rest = [arm for arm in order if arm != "control"]
    unnamed = [arm for arm in builders.ARMS if arm not in {"control", *rest}]
    assert list(dict.fromkeys(begun)) == ["control", *rest, *unnamed]


def test_arms_that_need_an_accelerator_get_slots_of_their_own(prepared):
    arms = tuple(
        arm.model_copy(update={"accelerator_type": "H100" if arm.name == "better" else None})
        for arm in prepared.run.experiment.arms
    )
    slots = PretendedSlots(num_slots=9)
    found = driven(prepared, slots, arms=arms)
    assert is_whole(found)
    assert slots.wanted[:2] == [("", 3), ("H100", 1)]


class TwoWaves(Waves):
    """Two waves, as in a race."""

    def __iter__(self):
        for self.is_last in (False, True):
            yield range(NUM_UNITS if self.is_last else 3)


def test_between_waves_a_kind_of_slot_does_not_keep_the_room_that_another_needs(prepared):
    class OneRoom(PretendedSlots):
        """Room for one slot, whatever its accelerator type."""

        def want(self, accelerator_type, num_slots) -> None:
            if not self.slots:
                super().want(accelerator_type, min(num_slots, 1))

    arms = tuple(
        arm.model_copy(update={"accelerator_type": "H100" if arm.name == "better" else None})
        for arm in prepared.run.experiment.arms
    )
    assert is_whole(driven(prepared, OneRoom(), waves=TwoWaves(prepared.units), arms=arms))


def test_between_waves_slots_of_one_kind_are_kept(prepared):
    slots = PretendedSlots(num_slots=2)
    assert is_whole(driven(prepared, slots, waves=TwoWaves(prepared.units)))
    assert len(slots.given_back) <= 1
    assert next(slots.numbers) == 2


def test_damaged_units_are_scored_again_by_new_slots_after_the_end(prepared):
    slots, progress = PretendedSlots(num_slots=2), []
    damaged = {("better", 2), ("worse", 0), ("worse", 6)}
    driver = driver_of(prepared, slots, check=Finds(*damaged), on_progress=progress.append)
    assert kinds(driver.drive(Waves(prepared.units), published=(), import_paths=())) == []
    num_slots_before = next(slots.numbers)
    found = driver.score_damaged_units()
    assert is_whole(found)
    assert [(event.kind, event.arm, event.unit) for event in found.events] == [
        ("set_aside", arm, unit) for arm, unit in sorted(damaged)
    ]
    assert {unit: count for unit, count in slots.tries.items() if count == 2} == dict.fromkeys(damaged, 2)
    assert next(slots.numbers) > num_slots_before + 1
    assert len(progress) == NUM_UNITS * len(builders.ARMS) + 2 * len(damaged)  # taken back, then counted again


def test_a_run_that_was_stopped_lacks_its_damaged_units(prepared):
    stop = StopRequest()
    driver = driver_of(prepared, slots := PretendedSlots(), check=Finds(("control", 0)), stop=stop)
    driver.drive(Waves(prepared.units), published=(), import_paths=())
    driver._outcome.stopped = "SIGTERM"
    found = driver.score_damaged_units()
    assert 0 not in found.receipts["control"]
    assert slots.tries["control", 0] == 1


def test_an_interim_look_waits_until_units_of_earlier_drivers_are_verified_and_scored_again(prepared):
    looks = []

    class Looks(TwoWaves):
        def eliminated(self, receipts, arms):
            looks.append(
                {(arm, unit): each.sha256 for arm, of_arm in receipts.items() for unit, each in of_arm.items()}
            )
            return {}

    published = [replace(receipt(arm, unit), sha256=None) for arm in ("control", "better") for unit in (0, 1, 5)]
    check = Finds(("better", 1))
    found = driven(prepared, PretendedSlots(), waves=Looks(prepared.units), published=published, check=check)
    assert is_whole(found)
    assert sorted(check.looked_at) == [
        ("better", 0),
        ("better", 1),
        ("control", 0),
        ("control", 1),
    ]  # of the first wave
    first, _ = looks
    assert {unit for unit, sha256 in first.items() if sha256 is None} == {("control", 5), ("better", 5)}
    assert ("better", 1) in first


def test_when_the_control_fails_the_others_are_left(prepared):
    script = {("control", 0, 1): Failure("arm", "cannot be loaded", "slot-0")}
    found = driven(prepared, PretendedSlots(script, num_slots=1))
    assert list(found.failed) == ["control"]
    assert found.num_evaluated < NUM_UNITS


def test_a_deadline_comes_from_the_arms_own_history():
    bounds = Deadlines(None)
    assert bounds.hangs_after_s("a") == 3600
    assert bounds.lags_after_s("a") == float("inf")
    for seconds in (20.0, 2.0, 3.0):
        bounds.record("a", seconds)
    assert bounds.hangs_after_s("a") == 200.0
    assert bounds.lags_after_s("a") == 9.0  # three times the median
    assert bounds.hangs_after_s("b") == 3600
    assert Deadlines(5.0).hangs_after_s("a") == 5.0


def test_resources_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="unit_timeout_s"):
        Resources(unit_timeout_s=0.0)
