"""A dry run says of each arm why it has to be scored, and scores nothing."""

import json

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.prepare.run_changes import ArmReasons
from tests import builders

ARMS = {"control": builders.variant(flip_every=4), "better": builders.variant()}
LARGER = {**builders.SUITE, "batch_size": 16}
SEEDED = {**builders.SUITE, "seed": 7}
RESCORED = {**builders.SUITE, "metrics": [*builders.SUITE["metrics"], {"name": "brier", "measure": "brier"}]}


def run(folder, **fields) -> str:
    prepared = pipeline.prepare(str(builders.write_experiment(folder, **fields)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared.run.run_id


def reasons(folder, *options: str, **fields) -> dict[str, str]:
    experiment = builders.write_experiment(folder, **fields)
    before = sorted(path for path in (folder / "ledger").rglob("*"))
    answer = CliRunner().invoke(main.app, ["run", str(experiment), "--dry-run", "--in-process", "--json", *options])
    assert answer.exit_code == 0, answer.output
    assert sorted(path for path in (folder / "ledger").rglob("*")) == before
    return {arm["arm"]: arm["reason"] for arm in json.loads(answer.stdout)["arms"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"arms": {**ARMS, "better": builders.variant(flip_every=9)}}, "parameters.flip_every: None -> 9"),
        ({"suite": LARGER}, "suite.batch_size: 32 -> 16"),
        ({"suite": SEEDED}, "suite.seed: 0 -> 7"),
        ({"suite": RESCORED}, "suite.metrics"),
    ],
    ids=("parameter", "batch size", "seed", "metrics"),
)
def test_a_change_of_the_manifests_is_named(tmp_path, change, expected):
    first = run(tmp_path, arms=ARMS)
    found = reasons(tmp_path, **{"arms": ARMS, **change})
    assert found["better"] == f"scored again, because of changes since run {first} ({expected})"
    if "arms" in change:
        assert found["control"] == f"reused from run {first}"


def test_a_changed_module_and_another_dataset_are_named(tmp_path, monkeypatch):
    first = run(tmp_path, arms=ARMS)
    monkeypatch.setattr(builders, "CODE", builders.CODE + "\n# changed\n")
    found = reasons(tmp_path, arms=ARMS)
    assert found["better"].startswith(f"scored again, because of changes since run {first} (")
    assert "variants_under_test" in found["better"]
    monkeypatch.undo()
    (tmp_path / "datasets").rename(tmp_path / "earlier")
    found = reasons(tmp_path, arms=ARMS, num_rows=240)
    assert f"changes since run {first} (dataset: " in found["better"]


def test_another_package_is_named_with_both_versions(tmp_path):
    first = run(tmp_path, arms=ARMS)
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=ARMS, suite=SEEDED)))
    record = prepared.run
    identity = {**record.lineage.identity, "torch": "99.0"}
    newer = record.model_copy(update={"lineage": record.lineage.model_copy(update={"identity": identity})})
    found = ArmReasons(newer, prepared.past, prepared.store).of("better")
    assert f"environment: torch {record.lineage.identity['torch']} -> 99.0" in found
    assert found.startswith(f"scored again, because of changes since run {first} (")


def test_what_nothing_has_scored_is_new_and_what_need_not_be_scored_again_says_so(tmp_path):
    first = run(tmp_path, arms=ARMS)
    grown = {**ARMS, "added": builders.variant(flip_every=3)}
    assert reasons(tmp_path, arms=grown) == {
        "control": f"reused from run {first}",
        "better": f"reused from run {first}",
        "added": "new",
    }
    assert reasons(tmp_path, "--no-reuse", arms=grown)["better"] == "scored again, because of --no-reuse"
    stricter = {**builders.SUITE, "plan": {**builders.SUITE["plan"], "alpha": 0.01}}  # affects no score
    assert set(reasons(tmp_path, arms=ARMS, suite=stricter).values()) == {f"reused from run {first}"}


def test_the_terminal_says_it_too(tmp_path, monkeypatch):
    run(tmp_path, arms=ARMS)
    experiment = builders.write_experiment(tmp_path, arms={**ARMS, "added": builders.variant(flip_every=3)})
    answer = CliRunner().invoke(main.app, ["run", str(experiment), "--dry-run", "--in-process"])
    assert "arms better, control\n" in answer.stdout
    assert "new: arm added\n" in answer.stdout
    monkeypatch.setattr(builders, "CODE", builders.CODE + "\n# changed\n")
    experiment = builders.write_experiment(tmp_path, arms=ARMS)
    answer = CliRunner().invoke(main.app, ["run", str(experiment), "--dry-run", "--in-process"])
    assert "both arms will be scored again, because of changes since run" in " ".join(answer.stdout.split())
