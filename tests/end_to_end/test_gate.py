"""The gate from the command line: its evidence, and what the ledger recorded after the run."""

import json

import pytest
import yaml

from assay.cluster.commit import commit
from assay.evaluator.ledger import reader
from assay.evaluator.storage import open_store
from tests import builders


def suite(**policy) -> dict:
    return {**builders.SUITE, "policy": {"kind": "Policy", "version": 1, **policy}}


def run(assay, folder, *, arms=None, margins=None, **policy) -> None:
    given = suite(**policy)
    given["plan"] = {**given["plan"], "margins": margins or {}}
    builders.write_experiment(folder, suite=given, arms=arms)
    answer = assay("run", "experiment.yaml", "--in-process", folder=folder)
    assert answer.returncode == 0, answer.stderr


def gate(assay, folder, *options, code) -> dict:
    answer = assay("gate", "experiment.yaml", "--json", *options, folder=folder)
    assert answer.returncode == code, answer.stderr
    return json.loads(answer.stdout)


def decided(found: dict) -> dict[str, str]:
    return {row["arm"]: row["decision"] for row in found["decisions"]}


def test_the_answer_is_what_the_run_recorded_and_stands_in_the_report(assay, tmp_path):
    run(assay, tmp_path, next_stage={"name": "canary", "criteria": ["no more errors than now"]})
    found = gate(assay, tmp_path, code=0)
    store = open_store(str(tmp_path / "ledger"))
    recorded = reader.read_table(store, reader.committed_files(store, found["run_id"]), "decisions").to_pylist()
    assert found["decisions"] == [{k: v for k, v in row.items() if k != "run_id"} for row in recorded]
    assert found["policy"]["is_recorded"] is True
    report = json.loads(assay("report", "experiment.yaml", "--json", folder=tmp_path).stdout)
    assert found["winner"] == report["winner"] == {"arm": "better", "won_by": "the only promoted arm"}
    assert "winner: better" in assay("report", "experiment.yaml", folder=tmp_path).stdout
    shown = assay("gate", "experiment.yaml", folder=tmp_path).stdout
    assert "winner: better: the only promoted arm" in shown
    for question in ("dataset", "benchmark", "cost", "reproducibility", "deployment"):
        assert question in shown


def test_a_verification_after_the_run_turns_the_hold_into_a_promotion(assay, tmp_path):
    run(assay, tmp_path, require=["verification"])
    found = gate(assay, tmp_path, code=3)
    assert (decided(found)["better"], decided(found)["worse"], found["winner"]) == ("hold", "reject", None)
    steps = {row["arm"]: row["next_step"] for row in found["decisions"]}
    assert steps["better"] == f"run assay verify {found['run_id']} --ledger {tmp_path / 'ledger'}"
    assert steps["worse"] == "do not ship: it is worse than the control"
    for arm in ("better", "control"):  # one after another, and not all arms
        assert decided(gate(assay, tmp_path, code=3))["better"] == "hold"
        assert assay("verify", "experiment.yaml", "--in-process", "--arm", arm, folder=tmp_path).returncode == 0
    found = gate(assay, tmp_path, code=0)
    assert (decided(found)["better"], decided(found)["worse"]) == ("promote", "reject")


def test_another_policy_says_that_it_is_another_and_promotes_nothing(assay, tmp_path):
    run(assay, tmp_path)
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"kind": "Policy", "version": 1, "tie_breakers": ["cost"]}))
    found = gate(assay, tmp_path, "--policy", "policy.yaml", code=3)
    assert found["policy"]["is_recorded"] is False
    assert (decided(found)["better"], decided(found)["worse"], found["winner"]) == ("hold", "reject", None)
    assert (
        "a policy OTHER than the recorded one"
        in assay("gate", "experiment.yaml", "--policy", "policy.yaml", folder=tmp_path).stdout
    )
    refused = assay("gate", "experiment.yaml", "--policy", "policy.yaml", "--record", folder=tmp_path)
    assert (refused.returncode, "--record" in refused.stderr) == (2, True)
    path.write_text(yaml.safe_dump({"kind": "Policy", "version": 1, "tie_breakers": ["logloss"]}))
    refused = assay("gate", "experiment.yaml", "--policy", "policy.yaml", folder=tmp_path)
    assert (refused.returncode, "did you mean 'log_loss'?" in refused.stderr) == (2, True)
    path.write_text(yaml.safe_dump({"kind": "Policy", "version": 1}))  # it has the digest of the recorded one
    assert gate(assay, tmp_path, "--policy", "policy.yaml", code=0)["policy"]["is_recorded"] is True


