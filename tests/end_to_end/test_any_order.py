"""Whatever the shards, slots, order of completion and failures: the same batch size gives the same scores."""

import itertools
import random
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.cluster import pipeline
from assay.cluster.drive.executor import Ready, TaskOutcome
from assay.cluster.drive.slot import Slot
from assay.cluster.drive.task_result import Failure
from assay.cluster.drive.unit_work import PublishUnit
from assay.cluster.report.record import document
from assay.evaluator.ledger import reader
from tests import builders
from tests.score_tables import score_tables

ARMS = {"control": builders.variant(flip_every=5), "mixing": builders.variant("mixing")}
NUM_ROWS = 90


class UnrulyExecutor:
    """Several slots in this process that finish in random order; some die, before or after they publish."""

    depth = 2

    def __init__(self, seed: int, *, num_slots: int) -> None:
        self._random = random.Random(seed)
        self._num_slots = num_slots
        self._in_hand = []
        self._slots = {}
        self._ready = []
        self._numbers = itertools.count()

    def start(self, run, *, import_paths):
        self._make = lambda name: Slot(name, run.model_dump_json(), import_paths, PublishUnit())

    def accelerator_type_of(self, arm):
        return ""

    def want(self, accelerator_type, num_slots):
        for _ in range(len(self._slots), min(num_slots, self._num_slots)):
            name = f"slot-{next(self._numbers)}"
            self._slots[name] = self._make(name)
            self._ready.append(Ready(name, accelerator_type))

    def submit(self, slot, task, upcoming):
        self._in_hand.append((slot, task, upcoming))

    def wait(self, timeout_s):
        if self._ready:
            return [self._ready.pop()]
        slot, task, upcoming = self._in_hand.pop(self._random.randrange(len(self._in_hand)))
        fate = self._random.random()
        if fate < 0.1:  # the slot dies before it begins
            return self._lost(slot, task)
        end = self._slots[slot].perform(task, upcoming)
        if fate < 0.2:  # the slot dies after it has published: the retry finds the published unit
            self._slots[slot].close()
            self._slots[slot] = self._make(slot)
            return self._lost(slot, task)
        return [TaskOutcome(slot, task, end.result())]

    def _lost(self, slot, task):
        """The slot loses all its units in flight and is restarted at once."""
        others = [other for each, other, _ in self._in_hand if each == slot]
        self._in_hand = [each for each in self._in_hand if each[0] != slot]
        self._ready.append(Ready(slot, ""))
        died = Failure("slot", "died", slot)
        return [
            TaskOutcome(slot, task, died),
            *(TaskOutcome(slot, each, replace(died, counts=False)) for each in others),
        ]

    def interrupt(self, slot, reason):
        return []

    def give_back(self, slot):
        self._slots.pop(slot).close()

    def close(self):
        for slot in self._slots.values():
            slot.close()
        return []


def scores(prepared) -> dict[str, pa.Table]:
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    columns = ["row_index", "row_id", "prediction", "score_accuracy", "score_log_loss"]
    return {
        arm: pa.concat_tables(list(score_tables(prepared.store, files, arm, columns))).combine_chunks() for arm in ARMS
    }


def run(folder: Path, monkeypatch, *, batch_size: int, shard_rows: int, replicas: int = 1, executor=None):
    suite = {**builders.SUITE, "batch_size": batch_size}
    folder.mkdir()
    builders.freeze_rows(folder, num_rows=NUM_ROWS, shard_rows=shard_rows)
    resources = {"replicas": replicas, "max_attempts": 50}
    prepared = pipeline.prepare(str(builders.write_experiment(folder, arms=ARMS, suite=suite, resources=resources)))
    with monkeypatch.context() as patched:
        if executor is not None:
            patched.setattr(pipeline, "open_executor", lambda _work, **_options: nullcontext(executor))
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.integers(2, 40),
    shards=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    num_slots=st.integers(1, 4),
    replicas=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_nothing_but_rows_and_batch_size_shows_in_the_scores(tmp_path, batch_size, shards, num_slots, replicas, seed):
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tempfile.mkdtemp(dir=tmp_path)
        alone = run(Path(folder, "alone"), monkeypatch, batch_size=batch_size, shard_rows=shards[0])
        unruly = UnrulyExecutor(seed, num_slots=num_slots)
        again = run(
            Path(folder, "again"),
            monkeypatch,
            batch_size=batch_size,
            shard_rows=shards[0],
            replicas=replicas,
            executor=unruly,
        )
        digests = {document(each.store, each.run.run_id).plain()["scores_digest"] for each in (alone, again)}
        assert len(digests) == 1
        other = run(Path(folder, "other"), monkeypatch, batch_size=batch_size, shard_rows=shards[1])
        assert scores(other) == scores(alone)
