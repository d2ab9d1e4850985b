import random

from hypothesis import given
from hypothesis import strategies as st

from assay.cluster.drive.schedule import Schedule, Task


def schedule_of(pending, *, replicas=1, max_attempts=1, accelerator_types=None) -> Schedule:
    schedule = Schedule(
        list(pending), replicas=replicas, max_attempts=max_attempts, accelerator_types=accelerator_types or {}
    )
    schedule.add(pending)
    return schedule


def test_a_slot_stays_with_its_arm_until_the_arm_has_no_units_left():
    schedule = schedule_of({"a": [0, 1], "b": [0]}, replicas=1, max_attempts=1)
    assert [schedule.next_task("s") for _ in range(4)] == [Task("a", 0), Task("a", 1), Task("b", 0), None]


def test_what_is_upcoming_is_what_comes_next_and_taking_a_look_changes_nothing():
    schedule = schedule_of({"a": [0, 3], "b": [1, 2]}, replicas=1, max_attempts=1)
    assert schedule.upcoming("s") == 0
    found = []
    while task := schedule.next_task("s"):
        found.append((task.unit, schedule.upcoming("s"), schedule.upcoming("s")))
    assert found == [(0, 3, 3), (3, 1, 1), (1, 2, 2), (2, None, None)]


def test_slots_that_share_an_arm_expect_every_other_unit():
    schedule = schedule_of({"a": [0, 1, 2, 3, 4], "b": [7]}, replicas=2, max_attempts=1)
    for slot in ("s", "t"):
        schedule.next_task(slot)
    assert [schedule.upcoming(slot) for slot in ("s", "t")] == [3, 3]
    assert [schedule.next_task(slot).unit for slot in ("s", "t")] == [2, 3]
    assert schedule.upcoming("s") == 4  # the arm's last unit is as likely this slot's as the other's
    schedule.next_task("t")
    assert schedule.upcoming("s") == 7


def test_an_arm_gets_no_more_slots_than_replicas():
    schedule = schedule_of({"a": [0, 1, 2]}, replicas=2, max_attempts=1)
    assert [schedule.next_task(slot) for slot in ("s", "t", "u")] == [Task("a", 0), Task("a", 1), None]


def test_a_unit_is_tried_again_until_its_attempts_are_spent_and_then_only_its_arm_fails():
    schedule = schedule_of({"a": [0, 1], "b": [0]}, replicas=1, max_attempts=2)
    first = schedule.next_task("s")
    assert schedule.failed_once(first, "broke")
    second = schedule.next_task("s")
    assert second == Task("a", 0, attempt=2)
    assert not schedule.failed_once(second, "broke")
    assert schedule.failed == {"a": "unit 0 (2 attempts): broke"}
    assert schedule.next_task("s") == Task("b", 0)


def test_an_arm_that_cannot_be_loaded_is_not_tried_again():
    schedule = schedule_of({"a": [0, 1]}, replicas=1, max_attempts=5)
    assert not schedule.failed_once(schedule.next_task("s"), "no such weights", arm_is_lost=True)
    assert schedule.finished


@given(
    units=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    replicas=st.integers(1, 4),
    num_slots=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_every_unit_is_done_exactly_once_whatever_fails(units, replicas, num_slots, seed):
    chance = random.Random(seed)
    pending = {f"arm-{index}": list(range(count)) for index, count in enumerate(units)}
    schedule = schedule_of(pending, replicas=replicas, max_attempts=1000)
    running: dict[str, Task] = {}
    done: list[tuple[str, int]] = []
    while not schedule.finished:
        for slot in (f"slot-{number}" for number in range(num_slots)):
            task = None if slot in running else schedule.next_task(slot)
            if task is not None:
                running[slot] = task
        assert running, "something waits, but no slot gets it"
        slot = chance.choice(sorted(running))
        task = running.pop(slot)
        if chance.random() < 0.3:
            schedule.failed_once(task, "chance")
        else:
            schedule.succeeded(task)
            done.append((task.arm, task.unit))
    assert sorted(done) == sorted((arm, unit) for arm, numbers in pending.items() for unit in numbers)


def test_a_failure_that_is_not_the_units_own_costs_no_attempt():
    schedule = schedule_of({"a": [0]}, max_attempts=1)
    for _ in range(5):
        assert schedule.failed_once(schedule.next_task("s"), "its node died", counts=False)
    assert schedule.next_task("s") == Task("a", 0)


def test_a_lost_slot_leaves_its_arm_to_others():
    schedule = schedule_of({"a": [0, 1]})
    schedule.next_task("s")
    assert schedule.next_task("t") is None
    schedule.release("s")
    assert schedule.next_task("t") == Task("a", 1)


def test_of_a_unit_that_two_slots_do_the_first_answer_counts_and_nobody_waits_for_the_other():
    schedule = schedule_of({"a": [0]})
    task = schedule.next_task("s")
    schedule.copied(task)
    assert not schedule.finished
    schedule.succeeded(task)
    assert schedule.finished
    assert schedule.failed_once(task, "the late one broke")
    assert schedule.finished
    assert not schedule.failed


def test_a_unit_is_not_tried_again_while_its_copy_still_runs():
    schedule = schedule_of({"a": [0]})
    task = schedule.next_task("s")
    schedule.copied(task)
    assert schedule.failed_once(task, "one of the two broke")
    assert schedule.next_task("t") is None
    schedule.succeeded(task)
    assert schedule.finished


def test_a_slot_gets_only_arms_of_its_kind():
    schedule = schedule_of({"a": [0], "b": [0], "c": [0]}, accelerator_types={"b": "H100"})
    assert [schedule.next_task("s", "H100"), schedule.next_task("s", "H100")] == [Task("b", 0), None]
    assert [schedule.next_task("t").arm, schedule.next_task("t").arm] == ["a", "c"]
    assert schedule_of({"a": [0, 1], "b": [0]}, replicas=3, accelerator_types={"b": "H100"}).num_openings() == {
        "": 2,
        "H100": 1,
    }


def test_units_can_be_added_while_others_run_but_not_to_a_failed_arm():
    schedule = schedule_of({"a": [0], "b": [0]})
    first = schedule.next_task("s")
    schedule.add({"a": [1], "b": [1]})
    schedule.failed_once(first, "broke")
    schedule.add({"a": [2]})
    assert [schedule.next_task("s").arm, schedule.next_task("s").arm, schedule.next_task("s")] == ["b", "b", None]
