"""A driver publishes its progress in the ledger and sees cancellations there, cheaply and without risk to the run."""

import json

import pytest

from assay.cluster import pipeline
from assay.cluster.drive import driver, progress
from assay.cluster.errors import RunError
from assay.cluster.report.record import document
from assay.evaluator.errors import StoreError
from assay.evaluator.ledger import reader
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.environment_variables import SUBMISSION_VARIABLE
from assay.manifests.ledger_layout import cancel_key, progress_key, submission_key, table_prefix
from assay.manifests.progress import Progress
from tests import builders
from tests.receipts import receipt

NUM_UNITS = 7  # 200 rows in units of 32
NUM_ROWS = 200


def prepare(folder, **options) -> pipeline.Prepared:
    return pipeline.prepare(str(builders.write_experiment(folder, **options)))


def run(prepared, on_progress=lambda arm, units: None) -> None:
    pipeline.run(prepared, in_process=True, on_progress=on_progress)


def told(prepared) -> Progress:
    return Progress.model_validate_json(prepared.store.get(progress_key(prepared.run.run_id)).to_pybytes())


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__("counting")
        self.num_replaced = 0

    def replace(self, key, content) -> None:
        self.num_replaced += 1
        super().replace(key, content)


class BrokenStore(MemoryStore):
    """A store that takes evidence but fails on progress and on looking for a cancel marker."""

    def replace(self, key, content) -> None:
        raise StoreError("the bucket is away")

    def exists(self, key) -> bool:
        raise StoreError("the bucket is away")


@pytest.fixture
def prepared(tmp_path) -> pipeline.Prepared:
    return prepare(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def every_unit(monkeypatch) -> None:
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)
    monkeypatch.setattr(driver, "_TICK_S", 0.0)


def reporter_of(prepared, store, clock=Clock, submission_id="") -> progress.ProgressReporter:
    return progress.ProgressReporter(
        prepared.run, num_units=NUM_UNITS, num_rows=NUM_ROWS, store=store, submission_id=submission_id, clock=clock
    )


def test_a_finished_run_says_so(prepared):
    run(prepared)
    reached = told(prepared)
    assert reached.state == "committed"
    assert reached.num_units_done == NUM_UNITS * len(builders.ARMS)
    assert reached.num_rows_done == NUM_ROWS * len(builders.ARMS)
    assert [arm.arm for arm in reached.arms] == list(builders.ARMS)
    assert reached.eta_s == 0


def test_progress_is_not_taken_for_a_run_or_for_a_file_of_one(prepared):
    run(prepared)
    assert [each.run_id for each in reader.runs(prepared.store)] == [prepared.run.run_id]
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    assert progress_key(prepared.run.run_id) not in {file.key for file in files}


def test_a_thousand_units_in_a_second_are_told_once(prepared, clock):
    store = CountingStore()
    reporter = reporter_of(prepared, store, clock)
    for step in range(1000):
        clock.now_s = step / 1000
        reporter.add_published_unit(receipt("control", step % NUM_UNITS))
        reporter.poll_cancelled()
    assert store.num_replaced == 1
    clock.now_s = 1.0
    reporter.poll_cancelled()
    assert store.num_replaced == 2


def test_the_estimate_counts_what_was_evaluated_now_and_no_failed_arm(prepared, clock):
    reporter = reporter_of(prepared, MemoryStore("estimate"), clock)
    for unit in range(NUM_UNITS):  # already in the ledger: says nothing about the pace
        reporter.add_existing_unit(receipt("control", unit))
    assert reporter.progress("running", "").eta_s is None
    clock.now_s = 10.0
    for unit in range(5):
        reporter.add_published_unit(receipt("better", unit))
    reporter.arm_failed("worse", "cannot be loaded")
    reached = reporter.progress("running", "")
    assert reached.eta_s == 10 / 5 * (2 + NUM_UNITS)  # two of 'better', all of 'again'
    assert {arm.arm: arm.failed for arm in reached.arms}["worse"] == "cannot be loaded"


def test_a_unit_that_is_told_twice_counts_once(prepared, clock):
    reporter = reporter_of(prepared, MemoryStore("twice"), clock)
    for _ in range(2):
        reporter.add_published_unit(receipt("better", 3))
    assert reporter.progress("running", "").num_units_done == 1


def test_a_store_that_takes_no_progress_does_not_end_the_run(prepared, clock):
    reporter = reporter_of(prepared, BrokenStore("broken"), clock, submission_id="small-1")
    with progress.reporting(reporter):
        reporter.add_published_unit(receipt("better", 3))


def test_a_run_that_failed_says_why(tmp_path, every_unit):
    prepared = prepare(tmp_path, arms={**builders.ARMS, "control": builders.variant("raises", above=0.5)})
    with pytest.raises(RunError, match="the control 'control' could not be measured"):
        run(prepared)
    reached = told(prepared)
    assert reached.state == "failed"
    assert "cannot take this batch" in reached.reason
    assert "cannot take this batch" in reached.arms[0].failed


def test_a_submitted_driver_notes_which_run_it_carries_out(tmp_path, monkeypatch):
    monkeypatch.setenv(SUBMISSION_VARIABLE, "small-1")
    prepared = prepare(tmp_path)
    note = json.loads(prepared.store.get(submission_key("small-1")).to_pybytes())
    assert note == {"run_id": prepared.run.run_id}


def test_a_cancelled_driver_stops_after_the_units_in_hand_and_the_next_one_goes_on(tmp_path, monkeypatch, every_unit):
    calm = prepare(tmp_path, ledger="calm")
    run(calm)
    expected = document(calm.store, calm.run.run_id).plain()["scores_digest"]

    monkeypatch.setenv(SUBMISSION_VARIABLE, "small-1")
    prepared = prepare(tmp_path)
    seen = []

    def cancel_at_five(arm: str, units: int) -> None:
        seen.append(arm)
        if len(seen) == 5:
            prepared.store.put_if_absent(cancel_key("small-1"), b"{}")

    with pytest.raises(RunError, match=r"submission 'small-1' was cancelled.*run the same command again"):
        run(prepared, cancel_at_five)
    assert len([*prepared.store.listing(table_prefix("scores", prepared.run.run_id))]) == 6  # one was being published
    assert told(prepared).state == "cancelled"
    assert told(prepared).num_units_done == 6
    assert not reader.is_committed(prepared.store, prepared.run.run_id)

    with pytest.raises(RunError, match="was cancelled"):  # the same submission, started late, like a pending job
        run(prepared)
    assert len([*prepared.store.listing(table_prefix("scores", prepared.run.run_id))]) == 6

    monkeypatch.setenv(SUBMISSION_VARIABLE, "small-1.2")
    run(prepared)
    report = document(prepared.store, prepared.run.run_id).plain()
    assert report["scores_digest"] == expected
    assert [event["kind"] for event in report["events"]] == ["resumed"]
    assert told(prepared).state == "committed"
