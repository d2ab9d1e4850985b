"""Units that another run scored under the same key are reused; units that differ in anything that affects scores are not."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.drive import arm_scorer
from assay.cluster.prepare import reuse
from assay.cluster.report.record import document
from assay.cluster.report.terminal import verdict
from assay.evaluator import batches
from assay.evaluator.ledger import reader, trace
from assay.evaluator.provenance import environment, repository
from assay.manifests.run_report import RunReport
from tests import builders, damage

NUM_UNITS = 7  # 200 rows in units of 32
NUM_ARMS = 4


def run(experiment: Path, **options: Any) -> dict:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None, **options)
    return document(prepared.store, prepared.run.run_id).plain()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with the small experiment and its committed run."""
    folder = tmp_path_factory.mktemp("whole")
    run(builders.write_experiment(folder))
    return folder


@pytest.fixture
def first(whole, tmp_path) -> dict:
    """The report of that run, with everything else copied to the folder of the test."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return run(tmp_path / "experiment.yaml")


class Counter:
    """Units that slots of this process have evaluated."""

    def __init__(self) -> None:
        self.num_units = 0

    def since(self) -> int:
        """Units since the last call."""
        found, self.num_units = self.num_units, 0
        return found


@pytest.fixture
def evaluated(monkeypatch) -> Counter:
    counter = Counter()
    evaluate = arm_scorer.evaluate

    def counted(*arguments, **options):
        counter.num_units += 1
        return evaluate(*arguments, **options)

    monkeypatch.setattr(arm_scorer, "evaluate", counted)
    return counter


def changed_suite(**fields: object) -> dict:
    return {**builders.SUITE, **fields}


def unit_files(report: dict, arm: str) -> list[Path]:
    folder = Path(report["ledger"], f"v2/data/scores/{report['run_id']}", arm)
    return sorted(folder.glob("*.parquet"))


def test_one_arm_more_costs_one_arm(tmp_path, evaluated):
    arms = dict(builders.ARMS)
    new = arms.pop("worse")
    first = run(builders.write_experiment(tmp_path, arms=arms))
    assert evaluated.since() == 3 * NUM_UNITS
    second = run(builders.write_experiment(tmp_path, arms={**arms, "worse": new}))
    assert evaluated.since() == NUM_UNITS

    assert second["reused"] == {"num_arms": 3, "num_arms_in_part": 0, "num_units": 21, "runs": [first["run_id"]]}
    alone = run(builders.write_experiment(tmp_path, arms={**arms, "worse": new}, ledger="alone"))
    assert second["scores_digest"] == alone["scores_digest"]
    assert second["analysis"] == alone["analysis"]
    by_arm = {row["arm"]: row for row in second["arms"]}
    assert by_arm["better"]["reused_from"] == first["run_id"]
    assert by_arm["better"]["predict_s"] == 0
    assert by_arm["better"]["rows_per_s"] is None
    assert by_arm["worse"]["reused_from"] == ""
    assert by_arm["worse"]["rows_per_s"] > 0
    assert [event["kind"] for event in second["events"]] == ["reused"] * 3
    console = Console(record=True, width=100)
    verdict.show(RunReport.model_validate_json(json.dumps(second)), console)
    assert f"3 of 4 arms reused from run {first['run_id']}" in console.export_text()


def test_rows_that_were_taken_over_belong_to_their_new_run_and_name_the_file_they_came_from(tmp_path):
    arms = {name: builders.ARMS[name] for name in ("control", "better")}
    first = run(builders.write_experiment(tmp_path, arms=arms))
    second = run(builders.write_experiment(tmp_path, arms={**arms, "worse": builders.ARMS["worse"]}))
    third = run(builders.write_experiment(tmp_path))
    store = pipeline.open_store(second["ledger"])
    for report in (second, third):  # the third also reuses the first run's units: reused units are not reused again
        for old, new in zip(unit_files(first, "better"), unit_files(report, "better"), strict=True):
            assert set(pq.ParquetFile(new).read()["run_id"].to_pylist()) == {report["run_id"]}
            receipt, _ = reader.read_unit(store, str(new.relative_to(report["ledger"])), committed_sha256=None)
            assert receipt.facts.reuse.path == str(old.relative_to(Path(first["ledger"], "v2")))
            source, _ = reader.read_unit(store, f"v2/{receipt.facts.reuse.path}", committed_sha256=None)
            assert receipt.scores_digest == source.scores_digest
    files = reader.committed_files(store, third["run_id"])
    (units,) = [file for file in files if file.table == "units"]
    rows = pq.read_table(Path(store.uri, units.key)).to_pylist()
    sources = {row["arm"]: row["reused_from"] for row in rows if row["unit"] == 0}
    assert f"{first['run_id']}/better/u000000" in sources["better"]
    assert f"{second['run_id']}/worse/u000000" in sources["worse"]
    assert sources["again"] is None
    assert {row["predict_s"] for row in rows if row["reused_from"]} == {None}
    for arm, source in (("better", first), ("worse", second)):
        traced = trace.number(store, third["run_id"], arm, "accuracy")
        assert list(traced["reused_from"]) == [source["run_id"]]
    assert not trace.number(store, third["run_id"], "again", "accuracy")["reused_from"]


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(changed_suite(batch_size=16), id="batch_size"),
        pytest.param(changed_suite(seed=1), id="seed"),
        pytest.param(changed_suite(determinism={"threads": 2}), id="determinism"),
        pytest.param(changed_suite(on_batch_sensitivity="batch_size_1"), id="on_batch_sensitivity"),
        pytest.param(
            changed_suite(metrics=[*builders.SUITE["metrics"], {"name": "brier", "measure": "brier"}]), id="metrics"
        ),
        pytest.param(
            changed_suite(metrics=[builders.SUITE["metrics"][i] for i in (1, 0, 2)]), id="order_of_score_columns"
        ),
    ],
)
def test_another_suite_for_the_scores_takes_nothing_over(tmp_path, first, suite):
    assert run(builders.write_experiment(tmp_path, suite=suite))["reused"]["num_units"] == 0


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(changed_suite(plan={**builders.SUITE["plan"], "alpha": 0.01}), id="plan"),
        pytest.param(
            changed_suite(metrics=[*builders.SUITE["metrics"], {"name": "f1", "measure": "macro_f1"}]),
            id="corpus_metric",
        ),
    ],
)
def test_what_shapes_no_score_evaluates_nothing(tmp_path, first, evaluated, suite):
    second = run(builders.write_experiment(tmp_path, arms=builders.ARMS, suite=suite))
    assert evaluated.since() == 0
    assert second["reused"]["num_arms"] == NUM_ARMS


def test_other_code_or_parameters_take_nothing_over(tmp_path):
    first = builders.write_experiment(tmp_path)
    run(first)
    arms = {**builders.ARMS, "better": builders.variant(cut=0.51)}
    second = run(builders.write_experiment(tmp_path, arms=arms))
    assert {row["arm"] for row in second["arms"] if not row["num_units_reused"]} == {"better"}
    third = builders.write_experiment(tmp_path, arms=arms)
    (tmp_path / "variants_under_test.py").write_text(builders.CODE + "\n")
    assert run(third)["reused"]["num_units"] == 0


def test_other_weights_have_another_key(tmp_path):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    experiment = prepared.run.experiment

    def key(**fields: str) -> str:
        arm = experiment.arms[0]
        arms = (arm.model_copy(update={"variant": arm.variant.model_copy(update=fields)}), *experiment.arms[1:])
        changed = experiment.model_copy(update={"arms": arms})
        return reuse.unit_keys(
            changed, dataset_digest=prepared.dataset.digest(), num_rows=prepared.dataset.num_rows, environment={}
        )[arm.name]

    assert key(weights_digest="sha256:" + "0" * 64) != key(weights_digest="sha256:" + "1" * 64)
    assert key(weights="here.safetensors") == key(weights="there.safetensors")


def test_units_of_another_size_have_another_key(tmp_path, monkeypatch):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    monkeypatch.setattr(batches, "_MAX_UNITS", 3)  # 96 rows: the same rows in the same batches, but other units
    other = pipeline.prepare(str(tmp_path / "experiment.yaml"))
    assert (len(prepared.units), len(other.units)) == (7, 3)
    assert not set(prepared.run.unit_keys.values()) & set(other.run.unit_keys.values())


def test_other_rows_take_nothing_over(tmp_path):
    run(builders.write_experiment(tmp_path, num_rows=192))
    shutil.rmtree(tmp_path / "datasets")
    second = run(builders.write_experiment(tmp_path, num_rows=200))  # the same 192, and 8 more
    assert second["reused"]["num_units"] == 0


def test_another_release_of_a_package_takes_nothing_over(tmp_path, monkeypatch):
    arms = dict(builders.ARMS)
    new = arms.pop("worse")
    run(builders.write_experiment(tmp_path, arms=arms))
    found = environment.capture()
    other = dataclasses.replace(found, identity={**found.identity, "torch": "99.0"})
    monkeypatch.setattr(environment, "capture", lambda: other)
    assert run(builders.write_experiment(tmp_path, arms={**arms, "worse": new}))["reused"]["num_units"] == 0


def test_another_device_takes_nothing_over(tmp_path, monkeypatch):
    arms = dict(builders.ARMS)
    new = arms.pop("worse")
    run(builders.write_experiment(tmp_path, arms=arms))
    monkeypatch.setattr(pipeline, "device_class", lambda device: "NVIDIA H200")
    assert run(builders.write_experiment(tmp_path, arms={**arms, "worse": new}))["reused"]["num_units"] == 0


def test_a_renamed_arm_is_taken_over_but_no_unit_serves_two_equal_arms(tmp_path):
    arms = {"control": builders.ARMS["control"], "better": builders.ARMS["better"]}
    first = run(builders.write_experiment(tmp_path, arms=arms))
    renamed = {"control": arms["control"], "again": arms["control"], "best": arms["better"], "best2": arms["better"]}
    second = run(builders.write_experiment(tmp_path, arms=renamed))
    sources = {row["arm"]: row["reused_from"] for row in second["arms"]}
    assert sources == {"control": first["run_id"], "again": "", "best": first["run_id"], "best2": ""}


def test_a_run_that_was_never_committed_serves_too(tmp_path, first, evaluated):
    arms = builders.ARMS
    Path(first["ledger"], f"v2/commits/{first['run_id']}.parquet").unlink()
    for path in unit_files(first, "better")[4:]:
        path.unlink()
    evaluated.since()
    second = run(builders.write_experiment(tmp_path, arms=arms, suite=changed_suite(plan=other_plan())))
    assert evaluated.since() == 3
    assert second["reused"]["num_arms"] == NUM_ARMS - 1
    assert second["reused"]["num_arms_in_part"] == 1
    assert second["scores_digest"] == first["scores_digest"]


def other_plan() -> dict:
    return {**builders.SUITE["plan"], "alpha": 0.01}


def flipped_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def no_parquet(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def other_scores(path: Path) -> None:
    """Valid Parquet with the old receipt and other rows."""
    path.write_bytes(damage.forged(path.read_bytes(), table=damage.with_perfect_scores))


def other_scores_and_receipt(path: Path) -> None:
    """A forgery that only the commit record reveals."""
    path.write_bytes(damage.consistent(path.read_bytes(), damage.with_perfect_scores))


def other_unit(path: Path) -> None:
    """The next unit of the same arm."""
    path.write_bytes(path.with_name("u000003.parquet").read_bytes())


@pytest.mark.parametrize(
    ("damaged", "is_committed"),
    [
        (flipped_byte, True),
        (no_parquet, True),
        (other_scores, True),
        (other_scores_and_receipt, True),
        (no_parquet, False),
        (other_scores, False),
        (other_unit, False),
    ],
)
def test_a_damaged_unit_is_evaluated_again_and_that_is_said(tmp_path, first, evaluated, damaged, is_committed):
    arms = builders.ARMS
    damaged(unit_files(first, "worse")[2])
    if not is_committed:
        Path(first["ledger"], f"v2/commits/{first['run_id']}.parquet").unlink()
    evaluated.since()
    second = run(builders.write_experiment(tmp_path, arms=arms, suite=changed_suite(plan=other_plan())))
    assert evaluated.since() == 1
    assert second["scores_digest"] == first["scores_digest"]
    (refused,) = [event for event in second["events"] if event["kind"] == "reuse_refused"]
    assert (refused["arm"], refused["unit"]) == ("worse", 2)
    assert "worse/u000002.parquet" in refused["message"]


def test_a_copy_does_not_stand_in_for_a_damaged_original(tmp_path, first, evaluated):
    arms = builders.ARMS
    run(builders.write_experiment(tmp_path, arms=arms, suite=changed_suite(plan=other_plan())))
    flipped_byte(unit_files(first, "worse")[2])
    evaluated.since()
    third = changed_suite(plan={**other_plan(), "alpha": 0.02})
    report = run(builders.write_experiment(tmp_path, arms=arms, suite=third))
    assert evaluated.since() == 1
    assert report["reused"]["runs"] == [first["run_id"]]


def test_a_changed_repository_is_said(tmp_path, first, monkeypatch):
    monkeypatch.setattr(repository, "capture", lambda **_: repository.RepositoryState("f" * 40, "main", False, None))
    second = run(builders.write_experiment(tmp_path, suite=changed_suite(plan=other_plan())))
    assert second["reused"]["runs"] == [first["run_id"]]
    said = " ".join(event["message"] for event in second["events"])
    assert f"the repository has changed since, from commit {source_commit(first)}" in said
    assert f" to commit {'f' * 40}; " in said


def test_who_wants_a_clean_repository_takes_over_nothing_that_was_made_in_another(tmp_path, monkeypatch):
    def found(is_dirty):
        return lambda **_: repository.RepositoryState(
            "f" * 40, "main", is_dirty, "sha256:" + "0" * 64 if is_dirty else None
        )

    monkeypatch.setattr(repository, "capture", found(is_dirty=True))
    run(builders.write_experiment(tmp_path))
    monkeypatch.setattr(repository, "capture", found(is_dirty=False))
    suite = changed_suite(plan=other_plan())
    second = run(builders.write_experiment(tmp_path, suite=suite, require_clean=True))
    assert second["reused"]["num_units"] == 0
    assert any("not made from a clean repository" in event["message"] for event in second["events"])
    suite = changed_suite(plan={**other_plan(), "alpha": 0.02})
    third = run(builders.write_experiment(tmp_path, suite=suite, require_clean=True))
    assert third["reused"]["runs"] == [second["run_id"]]


def source_commit(report: dict) -> object:
    store = pipeline.open_store(report["ledger"])
    return reader.read_run(store, report["run_id"]).lineage.circumstance["source"]["commit"]


def test_no_reuse_evaluates_everything(tmp_path, first, evaluated):
    experiment = builders.write_experiment(tmp_path, arms=builders.ARMS, suite=changed_suite(plan=other_plan()))
    answer = CliRunner().invoke(main.app, ["run", str(experiment), "--in-process", "--no-reuse", "--json"])
    assert answer.exit_code == 0, answer.output
    assert evaluated.since() == NUM_ARMS * NUM_UNITS


def test_reuse_that_was_interrupted_goes_on(tmp_path, first, evaluated):
    experiment = builders.write_experiment(tmp_path, arms=builders.ARMS, suite=changed_suite(plan=other_plan()))
    prepared = pipeline.prepare(str(experiment))
    seen = []

    def interrupt(arm: str, units: int) -> None:
        seen.append(arm)
        if len(seen) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(prepared, in_process=True, on_progress=interrupt)
    second = run(experiment)
    assert evaluated.since() == 0
    assert second["scores_digest"] == first["scores_digest"]
    assert second["reused"]["num_units"] == NUM_ARMS * NUM_UNITS


def test_looking_for_units_reads_the_record_of_their_run_and_no_rows_of_others(tmp_path, first, monkeypatch):
    for suite in (changed_suite(plan=other_plan()), changed_suite(seed=1)):  # copies of the first; nothing in common
        run(builders.write_experiment(tmp_path, suite=suite))
    third = changed_suite(plan={**other_plan(), "alpha": 0.02})
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, suite=third)))
    store, run_id = prepared.store, prepared.run.run_id
    read: list[str] = []

    class Watched(type(store)):
        def get(self, key):
            read.append(key)
            return super().get(key)

    watched = Watched(store.uri)
    monkeypatch.setattr(pipeline, "open_ledger", lambda uri, patient: watched)
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    others = [key for key in read if run_id not in key and "FORMAT" not in key]
    assert len([key for key in others if "/runs/" in key]) == 1  # of the run whose units are reused
    assert len([key for key in others if "/data/scores/" in key]) == NUM_ARMS * NUM_UNITS
    # Times of arms, which determine the order, are read from one run, since it has all arms.
    assert [key.split("/")[2] for key in others if "/data/" in key and "/data/scores/" not in key] == ["arms"]
    assert {key.split("/")[3] for key in others if "/data/scores/" in key} == {first["run_id"]}


@pytest.mark.ray
def test_ray_takes_over_what_one_process_has_scored(tmp_path, local_ray):
    arms = dict(builders.ARMS)
    new = arms.pop("worse")
    first = run(builders.write_experiment(tmp_path, arms=arms))
    experiment = builders.write_experiment(tmp_path, arms={**arms, "worse": new}, resources={"max_slots": 1})
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=False, on_progress=lambda arm, units: None)
    second = document(prepared.store, prepared.run.run_id).plain()
    assert second["reused"]["runs"] == [first["run_id"]]
    assert second["reused"]["num_arms"] == NUM_ARMS - 1
    assert {row["arm"]: row["status"] for row in second["arms"]}["worse"] == "complete"
