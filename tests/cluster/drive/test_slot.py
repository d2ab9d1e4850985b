"""A slot publishes a unit while it scores the next one, and every outcome is that of its own unit."""

import threading
import time

import pytest

from assay.cluster import pipeline
from assay.cluster.drive import slot as slot_module
from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.slot import Slot
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import PublishUnit
from assay.evaluator.errors import StoreError
from assay.evaluator.ledger import reader
from assay.evaluator.probes.latency import PairedTimes
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.ledger_layout import unit_key
from tests import builders

NUM_UNITS = 7  # 200 rows in units of 32
LONG_S = 60


class Announcing(PublishUnit):
    """Sets an event when it begins to score a unit."""

    def __init__(self) -> None:
        self.began = {(arm, unit): threading.Event() for arm in builders.ARMS for unit in range(NUM_UNITS)}

    def perform(self, task, unit, **words):
        self.began[task.arm, task.unit].set()
        return super().perform(task, unit, **words)


class Ledger(MemoryStore):
    """Calls `before_put` with the key of every unit before it stores it."""

    def __init__(self, name, before_put) -> None:
        super().__init__(name)
        self._before_put = before_put

    def put_if_absent(self, key, content):
        if "/data/scores/" in key:
            self._before_put(key)
        return super().put_if_absent(key, content)


@pytest.fixture
def prepared(tmp_path) -> pipeline.Prepared:
    return pipeline.prepare(str(builders.write_experiment(tmp_path, ledger=f"memory://{tmp_path}")))


@pytest.fixture
def make(prepared, monkeypatch):
    """Makes slots of the run whose ledger calls a function before it stores a unit."""
    slots = []

    def slot_of(before_put, *, work=None) -> tuple[Slot, Ledger]:
        ledger = Ledger("slot", before_put)
        monkeypatch.setattr(slot_module, "open_ledger", lambda uri, patient: ledger)
        slots.append(Slot("slot", prepared.run.model_dump_json(), prepared.import_paths, work or PublishUnit()))
        return slots[-1], ledger

    yield slot_of
    for slot in slots:
        slot.close()


def key_of(prepared, unit: int, arm: str = "control") -> str:
    return unit_key(prepared.run.run_id, arm, unit)


def test_a_run_in_process_scores_each_unit_while_the_one_before_is_published(prepared, monkeypatch):
    work = Announcing()
    after = {
        key_of(prepared, unit, arm): work.began[arm, unit + 1] for arm in builders.ARMS for unit in range(NUM_UNITS - 1)
    }

    def wait_for_the_next(key: str) -> None:
        if key in after and not after[key].wait(LONG_S):
            raise StoreError(f"{key}: the next unit was not begun")

    ledger = Ledger("overlap", wait_for_the_next)
    for module in (pipeline, slot_module):
        monkeypatch.setattr(module, "open_ledger", lambda uri, patient: ledger)
    monkeypatch.setattr(pipeline, "PublishUnit", lambda: work)
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    assert len(list(ledger.listing("v2/data/scores/"))) == NUM_UNITS * len(builders.ARMS)
    assert reader.is_committed(ledger, prepared.run.run_id)


def test_at_most_one_unit_waits_to_be_published(make):
    work = Announcing()
    slot, _ = make(lambda key: work.began["control", 1].wait(LONG_S), work=work)
    first = slot.perform(Task("control", 0), 1)
    assert not first.done()  # its unit waits for the next
    second = slot.perform(Task("control", 1), None)
    assert first.done()
    assert isinstance(second.result(LONG_S), Published)


def test_an_error_of_publishing_is_that_of_the_unit_and_not_of_the_next(make, prepared):
    def refuse(key: str) -> None:
        if key == key_of(prepared, 1):
            raise StoreError("the disk is full")

    slot, ledger = make(refuse)
    ends = [slot.perform(Task("control", unit), None) for unit in range(3)]
    first, second, third = (end.result(LONG_S) for end in ends)
    assert isinstance(second, Failure)
    assert (second.scope, second.reason) == ("run", "the disk is full")
    assert [each.receipt.key for each in (first, third)] == [key_of(prepared, 0), key_of(prepared, 2)]
    assert [entry.key for entry in ledger.listing("v2/data/scores/")] == [key_of(prepared, 0), key_of(prepared, 2)]


def test_an_arm_is_replaced_only_after_its_last_unit_is_published(make, monkeypatch):
    released, loaded = threading.Event(), []
    slot, _ = make(lambda key: released.wait(LONG_S))
    first = slot.perform(Task("control", 0), None)
    load = ArmScorer.load

    def noted(self, arm, **options):
        loaded.append(first.done())
        load(self, arm, **options)

    monkeypatch.setattr(ArmScorer, "load", noted)
    threading.Timer(0.1, released.set).start()
    slot.perform(Task("better", 0), None)
    assert loaded == [True]


def test_a_slot_is_closed_after_its_last_unit_is_published(make, prepared):
    slot, ledger = make(lambda key: time.sleep(0.1))
    end = slot.perform(Task("control", 0), None)
    slot.close()
    assert isinstance(end.result(0), Published)
    assert ledger.exists(key_of(prepared, 0))


def test_a_unit_is_charged_for_its_own_cpu_time_and_not_for_publishing_the_one_before(make):
    work = Announcing()

    def burn(key: str) -> None:
        work.began["control", 1].wait(LONG_S)
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            sum(range(1000))

    slot, _ = make(burn, work=work)
    ends = [slot.perform(Task("control", unit), None) for unit in range(3)]
    for end in ends:
        facts = end.result(LONG_S).receipt.facts
        assert facts.attempt.write_cpu_s >= 0.5
        assert facts.attempt.timing.cpu_s < 0.25


def test_an_arm_that_cannot_be_loaded_is_tried_once_whatever_units_of_it_were_sent(make, monkeypatch):
    loads = []

    def broken(self, arm, **options):
        loads.append(arm)
        raise RuntimeError("no such layer")

    monkeypatch.setattr(ArmScorer, "load", broken)
    slot, _ = make(lambda key: None)
    ends = [slot.perform(Task("control", unit), None).result(LONG_S) for unit in range(2)]
    assert [(end.scope, end.reason) for end in ends] == [
        ("arm", "the variant cannot be loaded: RuntimeError: no such layer")
    ] * 2
    assert loads == ["control"]


def test_times_beside_the_control_are_recorded_with_one_unit_that_this_slot_published(make):
    elsewhere, ledger = make(lambda key: None)
    elsewhere.perform(Task("better", 0), None).result(LONG_S)
    slot, _ = make(lambda key: None)
    slot._ledger = ledger
    slot.scorer.load("better")
    slot.scorer.probe()
    slot.scorer.paired_times = PairedTimes(reason="as if a guardrail had asked for them")
    ends = [slot.perform(Task("better", unit), None).result(LONG_S) for unit in range(3)]
    assert [end.is_ours for end in ends] == [False, True, True]
    assert [end.receipt.facts.latency is not None for end in ends] == [False, True, False]
