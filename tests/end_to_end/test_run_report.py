"""A run's report is one document: what `--json` prints keeps to the schema that `assay schema` prints."""

import json
import pickle

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from assay.cluster.cli import main
from assay.manifests.run_report import RunReport
from tests import builders

NUM_UNITS = 7  # 200 rows in units of 32
BROKEN = {**builders.variant("raises"), "parameters": {"above": 0.1}}
SWEPT = {"base": builders.variant(), "grid": {"parameters.flip_every": [4, 3, 50, 2]}}
RUNS = {
    "plain": {},
    "sweep and race": {"sweep": SWEPT, "race": {"first_units": 2}},
    "failed arm": {"arms": {**builders.ARMS, "broken": BROKEN}, "resources": {"max_attempts": 1}},
    "guardrails, repeats and segments": {
        "suite": {**builders.SUITE, "repeats": 3, "metrics": builders.SUITE["metrics"][:2]}
    },
}


def written(folder, fields: dict) -> str:
    """The path of an experiment with these fields; a sweep replaces the arms."""
    path = builders.write_experiment(folder, **fields)
    if "sweep" in fields:
        experiment = yaml.safe_load(path.read_text())
        del experiment["arms"]
        plan = {**builders.SUITE["plan"], "control": "flip_every-4"}
        path.write_text(yaml.safe_dump({**experiment, "suite": {**builders.SUITE, "plan": plan}}))
    return str(path)


def printed(*words: str) -> dict:
    answer = CliRunner().invoke(main.app, [*words])
    assert answer.exit_code in (0, 3, 4), answer.output
    return json.loads(answer.stdout)


def check(kind: str, found: dict) -> None:
    schema = printed("schema", kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(found)
    assert set(found) == set(schema["required"])
    assert all("description" in field for name, field in schema["properties"].items() if name != "kind")


@pytest.mark.parametrize("name", RUNS)
def test_what_json_prints_keeps_to_its_schema(tmp_path, name):
    experiment = written(tmp_path, RUNS[name])
    report = printed("run", experiment, "--in-process", "--json")
    check("RunReport", report)
    assert RunReport.model_validate_json(json.dumps(report)).plain() == report
    check("GateAnswer", printed("gate", experiment, "--json"))
    check("RunTiming", printed("report", experiment, "--timing", "--json"))
    check("RunOutcomes", printed("report", experiment, "--confusion", "--json"))
    check("Forecast", printed("run", experiment, "--dry-run", "--in-process", "--json"))
    assert (report["race"] is not None) == (name == "sweep and race")
    assert any(arm["status"] == "failed" for arm in report["arms"]) == (name == "failed arm")
    assert report["num_repeats"] == (3 if "repeats" in name else 1)
    assert report["analysis"]["segments"]
    assert report["analysis"]["guardrails"]
    assert {arm["num_units"] for arm in report["arms"]} == {NUM_UNITS}


def test_a_report_can_be_pickled(tmp_path):
    found = printed("run", str(builders.write_experiment(tmp_path)), "--in-process", "--json")
    report = RunReport.model_validate_json(json.dumps(found))
    assert pickle.loads(pickle.dumps(report)) == report
