"""Measures the driver's cost per unit, and how close its schedule comes to the lower bound; without a model or Ray.

    python scripts/bench_driver.py [--quick]

Part `driver`: fake slots that answer at once, so all the time is spent in the driver: schedule, receipts, progress.
Part `schedule`: slots in simulated time. Units take different times, some fail and are retried, and some slots die. The
lower bound of the makespan is the total work divided by the number of slots. Exits with 1 if a bound is exceeded.
"""

import argparse
import heapq
import resource
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assay.cluster.drive.driver import Driver
from assay.cluster.drive.executor import Ready, TaskOutcome
from assay.cluster.drive.progress import ProgressReporter
from assay.cluster.drive.schedule import Schedule, Task
from assay.cluster.drive.task_result import Published
from assay.cluster.drive.waves import Waves
from assay.evaluator.batches import Unit
from assay.evaluator.conditions import Conditions, DeterminismFlags
from assay.evaluator.ledger.receipt import Attempt, Footprint, Preparation, UnitFacts, UnitReceipt
from assay.evaluator.results import BatchSizeSensitivity, UnitTiming
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests import Arm, CallableVariant, Experiment, Metric, Plan, Policy, Resources, Suite
from assay.manifests.check_report import CheckReport
from assay.manifests.column import FrozenColumn
from assay.manifests.run import Lineage, Run

NO_DIGEST = "sha256:" + "0" * 64


class FakeSlots:
    """An executor whose slots report a unit as published as soon as it is submitted."""

    depth = 2

    def __init__(self) -> None:
        self.answers: list[Ready | TaskOutcome] = []
        self.num_slots = 0

    def start(self, run: Run, *, import_paths: tuple[str, ...]) -> None:
        """Does nothing."""

    def accelerator_type_of(self, arm: Arm) -> str:  # noqa: ARG002
        """Returns the same type for all arms."""
        return ""

    def want(self, accelerator_type: str, num_slots: int) -> None:
        """Adds slots up to the requested number; never removes one."""
        self.answers += [
            Ready(f"slot-{number}", accelerator_type) for number in range(self.num_slots, min(num_slots, NUM_SLOTS))
        ]
        self.num_slots = max(self.num_slots, min(num_slots, NUM_SLOTS))

    def submit(self, slot: str, task: Task, upcoming: int | None) -> None:  # noqa: ARG002
        """Answers at once that the unit is published."""
        receipt = UnitReceipt(task.arm, task.unit, "key", 1024, 65536, NO_DIGEST, NO_DIGEST, facts_of(task), {})
        self.answers.append(TaskOutcome(slot, task, Published(receipt, is_ours=True, digest=NO_DIGEST)))

    def wait(self, timeout_s: float) -> list[Ready | TaskOutcome]:  # noqa: ARG002
        """Returns all answers so far."""
        answers, self.answers = self.answers, []
        return answers

    def interrupt(self, slot: str, reason: str) -> list[TaskOutcome]:  # noqa: ARG002
        """Returns nothing: a unit is done before it could be interrupted."""
        return []

    def give_back(self, slot: str) -> None:
        """Does nothing."""

    def close(self) -> list[TaskOutcome]:
        """Does nothing: every unit has been reported."""
        return []


NUM_SLOTS = 64


CONDITIONS = Conditions(
    host="host",
    cpu="cpu",
    device="cpu",
    device_class="cpu",
    num_cpus=1.0,
    num_gpus=0.0,
    accelerator_type="",
    environment_digest=NO_DIGEST,
    environment={},
    determinism=DeterminismFlags(True, False, True, False, False, False, 1, 1, "float32", None, None, None),
)


def facts_of(task: Task) -> UnitFacts:
    """As many facts as a real receipt holds."""
    timing = UnitTiming(**{field.name: field.type(task.unit) for field in fields(UnitTiming)})
    return UnitFacts(
        first_row=task.unit * 1024,
        batch_size=1024,
        conditions=CONDITIONS,
        footprint=Footprint(),
        batch_sensitivity=BatchSizeSensitivity(32, 0, 0.0, 0.0),
        opened_files={},
        unanswered={},
        first_unanswered="",
        score_sums={"accuracy": 1.0 * task.unit},
        repeat_sums={},
        nonce=f"{task.arm}-{task.unit}",
        attempt=Attempt("slot-1", 1, "2026-01-01T00:00:00+00:00", "shared", Preparation(), timing),
    )


def fake_run(num_arms: int) -> Run:
    """A run whose arms are never loaded."""
    plan = Plan(kind="Plan", version=1, metric="accuracy", scale="binary", control="arm-0")
    suite = Suite(
        kind="Suite",
        version=1,
        batch_size=1024,
        metrics=(Metric(name="accuracy", measure="accuracy"),),
        plan=plan,
        policy=Policy(kind="Policy", version=1),
    )
    variant = CallableVariant(
        kind="Variant", version=1, predictor="callable", entrypoint="module:function", output="labels"
    )
    experiment = Experiment(
        kind="Experiment",
        version=1,
        name="fake",
        dataset="datasets/none@v1",
        suite=suite,
        arms=tuple(Arm(name=f"arm-{number}", variant=variant) for number in range(num_arms)),
        resources=Resources(max_slots=NUM_SLOTS),
        ledger="memory://bench-driver",
    )
    return Run(
        run_id="fake-1",
        experiment=experiment,
        experiment_digest=NO_DIGEST,
        dataset_digest=NO_DIGEST,
        suite_digest=NO_DIGEST,
        plan_digest=NO_DIGEST,
        policy_digest=NO_DIGEST,
        variant_digests={},
        label=FrozenColumn(name="label", role="label", type="int64"),
        dataset_check=CheckReport(num_rows=0, is_complete=True, rules=(), changes=()),
        unit_keys={},
        code=(),
        base_digests={},
        lineage=Lineage(identity={}, circumstance={}),
        opened_at="",
    )


