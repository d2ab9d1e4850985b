"""The ledger from the command line: decisions are logged on request, and verification has an exit code."""

import json

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.manifests.errors import AssayError
from tests import builders


@pytest.fixture
def run_id(tmp_path, monkeypatch) -> str:
    """A committed run in the ledger of the current folder."""
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    monkeypatch.chdir(tmp_path)
    return prepared.run.run_id


def assay(*arguments: str):
    return CliRunner().invoke(main.app, list(arguments))


def test_gate_records_only_when_it_is_told_to_and_only_once(run_id):
    assert assay("gate", run_id).exit_code == 0
    assert [entry["kind"] for entry in json.loads(assay("ledger", "log", "--json").stdout)] == ["commit"]
    for _ in range(2):
        assert assay("gate", run_id, "--record").exit_code == 0
    entries = json.loads(assay("ledger", "log", "--json").stdout)[1:]
    assert {entry["arm"]: entry["decision"] for entry in entries} == {
        "better": "promote",
        "worse": "reject",
        "again": "hold",
    }
    assert len(entries) == 3


def test_an_override_is_logged_with_its_reason_and_refused_without(run_id):
    assert assay("ledger", "override", run_id, "better", "hold", "--by", "someone").exit_code == 2
    refused = assay("ledger", "override", run_id, "better", "hold", "--by", "someone", "--reason", "")
    assert isinstance(refused.exception, AssayError)
    assert refused.exception.exit_code == 2
    assert assay("ledger", "override", "experiment.yaml", "better", "hold", "--by", "x", "--reason", "y").exit_code == 0
    commit, line = assay("ledger", "log").stdout.splitlines()
    assert f"{run_id}  committed as sha256:" in commit
    assert line.endswith("better  override: hold  by x: y")


def test_verify_answers_with_an_exit_code_and_names_what_is_wrong(run_id, tmp_path):
    assay("gate", run_id, "--record")
    fine = assay("ledger", "verify")
    assert fine.exit_code == 0
    assert fine.stdout.startswith("1 run, ")
    assert fine.stdout.endswith("files, 4 log entries: no problems found\n")
    sealed = json.loads(assay("ledger", "seal", "--json").stdout)
    assert sealed["ledger"] == str(tmp_path / "ledger")
    assert (sealed["num_entries"], sealed["unlogged"]) == (4, [])
    assert sealed["seal"] == json.loads((tmp_path / "ledger/v2/log/000004.json").read_text())["seal"]
    assert f"num_entries: 4\nseal: {sealed['seal']}\nat: 20" in assay("ledger", "seal").stdout
    assert assay("ledger", "verify", "--seal", sealed["seal"]).exit_code == 0
    path = next((tmp_path / "ledger/v2/data/decisions").rglob("*.parquet"))
    path.write_bytes(path.read_bytes().replace(b"worse", b"wurst"))
    (tmp_path / "ledger/v2/log/000004.json").unlink()
    (tmp_path / "ledger/v2/index/log.json").unlink()
    damaged = assay("ledger", "verify", "--seal", sealed["seal"])
    assert damaged.exit_code == 1
    lines = damaged.stdout.splitlines()
    assert lines[0].startswith("v2/log/: has no entry with the seal")
    assert lines[1].startswith(f"{path.relative_to(tmp_path / 'ledger').as_posix()}: was changed")
    assert lines[2].endswith("2 problems")
    answer = assay("ledger", "verify", "--json")
    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)["problems"]) == 1


def test_what_is_not_a_seal_is_refused(run_id):
    refused = assay("ledger", "verify", "--seal", "sha256:12")
    assert isinstance(refused.exception, AssayError)
    assert refused.exception.exit_code == 2
    assert "--seal" in str(refused.exception)
