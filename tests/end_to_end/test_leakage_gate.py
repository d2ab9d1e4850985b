"""Findings about a dataset decide the gate: no search, a search without leaks, a leak, a withdrawn version."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.verify import verify
from assay.evaluator.data.frozen import findings
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.ledger import reader, version_log
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import open_store
from assay.manifests import Contract, parse
from assay.manifests.finding import Withdrawal
from assay.manifests.verification import ArmVerified, Verification
from tests import builders

LOCATION = "datasets/small@v1"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with an experiment whose policy requires a leak search, and two training sets, one leaking."""
    policy = {"kind": "Policy", "version": 1, "require": ["leakage"]}
    builders.write_experiment(tmp_path, suite={**builders.SUITE, "policy": policy})
    ours, others = builders.rows(200), builders.rows(300, seed=8)
    for number, row in enumerate(others):
        row["key"], row["x"] = f"other-{number}", row["x"] + 3e-7  # ours have six decimal places
    for name, rows in (("fine", others), ("leaking", [*others, ours[17]])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*args: str, code: int = 0) -> str:
    answer = CliRunner().invoke(main.app, args)
    assert answer.exit_code == code, answer.output
    return answer.output


def run() -> pipeline.Prepared:
    prepared = pipeline.prepare("experiment.yaml")
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


def gate(*, code: int) -> dict:
    found = json.loads(command("gate", "experiment.yaml", "--json", "--arm", "better", code=code))
    (decision,) = found["decisions"]
    return decision


def withdraw() -> None:
    dataset, store = open_dataset(LOCATION)
    findings.keep(
        store,
        Withdrawal(
            reference=dataset.reference,
            rows_digest=dataset.rows_digest,
            found_at="2026-01-02T03:04:05+00:00",
            found_by="someone",
            reason="labels were shuffled",
        ),
    )


def test_the_gate_holds_until_somebody_looked_and_again_when_a_leak_is_found(folder):
    run()
    nobody = gate(code=3)
    assert nobody["decision"] == "hold"
    assert f"assay dataset leakage {folder / LOCATION} --training FILE" in nobody["next_step"]
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl")
    assert gate(code=0)["decision"] == "promote"
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl", "--training", "leaking.jsonl")
    held = gate(code=3)
    assert held["decision"] == "hold"
    words = "1 of 200 rows have the same features as a training row (the first: row 17, leaking.jsonl:301)"
    assert any(words in reason for reason in held["reasons"])
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl")  # does not cover the other training set
    assert gate(code=3)["decision"] == "hold"


def test_a_leak_is_an_exit_code_only_where_it_is_asked_for(folder):
    asked = ("dataset", "leakage", LOCATION, "--training", "leaking.jsonl")
    assert "leaking.jsonl:301" in command(*asked)
    found = json.loads(CliRunner().invoke(main.app, [*asked, "--fail-on-leak", "--json"]).stdout)
    assert CliRunner().invoke(main.app, [*asked, "--fail-on-leak"]).exit_code == 1
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl", "--fail-on-leak")
    assert found["is_fine"] is False
    assert found["training"][0]["num_rows"] == 301
    assert found["digest"] in {finding.digest() for finding in findings.findings_of(open_store("datasets"), "small@v1")}


def test_what_was_known_is_in_the_lineage_and_answers_when_the_dataset_is_gone(folder):
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl")
    prepared = run()
    store = open_store("ledger")
    (known,) = reader.read_run(store, prepared.run.run_id).lineage.circumstance["findings"]
    assert (known["kind"], known["is_fine"]) == ("Leakage", True)
    recorded = reader.read_table(store, reader.committed_files(store, prepared.run.run_id), "decisions").to_pylist()
    assert {row["decision"] for row in recorded if row["arm"] == "better"} == {"promote"}
    (folder / "datasets").rename(folder / "elsewhere")
    decision = json.loads(command("gate", prepared.run.run_id, "--json", "--arm", "better"))["decisions"][0]
    assert decision["decision"] == "promote"
    assert "findings as of the run's opening" in decision["questions"][0]["evidence"]


def test_a_new_finding_makes_no_other_run(folder):
    first = run()
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl")
    again = pipeline.prepare("experiment.yaml")
    assert (again.run.run_id, again.committed) == (first.run.run_id, True)
    found = verify.verify(open_store("ledger"), first.run.run_id, num_rows=1, in_process=True).comparison
    assert (found.outcome, found.changed) == ("matched", ())


