from pathlib import Path

import pytest

from assay.cluster.demo.demo_folder import write_demo
from assay.evaluator.predictors.weights import read_weights_file
from assay.evaluator.storage import open_store
from assay.manifests import Contract, Experiment, parse


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _experiment(path: Path) -> Experiment:
    parsed = parse(path.read_text(), file=str(path), read=lambda name: Path(name).read_text())
    assert isinstance(parsed, Experiment)
    return parsed


def test_the_folder_holds_all_that_the_experiment_names(tmp_path):
    path = write_demo(tmp_path / "assay-demo")
    assert path == tmp_path / "assay-demo" / "experiment.yaml"
    experiment = _experiment(path)
    for arm in experiment.arms:
        assert read_weights_file(arm.variant.weights, store_at=open_store).size > 0
    assert experiment.ledger == str(tmp_path / "assay-demo" / "ledger")
    assert experiment.dataset == str(tmp_path / "assay-demo" / "datasets" / "digits@v1")
    assert (tmp_path / "assay-demo" / "digits.parquet").exists()


def test_the_suite_speaks_of_the_contracts_columns(tmp_path):
    experiment = _experiment(write_demo(tmp_path))
    contract = parse((tmp_path / "contract.yaml").read_text(), file="contract.yaml")
    assert isinstance(contract, Contract)
    role = {column.name: column.role for column in contract.columns}
    assert role[experiment.suite.plan.columns.segment or ""] == "segment"
    assert {role[name] for arm in experiment.arms for name in arm.variant.inputs} == {"feature"}


def test_a_second_call_changes_nothing(tmp_path):
    write_demo(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    write_demo(tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()} == before


def test_what_the_user_changed_stays_and_what_is_missing_comes_back(tmp_path):
    write_demo(tmp_path)
    fresh = _content(tmp_path)
    (tmp_path / "suite.yaml").write_text("# mine\n")
    (tmp_path / "weights" / "int8.safetensors").unlink()
    write_demo(tmp_path)
    assert _content(tmp_path) == {**fresh, "suite.yaml": b"# mine\n"}


@pytest.mark.parametrize("order", [("baseline", "convolution", "int8", "undertrained", "baseline-again")])
def test_the_control_comes_again_under_another_name(tmp_path, order):
    experiment = _experiment(write_demo(tmp_path))
    assert tuple(arm.name for arm in experiment.arms) == order
    digests = {arm.name: arm.variant.digest() for arm in experiment.arms}
    assert digests["baseline"] == digests["baseline-again"]
    assert experiment.suite.plan.control == "baseline"
