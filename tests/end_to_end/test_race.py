"""A race eliminates arms that are clearly worse, keeps their scores, and scores the others as a run without a race."""

import json

import pytest
from rich.console import Console

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.cluster.report.terminal import verdict
from assay.evaluator.ledger import reader
from assay.manifests import ManifestError
from assay.manifests.ledger_layout import unit_key
from assay.manifests.run_report import RunReport
from tests import builders, damage

NUM_ROWS, NUM_UNITS = 1600, 50
ARMS = {
    "control": builders.variant(flip_every=4),
    "best": builders.variant(),
    "near": builders.variant(flip_every=50),
    **{f"bad-{cut}": builders.variant(cut=cut / 10) for cut in (0, 1, 9, 10)},
}
RACE = {"first_units": 8, "growth": 1.5}


def run(experiment) -> dict:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def write(folder, **options):
    return builders.write_experiment(folder, arms=ARMS, num_rows=NUM_ROWS, **options)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raced")
    return folder, run(write(folder, race=RACE))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    return run(write(tmp_path_factory.mktemp("whole")))


def by_arm(report) -> dict[str, dict]:
    return {arm["arm"]: arm for arm in report["arms"]}


def test_arms_that_are_clearly_beaten_are_dropped_early_and_rejected(raced):
    _, report = raced
    arms = by_arm(report)
    assert {name for name, arm in arms.items() if arm["status"] == "eliminated"} >= {"bad-0", "bad-10"}
    assert arms["best"]["status"] == "complete"
    assert arms["bad-0"]["num_units_done"] < NUM_UNITS
    decisions = {row["arm"]: row for row in report["decisions"]}
    assert decisions["bad-0"]["decision"] == "reject"
    assert "eliminated from the race after" in decisions["bad-0"]["reasons"][0]
    assert decisions["best"]["decision"] == "promote"
    assert "arm_eliminated" in {event["kind"] for event in report["events"]}


def test_the_report_says_what_was_saved_and_lists_no_dropped_arm(raced, capsys):
    _, report = raced
    saved = sum(NUM_UNITS - arm["num_units_done"] for arm in report["arms"])
    num_eliminated = sum(arm["status"] == "eliminated" for arm in report["arms"])
    assert report["race"] == {
        "num_eliminated": num_eliminated,
        "num_units": NUM_UNITS * len(ARMS),
        "num_units_saved": saved,
    }
    (told,) = [event["message"] for event in report["events"] if event["kind"] == "race"]
    assert f"{saved} of {NUM_UNITS * len(ARMS)} units saved" in told
    console = Console(width=100)
    verdict.show(RunReport.model_validate_json(json.dumps(report)), console)
    printed = capsys.readouterr().out
    assert (
        f"race: {num_eliminated} of {len(ARMS)} arms eliminated, {saved} of {NUM_UNITS * len(ARMS)} units saved"
        in printed
    )
    assert "bad-0 " not in printed


def test_the_control_is_never_dropped(raced):
    _, report = raced
    assert by_arm(report)["control"]["status"] == "complete"


def test_arms_that_are_left_have_the_scores_and_differences_of_a_run_without_a_race(raced, whole):
    _, report = raced
    left = [name for name, arm in by_arm(report).items() if arm["status"] == "complete"]
    assert 2 <= len(left) < len(ARMS)
    for name in left:
        assert by_arm(report)[name]["scores_digest"] == by_arm(whole)[name]["scores_digest"]
    estimates, of_all = (
        {row["arm"]: row["estimate"] for row in each["analysis"]["comparisons"]} for each in (report, whole)
    )
    assert estimates == {name: of_all[name] for name in left if name != "control"}


def test_alpha_is_shared_with_the_arms_that_were_dropped(raced):
    _, report = raced
    num_eliminated = sum(arm["status"] == "eliminated" for arm in report["arms"])
    assert report["analysis"]["alpha"] == pytest.approx(0.05 * (len(ARMS) - 1 - num_eliminated) / (len(ARMS) - 1))


def test_scores_of_a_dropped_arm_stay_in_the_store_but_are_no_part_of_the_run(raced):
    folder, report = raced
    store = pipeline.prepare(str(folder / "experiment.yaml")).store
    assert not reader.score_files(reader.committed_files(store, report["run_id"]), "bad-0")
    published = reader.stored_units(store, report["run_id"], "bad-0")
    assert len(published) == by_arm(report)["bad-0"]["num_units_done"]


def test_a_run_whose_arms_were_dropped_is_done(raced):
    folder, report = raced
    prepared = pipeline.prepare(str(folder / "experiment.yaml"))
    assert prepared.committed
    assert prepared.run.run_id == report["run_id"]


def test_units_go_in_a_seeded_order_and_a_resumed_race_drops_the_same_though_receipts_were_forged(tmp_path, raced):
    experiment = write(tmp_path, race=RACE)
    prepared = pipeline.prepare(str(experiment))
    seen = []

    def die(arm: str, units: int) -> None:
        seen.append(arm)
        if len(seen) == 100:  # during the second wave
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(prepared, in_process=True, on_progress=die)
    first = sorted(reader.stored_units(prepared.store, prepared.run.run_id, "best"))
    assert first != list(range(len(first)))
    for unit in first:  # as if the best arm were the worst one
        key = unit_key(prepared.run.run_id, "best", unit)
        content = prepared.store.get(key).to_pybytes()
        damage.overwrite(prepared.store, key, damage.forged(content, receipt=with_no_hits))
    report = run(experiment)
    set_aside = [(event["arm"], event["unit"]) for event in report["events"] if event["kind"] == "set_aside"]
    assert sorted(set_aside) == [("best", unit) for unit in first]
    assert report["scores_digest"] == raced[1]["scores_digest"]
    assert {name: (arm["status"], arm["reason"]) for name, arm in by_arm(report).items()} == {
        name: (arm["status"], arm["reason"]) for name, arm in by_arm(raced[1]).items()
    }


def with_no_hits(receipt: dict) -> None:
    receipt["facts"]["score_sums"]["accuracy"] = 0.0


def test_a_race_by_a_metric_of_the_whole_dataset_is_refused(tmp_path):
    suite = {**builders.SUITE, "plan": {**builders.SUITE["plan"], "metric": "auroc", "scale": "continuous"}}
    with pytest.raises(ManifestError, match="mean of row scores"):
        pipeline.prepare(str(write(tmp_path, suite=suite, race=RACE)))


def test_an_arm_that_fails_leaves_the_race_to_the_others(tmp_path):
    arms = {name: ARMS[name] for name in ("control", "best", "bad-0")} | {
        "broken": builders.variant("raises", above=0.5)
    }
    report = run(builders.write_experiment(tmp_path, arms=arms, num_rows=NUM_ROWS, race=RACE))
    assert {name: arm["status"] for name, arm in by_arm(report).items()} == {
        "control": "complete",
        "best": "complete",
        "bad-0": "eliminated",
        "broken": "failed",
    }


def test_where_the_control_is_the_best_one_arm_stays_to_be_compared_with_it(tmp_path):
    arms = {"control": ARMS["best"], "bad-0": ARMS["bad-0"], "bad-10": ARMS["bad-10"]}
    report = run(builders.write_experiment(tmp_path, arms=arms, num_rows=NUM_ROWS, race=RACE))
    assert sorted(arm["status"] for arm in report["arms"]) == ["complete", "complete", "eliminated"]
    assert {row["decision"] for row in report["decisions"]} == {"reject"}