def bench_driver(num_arms: int, num_units: int) -> bool:
    """Prints the driver's CPU time and memory per unit; returns whether the bound is kept."""
    run = fake_run(num_arms)
    units = [Unit(index, index * 1024, 1024, 1024) for index in range(num_units)]
    store = MemoryStore("bench-driver")
    total, done = num_arms * num_units, 0
    marks: list[tuple[float, float]] = []  # (CPU seconds, MB) after each tenth of the units

    def on_progress(_arm: str, num_units: int) -> None:
        nonlocal done
        done += num_units
        if done % (total // 10) == 0:
            marks.append((time.process_time(), resident_mb()))

    began_s, began_mb = time.process_time(), resident_mb()
    reporter = ProgressReporter(
        run,
        num_units=num_units,
        num_rows=num_units * 1024,
        store=store,
        submission_id="",
        on_progress=on_progress,
    )
    outcome = Driver(run, executor=FakeSlots(), reporter=reporter).drive(Waves(units), published=(), import_paths=())
    assert outcome.num_evaluated == total
    cpu_ms = 1000 * (marks[-1][0] - began_s) / total
    first, last = marks[0][0] - began_s, marks[-1][0] - marks[-2][0]
    growth_kb = 1000 * (marks[-1][1] - began_mb) / total
    print(f"driver: {num_arms:,} arms x {num_units:,} units on {NUM_SLOTS} slots")
    print(f"  CPU per unit             {cpu_ms:8.3f} ms   bound 2 ms")
    print(f"  last tenth / first tenth {last / first:8.2f}      CPU seconds")
    print(f"  memory per unit          {growth_kb:8.2f} kB   its receipt, kept until the commit")
    return cpu_ms < 2


def resident_mb() -> float:
    """This process's current resident memory, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def bench_schedule(num_arms: int, num_units: int, num_slots: int, replicas: int) -> bool:
    """Prints the schedule's CPU time and makespan in simulated time; returns whether the bounds are kept.

    An arm's mean seconds per unit are lognormal, and each unit varies about that mean. 1 % of the attempts fail. One in
    ten of these also ends its slot, which comes back after 5 simulated seconds.
    """
    rng = np.random.default_rng(0)
    arms = [f"arm-{number}" for number in range(num_arms)]
    seconds_of_arm = dict(zip(arms, rng.lognormal(0.0, 0.5, num_arms).tolist(), strict=True))
    chance = rng.random(1 << 20).tolist()
    spread = (0.5 + rng.gamma(4.0, 0.125, 1 << 20)).tolist()
    began_s = time.process_time()
    schedule = Schedule(arms, replicas=replicas, max_attempts=10, accelerator_types={})
    schedule.add({arm: range(num_units) for arm in arms})
    idle = [f"slot-{number}" for number in range(num_slots)]
    events: list[tuple[float, int, str, Task | None]] = []
    now_s = work_s = 0.0
    count = num_done = num_failed = num_died = 0
    while not schedule.finished:
        waiting = []
        for slot in idle:
            task = schedule.next_task(slot)
            if task is None:
                waiting.append(slot)
                continue
            seconds = seconds_of_arm[task.arm] * spread[count & 0xFFFFF]
            work_s += seconds
            heapq.heappush(events, (now_s + seconds, count, slot, task))
            count += 1
        idle = waiting
        now_s, number, slot, task = heapq.heappop(events)
        idle.append(slot)
        if task is None:
            continue
        fate = chance[number & 0xFFFFF]
        if fate < 0.01:
            num_failed += 1
            assert schedule.failed_once(task, "chance")
            if fate < 0.001:  # the slot died, too, and is restarted
                num_died += 1
                schedule.release(slot)
                idle.pop()
                heapq.heappush(events, (now_s + 5.0, count, slot, None))
                count += 1
                work_s += 5.0
        else:
            schedule.succeeded(task)
            num_done += 1
    cpu_s = time.process_time() - began_s
    assert num_done == num_arms * num_units
    assert not schedule.failed
    excess = now_s / (work_s / num_slots) - 1
    print(f"schedule: {num_arms:,} arms x {num_units:,} units, {num_slots:,} slots, at most {replicas} per arm")
    print(f"  CPU                      {cpu_s:8.1f} s    {1e6 * cpu_s / num_done:.1f} us per unit   bound 60 s")
    print(
        f"  makespan over lower bound{100 * excess:8.2f} %    bound 5 %   "
        f"({num_failed:,} failures, {num_died:,} slots died)"
    )
    return cpu_s < 60 and excess < 0.05


def main() -> int:
    """Runs both parts; returns 1 if a bound is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most a hundredth of the work, for CI")
    options = parser.parse_args()
    if options.quick:
        results = [bench_driver(100, 10), bench_schedule(500, 100, 100, 8)]
    else:
        results = [bench_driver(1000, 100), bench_schedule(10_000, 1000, 1000, 8)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