def test_the_markdown_is_a_comment_that_no_variant_can_write_into(assay, tmp_path):
    builders.write_experiment(
        tmp_path, arms={**builders.ARMS, "broken": builders.variant("raises", above=0.5)}, suite=suite()
    )
    code = (tmp_path / "variants_under_test.py").read_text()
    (tmp_path / "variants_under_test.py").write_text(code.replace("cannot take", "| <img src=x> @team #1 [a](b) `c`"))
    assert assay("run", "experiment.yaml", "--in-process", folder=tmp_path).returncode == 0
    assert assay("gate", "experiment.yaml", "--markdown", "gate.md", folder=tmp_path).returncode == 0
    written = (tmp_path / "gate.md").read_text()
    assert written.startswith("### assay gate: **promote**, `better`\n")
    assert "| `worse` | -" in written
    assert r"\| &lt;img src=x&gt; @" in written
    for raw in ("<img", "@team", "#1", "[a](b)", " `c`"):
        assert raw not in written
    refused = assay("gate", "experiment.yaml", "--markdown", "no/such/folder.md", folder=tmp_path)
    assert (refused.returncode, "--markdown" in refused.stderr) == (2, True)


@pytest.mark.parametrize(("policy", "code"), [({}, 3), ({"bootstrap": True}, 0)])
def test_a_first_run_without_variants_is_promoted_on_purpose_only(assay, tmp_path, policy, code):
    run(assay, tmp_path, arms={"control": builders.ARMS["control"]}, **policy)
    found = gate(assay, tmp_path, code=code)
    assert list(decided(found)) == ["control"]
    report = assay("report", "experiment.yaml", folder=tmp_path).stdout
    assert ("bootstrap: true" in report) == (code == 3)


@pytest.mark.parametrize(("ratio", "code"), [(0.5, 0), (0.9, 3)])
def test_equal_and_half_the_cost_is_promoted_when_the_policy_rewards_cost(assay, tmp_path, monkeypatch, ratio, code):
    arms = {"control": builders.variant(flip_every=5), "distilled": builders.variant(flip_every=5, cut=0.4999)}
    prices = {"control": 2.0, "distilled": 2.0 * ratio}
    times = commit.arm_times
    monkeypatch.setattr(commit, "arm_times", lambda units: {**times(units), "price": prices[units[0].arm]})
    run(assay, tmp_path, arms=arms, margins={"distilled": 0.05}, promote_equal_at_cost_ratio=0.6)
    assert decided(gate(assay, tmp_path, code=code)) == {"distilled": {0: "promote", 3: "hold"}[code]}


def test_a_suite_refuses_tie_breakers_that_it_does_not_measure(assay, tmp_path):
    builders.write_experiment(tmp_path, suite=suite(tie_breakers=["acuracy"]))
    answer = assay("run", "experiment.yaml", "--in-process", folder=tmp_path)
    assert (answer.returncode, "did you mean 'accuracy'?" in answer.stderr) == (2, True)


def test_a_calibration_is_kept_sealed_and_known_to_verify(assay, tmp_path):
    run(assay, tmp_path)
    asked = ("gate", "calibrate", "experiment.yaml", "--permutations", "5", "--json")
    first = assay(*asked, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    (path,) = (tmp_path / "ledger/v2/calibrations").rglob("*.json")
    written = path.read_bytes()
    assert json.loads(first.stdout) == json.loads(written)
    assert [row["multiple"] for row in json.loads(written)["rates"]] == [None, -2, 1, 2]
    assert assay(*asked, folder=tmp_path).stdout == first.stdout
    assert set(json.loads(written)["left_out"]) == {"worse"}
    shown = assay(*asked[:-1], folder=tmp_path).stdout
    assert "left out: worse (rejected when the run was committed)" in shown
    assert "+k MDE means a gain of k MDE" in " ".join(shown.split())
    assert assay("ledger", "verify", folder=tmp_path).returncode == 0
    path.write_bytes(written.replace(b'"seed":0', b'"seed":1'))
    broken = assay("ledger", "verify", folder=tmp_path)
    assert (broken.returncode, f"calibrations/{path.parent.name}/seed0-n5.json: was changed" in broken.stdout) == (
        1,
        True,
    )
    assert assay(*asked, folder=tmp_path).returncode == 1
