"""In this process or on Ray, with one replica or several, in one go or again: the same scores digest."""

from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests import builders


def run(experiment: Path, *, in_process: bool = True) -> dict:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=in_process, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def test_the_better_arm_is_promoted_the_worse_rejected_and_the_same_one_held(tmp_path):
    report = run(builders.write_experiment(tmp_path))
    assert {row["arm"]: row["decision"] for row in report["decisions"]} == {
        "better": "promote",
        "worse": "reject",
        "again": "hold",
    }
    again = next(row for row in report["analysis"]["comparisons"] if row["arm"] == "again")
    assert (again["estimate"], again["ci_low"], again["ci_high"]) == (0.0, 0.0, 0.0)


@pytest.mark.ray
def test_ray_and_replicas_give_the_digest_of_a_single_process(tmp_path, run_on_ray):
    alone = run(builders.write_experiment(tmp_path, ledger="alone"))
    one = document(run_on_ray.store, run_on_ray.run.run_id).plain()
    resources = {"replicas": 2, "num_cpus": 0.5, "max_slots": 2}
    two = run(builders.write_experiment(tmp_path, ledger="two", resources=resources), in_process=False)
    assert alone["scores_digest"] == one["scores_digest"] == two["scores_digest"]
    assert alone["plan_digest"] == one["plan_digest"] == two["plan_digest"]


def test_another_batch_size_is_another_run_and_rows_keep_their_order(tmp_path):
    first = run(builders.write_experiment(tmp_path))
    second = run(builders.write_experiment(tmp_path, suite={**builders.SUITE, "batch_size": 7}))
    assert first["run_id"] != second["run_id"]
    assert first["dataset"]["digest"] == second["dataset"]["digest"]


def test_a_committed_run_is_not_evaluated_again(tmp_path):
    log = tmp_path / "batches.log"
    arms = {**builders.ARMS, "better": builders.variant(log=str(log))}
    experiment = builders.write_experiment(tmp_path, arms=arms)
    first = run(experiment)
    assert len(builders.evaluated_batches(log)) == 7
    num_lines = len(log.read_text().splitlines())
    assert run(experiment) == first
    assert len(log.read_text().splitlines()) == num_lines


def test_every_batch_is_full_and_the_last_one_padded_with_its_last_row(tmp_path):
    log = tmp_path / "batches.log"
    arms = {**builders.ARMS, "better": builders.variant(log=str(log))}
    run(builders.write_experiment(tmp_path, arms=arms, num_rows=203))
    sizes = {line.split()[0] for line in builders.evaluated_batches(log)}
    assert sizes == {"32"}
