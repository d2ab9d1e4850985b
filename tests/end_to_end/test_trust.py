"""What an experiment may not name is refused before anything is imported, by every command and by the slots."""

import json
import sys

import pytest

from assay.cluster import pipeline
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.slot import Slot
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import PublishUnit
from tests import builders
from tests.cluster.verify.forger import Forger

MARKS = "from pathlib import Path\n\nPath(__file__).with_suffix('.imported').touch()\n"
STDLIB = builders.variant() | {"entrypoint": "subprocess:check_output", "load": True}
SCORER = {"name": "own", "measure": "custom", "scorer": "os:system", "direction": "higher"}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The module of the variants, installed as the distribution `team-models`."""
    site = tmp_path / "env" / "site-packages"
    (site / "team_models-2.1.dist-info").mkdir(parents=True)
    (site / "team_models-2.1.dist-info" / "METADATA").write_text("Name: team-models\nVersion: 2.1\n")
    (site / "team_models-2.1.dist-info" / "RECORD").write_text("answers_of_team.py,,\n")
    (site / "answers_of_team.py").write_text(MARKS + builders.CODE)
    monkeypatch.syspath_prepend(site)
    yield site / "answers_of_team.imported"
    sys.modules.pop("answers_of_team", None)


@pytest.mark.parametrize("arguments", [("run", "--in-process"), ("run", "--dry-run"), ("gate",)], ids=" ".join)
@pytest.mark.parametrize("given", ["arm", "scorer", "sweep"])
def test_the_standard_library_is_refused_and_nothing_is_imported(assay, tmp_path, given, arguments):
    more = {
        "arm": {"arms": {**builders.ARMS, "shell": STDLIB}, "packages": ["subprocess", "assay"]},
        "scorer": {"suite": {**builders.SUITE, "metrics": [*builders.SUITE["metrics"], SCORER]}},
        "sweep": {"sweep": {"base": STDLIB, "grid": {"parameters.args": ["a", "b"]}}},
    }[given]
    builders.write_experiment(tmp_path, **more)
    (tmp_path / "variants_under_test.py").write_text(MARKS + builders.CODE)
    answer = assay(arguments[0], "experiment.yaml", *arguments[1:], folder=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    place, value = {
        "arm": ("arm 'shell': entrypoint: module 'subprocess'", "subprocess:check_output"),
        "scorer": ("metric 'own': scorer: module 'os'", "os:system"),
        "sweep": ("arm 'args-a': entrypoint: module 'subprocess'", "subprocess:check_output"),
    }[given]
    assert f"{place} is part of Python's standard library, which no experiment can name; got {value}" in answer.stderr
    assert not list(tmp_path.glob("*.imported"))
    assert not (tmp_path / "ledger").exists()


def test_an_installed_distribution_runs_once_it_is_named_and_is_verified_by_its_name(assay, tmp_path, installed):
    arms = {name: each | {"entrypoint": "answers_of_team:threshold"} for name, each in builders.ARMS.items()}
    builders.write_experiment(tmp_path, arms=arms, num_rows=64)
    refused = assay("run", "experiment.yaml", "--in-process", folder=tmp_path)
    assert refused.returncode == 2
    assert "module 'answers_of_team' comes from team-models 2.1, which the experiment does not name" in refused.stderr
    assert "add 'packages: [team-models]' to the experiment's file" in refused.stderr
    assert not installed.exists()

    builders.write_experiment(tmp_path, arms=arms, num_rows=64, packages=["Team.Models"])
    ran = assay("run", "experiment.yaml", "--in-process", "--json", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert installed.exists()
    run_id = json.loads(ran.stdout)["run_id"]
    verify = ("verify", run_id, "--ledger", "ledger", "--in-process")
    assert assay(*verify, folder=tmp_path).returncode == 0

    builders.write_experiment(tmp_path, arms=arms, num_rows=64, packages=["team_models", "numpy"])  # no other run
    again = assay("run", "experiment.yaml", "--dry-run", folder=tmp_path)
    assert f"run {run_id} is already committed" in again.stdout, again.stderr

    installed.unlink()
    del sys.modules["answers_of_team"]
    Forger(tmp_path / "ledger", run_id).edit_record(lambda record: record["experiment"].pop("packages"))
    answer = assay(*verify, folder=tmp_path)
    assert answer.returncode == 2
    assert "comes from team-models 2.1, which the experiment does not name" in answer.stderr
    assert not installed.exists()


def test_a_slot_does_not_import_what_a_changed_record_names(tmp_path, installed):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, ledger=f"memory://{tmp_path}")))
    record = json.loads(prepared.run.model_dump_json())
    arms = {arm["name"]: arm["variant"] for arm in record["experiment"]["arms"]}
    ran = tmp_path / "ran"
    arms["better"] |= STDLIB | {"parameters": {"args": ["touch", str(ran)]}}
    arms["worse"] |= {"entrypoint": "answers_of_team:threshold"}
    record["experiment"]["packages"] = ["subprocess"]
    slot = Slot("slot", json.dumps(record), prepared.import_paths, PublishUnit())
    outcomes = [slot.perform(Task(arm, 0), None).result() for arm in ("better", "worse", "again")]
    slot.close()
    for outcome, whose in zip(
        outcomes, ("is part of Python's standard library", "comes from team-models 2.1"), strict=False
    ):
        assert isinstance(outcome, Failure)
        assert outcome.scope == "arm"
        assert whose in outcome.reason
    assert isinstance(outcomes[2], Published)
    assert not ran.exists()
    assert not installed.exists()
