"""A failing arm does not affect the others: it raises, or kills its process. A failing control fails the run."""

import pytest

from assay.cluster import pipeline
from assay.cluster.errors import RunError
from assay.cluster.report.record import document
from assay.evaluator.errors import LedgerError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.opening import create_ledger
from tests import builders


def run(experiment, *, in_process: bool = True) -> dict:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=in_process, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def failing_arms(**failing) -> dict[str, dict]:
    return {"control": builders.ARMS["control"], **failing, "better": builders.ARMS["better"]}


def test_an_arm_that_raises_is_tried_again_and_then_fails_alone(tmp_path):
    arms = failing_arms(broken=builders.variant("raises", above=0.5))
    report = run(builders.write_experiment(tmp_path, arms=arms, resources={"max_attempts": 2}))
    decisions = {row["arm"]: row for row in report["decisions"]}
    assert decisions["better"]["decision"] == "promote"
    assert decisions["broken"]["decision"] == "hold"
    assert "cannot take this batch" in " ".join(decisions["broken"]["reasons"])
    kinds = [event["kind"] for event in report["events"] if event["arm"] == "broken"]
    assert set(kinds) == {"retried", "arm_failed"}
    assert kinds.count("arm_failed") == 1
    assert "Traceback" in report["events"][-1]["message"]
    assert next(arm for arm in report["arms"] if arm["arm"] == "broken")["status"] == "failed"


def test_scores_of_a_failed_arm_are_not_part_of_the_run(tmp_path):
    builders.freeze_rows(tmp_path, num_rows=1000)
    arms = failing_arms(broken=builders.variant("raises", above=0.995))  # no row of the first 16 batches is above it
    experiment = builders.write_experiment(tmp_path, arms=arms)
    run(experiment)
    prepared = pipeline.prepare(str(experiment))
    store, run_id = prepared.store, prepared.run.supersedes
    files = reader.committed_files(store, run_id)
    assert reader.score_files(files, "better")
    assert not reader.score_files(files, "broken")
    assert reader.stored_units(store, run_id, "broken")


def test_a_run_with_a_failed_arm_is_superseded_by_the_next_one(tmp_path):
    arms = failing_arms(broken=builders.variant("raises", above=0.5))
    experiment = builders.write_experiment(tmp_path, arms=arms)
    first = run(experiment)
    second = run(experiment)
    assert second["run_id"] == f"{first['run_id']}.2"
    assert second["supersedes"] == first["run_id"]
    assert second["scores_digest"] == first["scores_digest"]


def test_without_its_control_a_run_is_not_committed(tmp_path):
    arms = {**builders.ARMS, "control": builders.variant("raises", above=0.5)}
    experiment = builders.write_experiment(tmp_path, arms=arms)
    with pytest.raises(RunError, match="the control 'control' could not be measured"):
        run(experiment)
    prepared = pipeline.prepare(str(experiment))
    assert not reader.is_committed(prepared.store, prepared.run.run_id)


def test_an_output_that_is_no_probability_is_named_with_its_row(tmp_path):
    arms = failing_arms(wild=builders.variant("doubled"))
    report = run(builders.write_experiment(tmp_path, arms=arms))
    (reason,) = [arm["reason"] for arm in report["arms"] if arm["arm"] == "wild"]
    assert "row " in reason
    assert "between 0 and 1" in reason
    assert "attempts" not in reason  # not retried: the output would be the same


def test_the_same_name_with_another_plan_is_another_run(tmp_path):
    first = run(builders.write_experiment(tmp_path))
    plan = {**builders.SUITE["plan"], "alpha": 0.01}
    second = run(builders.write_experiment(tmp_path, suite={**builders.SUITE, "plan": plan}))
    assert first["run_id"] != second["run_id"]
    assert first["plan_digest"] != second["plan_digest"]


def test_a_recorded_plan_cannot_be_exchanged(tmp_path):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    other = prepared.run.model_copy(update={"plan_digest": "sha256:" + "0" * 64})
    from assay.evaluator.ledger import writer

    create_ledger(prepared.store)
    writer.open_run(prepared.store, prepared.run)
    with pytest.raises(LedgerError, match="opened with another analysis plan"):
        writer.open_run(prepared.store, other)


def test_the_plan_is_in_the_ledger_before_the_first_unit(tmp_path):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    seen = []

    def on_progress(arm: str, units: int) -> None:
        seen.append(reader.read_run(prepared.store, prepared.run.run_id).plan_digest)

    pipeline.run(prepared, in_process=True, on_progress=on_progress)
    assert set(seen) == {prepared.run.plan_digest}
    files = list((tmp_path / "ledger/v2/data").rglob("*.parquet"))
    opened = tmp_path / f"ledger/v2/runs/{prepared.run.run_id}.json"
    assert all(opened.stat().st_mtime_ns <= file.stat().st_mtime_ns for file in files)


@pytest.mark.ray
def test_a_unit_that_kills_its_process_costs_its_arm_only_and_one_that_does_so_once_costs_nothing(tmp_path, local_ray):
    once = tmp_path / "once"
    arms = failing_arms(
        deadly=builders.variant("kills_process"),
        shaken=builders.variant("kills_process", once=str(once), flip_every=2),
    )
    once.touch()
    calm = builders.write_experiment(
        tmp_path, ledger="calm", arms={name: arms[name] for name in arms if name != "deadly"}
    )
    expected = run(calm)["scores_digest"]
    once.unlink()
    experiment = builders.write_experiment(tmp_path, arms=arms, resources={"max_attempts": 2, "max_slots": 1})
    report = run(experiment, in_process=False)
    assert {row["arm"]: row["decision"] for row in report["decisions"]} == {
        "deadly": "hold",
        "shaken": "reject",
        "better": "promote",
    }
    assert report["scores_digest"] == expected
    assert "worker_lost" in {event["kind"] for event in report["events"]}
    assert {event["arm"] for event in report["events"] if event["kind"] == "arm_failed"} == {"deadly"}
