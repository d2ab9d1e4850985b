"""A user's project may have its own modules named `cluster`, `stats`, `manifests` and `evaluator`."""

import json
from pathlib import Path

import pytest

from tests import builders
from tests.forked import AssayProcess


def answer(folder: Path, *arguments: str, **variables: str) -> dict:
    """The JSON that a command prints, run in its own process in a folder, so that modules are imported from there."""
    ended = AssayProcess(*arguments, "--json", folder=folder, variables=variables).wait()
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def project(tmp_path) -> Path:
    """An experiment in a folder with modules that have the same names as Assay's folders."""
    arms = {"control": builders.own_variant(flip_every=5), "better": builders.own_variant()}
    builders.write_experiment(tmp_path, arms=arms, resources={"max_slots": 1})
    (tmp_path / "variants_under_test.py").unlink()
    builders.write_own_modules(tmp_path)
    return tmp_path


@pytest.mark.forked
def test_modules_with_the_names_of_assays_folders_are_run_and_verified(project):
    run = answer(project, "run", "experiment.yaml", "--in-process")
    assert [each["decision"] for each in run["decisions"]] == ["promote"]
    verified = answer(project, "verify", run["run_id"], "--ledger", "ledger", "--in-process")
    assert {each["arm"]: each["num_rows_different"] for each in verified["arms"]} == {"control": 0, "better": 0}


@pytest.mark.extended  # tests/cluster/client/test_client.py submits such a project
@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_modules_with_the_names_of_assays_folders_are_run_on_ray(project):
    import ray

    address = ray.get_runtime_context().gcs_address
    run = answer(project, "run", "experiment.yaml", RAY_ADDRESS=address)
    assert [each["decision"] for each in run["decisions"]] == ["promote"]