def test_a_withdrawn_dataset_is_told_by_run_report_and_gate_and_holds(folder):
    command("dataset", "leakage", LOCATION, "--training", "fine.jsonl")
    withdraw()
    told = CliRunner().invoke(main.app, ["run", "experiment.yaml", "--in-process"])
    words = "withdrawn on 2026-01-02 by someone: labels were shuffled"
    assert words in told.stderr
    assert json.loads(command("report", "experiment.yaml", "--json"))["dataset"]["withdrawn"] == words
    assert words in " ".join(command("report", "experiment.yaml").split())
    held = gate(code=3)
    assert any(words in reason for reason in held["reasons"])


def test_a_leak_or_a_difference_holds_though_the_policy_requires_nothing(folder):
    builders.write_experiment(folder, suite={**builders.SUITE, "policy": {"kind": "Policy", "version": 1}})
    prepared = run()
    assert gate(code=0)["decision"] == "promote"
    same = ArmVerified(arm="control", num_units=1, num_rows=9, num_rows_different=0, row_ids=(), columns={})
    other = same.model_copy(update={"num_rows_different": 1, "row_ids": ("7",), "columns": {"scores": 0.5}})
    for arm, decision in ((other, "hold"), (same, "promote")):
        scored_again = Verification(against="ledger", arms=(arm,), num_rows_dataset=200, tolerance=0, changed=())
        version_log.record_verification(prepared.store, prepared.run.run_id, scored_again)
        assert gate(code=3 if decision == "hold" else 0)["decision"] == decision
        report = json.loads(command("report", "experiment.yaml", "--json"))
        assert (report["gate"], report["decisions"][0]["decision"]) == (decision, decision)
    command("dataset", "leakage", LOCATION, "--training", "leaking.jsonl")
    assert gate(code=3)["decision"] == "hold"
    experiment = yaml.safe_load(Path("experiment.yaml").read_text())
    Path("experiment.yaml").write_text(yaml.safe_dump({**experiment, "name": "opened-after-the-leak"}))
    written = CommittedRun(prepared.store, run().run.run_id).rows("decisions")
    assert {row["arm"]: row["decision"] for row in written}["better"] == "hold"


def freeze_v2() -> None:
    """Freezes the same rows under a contract that allows leaks, and writes an experiment that names that version."""
    loose = {**builders.CONTRACT, "leakage": {"exact": None, "normalised": None, "near": None, "ids": None}}
    contract = parse(yaml.safe_dump(loose), file="contract.yaml", kind="Contract")
    assert isinstance(contract, Contract)
    freeze(["rows.jsonl"], contract=contract, reference="small@v2", store=open_store("datasets"), shard_rows=32)
    experiment = yaml.safe_load(Path("experiment.yaml").read_text())
    Path("second.yaml").write_text(yaml.safe_dump({**experiment, "dataset": "datasets/small@v2"}))
    for version in ("v1", "v2"):
        command("dataset", "leakage", f"datasets/small@{version}", "--training", "leaking.jsonl")


def test_the_run_of_another_version_with_the_same_rows_does_not_answer_for_the_one_that_is_named(folder, assay):
    freeze_v2()
    command("run", "second.yaml", "--in-process")
    command("gate", "second.yaml")
    for verb in (("gate",), ("run", "--in-process"), ("report",)):
        refused = assay(verb[0], "experiment.yaml", *verb[1:], folder=folder)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "evaluated small@v2, which has the same rows" in refused.stderr
        assert "name small@v2, or give the experiment another name and run it" in refused.stderr
    renamed = yaml.safe_load(Path("experiment.yaml").read_text()) | {"name": "renamed"}
    Path("experiment.yaml").write_text(yaml.safe_dump(renamed))
    assert "arms reused from run" in command("run", "experiment.yaml", "--in-process")
    assert gate(code=3)["decision"] == "hold"


def test_the_gate_of_an_experiment_that_was_not_run_says_how_to_run_it(folder, assay):
    run()
    changed = yaml.safe_load(Path("experiment.yaml").read_text()) | {"aa": True}
    Path("changed.yaml").write_text(yaml.safe_dump(changed))
    refused = assay("gate", "changed.yaml", "--ledger", "ledger", folder=folder)
    assert refused.returncode == 1
    assert refused.stderr.endswith("run it first: assay run changed.yaml --ledger ledger\n")
