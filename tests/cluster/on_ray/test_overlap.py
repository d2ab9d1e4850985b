"""A slot on Ray publishes a unit while it scores the next one, and ends if a variant ends its process."""

import time
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.drive.unit_work import PublishUnit
from assay.cluster.report.record import document
from assay.evaluator.errors import StoreError
from tests import builders

NUM_UNITS = 7  # 200 rows in units of 32
LONG_S = 60


class Meeting(PublishUnit):
    """Publishes a unit only once the next one of its arm was begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def perform(self, task, unit, **words):
        (self._folder / f"{task.arm}-{task.unit}").touch()
        publish = super().perform(task, unit, **words)

        def publish_late():
            next_one, deadline = self._folder / f"{task.arm}-{task.unit + 1}", time.monotonic() + LONG_S
            while task.unit + 1 < NUM_UNITS and not next_one.exists():
                if time.monotonic() > deadline:
                    raise StoreError(f"{next_one.name} was not begun")
                time.sleep(0.01)
            return publish()

        return publish_late


@pytest.mark.ray
def test_a_slot_scores_each_unit_while_the_one_before_is_published(tmp_path, monkeypatch, local_ray):
    (tmp_path / "begun").mkdir()
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    monkeypatch.setattr(pipeline, "PublishUnit", lambda: Meeting(tmp_path / "begun"))
    pipeline.run(prepared, in_process=False, on_progress=lambda arm, units: None)
    report = document(prepared.store, prepared.run.run_id)
    assert {arm.num_units_done for arm in report.arms} == {NUM_UNITS}
    assert report.events == ()


@pytest.mark.ray
def test_an_arm_that_exits_costs_its_arm_only(tmp_path, local_ray):
    (tmp_path / "leaving.py").write_text("def leave(features):\n    raise SystemExit(3)\n")
    leaving = {**builders.variant(), "entrypoint": "leaving:leave", "parameters": {}}
    arms = {"control": builders.ARMS["control"], "better": builders.variant(), "leaving": leaving}
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=arms)))
    pipeline.run(prepared, in_process=False, on_progress=lambda arm, units: None)
    status = {arm.arm: arm.status for arm in document(prepared.store, prepared.run.run_id).arms}
    assert status == {"control": "complete", "better": "complete", "leaving": "failed"}
