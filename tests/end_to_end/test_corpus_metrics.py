"""Corpus metrics as primary metric and as guardrail: the analysis compares the values in the table `metrics`."""

import json

import numpy as np
import pytest
import yaml

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.storage import open_store
from assay.manifests import parse
from tests import builders

CLASSIFIED = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "macro_f1", "matthews", "auroc")


def run(experiment):
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def suite(measure, *, guardrails=(), direction="higher", **plan):
    names = (measure, *guardrails)
    return {
        **builders.SUITE,
        "metrics": [{"name": name, "measure": name} for name in names],
        "plan": {
            **builders.SUITE["plan"],
            "metric": measure,
            "direction": direction,
            "scale": "binary" if measure == "accuracy" else "continuous",
            "guardrails": [{"kind": "metric", "metric": name, "margin": 0.02} for name in guardrails],
            **plan,
        },
    }


def values(report, measure):
    return {row["arm"]: row["metrics"][measure] for row in report["arms"]}


@pytest.mark.parametrize("measure", [*CLASSIFIED, "calibration_error"])
def test_any_measure_can_be_primary(tmp_path, measure):
    direction = "lower" if measure == "calibration_error" else "higher"
    report = run(builders.write_experiment(tmp_path, suite=suite(measure, direction=direction)))
    analysis = report["analysis"]
    assert {arm["arm"]: arm["mean"] for arm in analysis["arms"]} == pytest.approx(values(report, measure), rel=1e-12)
    decisions = {row["arm"]: row["decision"] for row in report["decisions"]}
    assert decisions["again"] == "hold"
    if measure != "calibration_error":  # an arm that predicts 0.9 and is always right is badly calibrated
        assert (decisions["better"], decisions["worse"]) == ("promote", "reject")
    else:
        assert decisions["better"] != "promote"
    assert {segment["segment"] for segment in analysis["segments"]} == {"a", "b"}


def test_corpus_metrics_hold_as_guardrails(tmp_path):
    report = run(
        builders.write_experiment(tmp_path, suite=suite("accuracy", guardrails=("auroc", "calibration_error")))
    )
    verdicts = {(row["metric"], row["comparison"]["arm"]): row["verdict"] for row in report["analysis"]["guardrails"]}
    assert verdicts["auroc", "better"] == "non_inferior"
    assert verdicts["auroc", "worse"] == "breach"
    assert verdicts["calibration_error", "again"] == "non_inferior"
    control, better = (values(report, "calibration_error")[arm] for arm in ("control", "better"))
    (row,) = [
        row["comparison"]
        for row in report["analysis"]["guardrails"]
        if (row["metric"], row["comparison"]["arm"]) == ("calibration_error", "better")
    ]
    assert row["estimate"] == pytest.approx(better - control)


def test_named_classes_keep_their_order_and_regressions_their_errors(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "named.py").write_text(
        "import numpy as np\n"
        "def labels(features, *, cut):\n"
        "    return np.where(features['x'] > cut, 'bad', 'good').astype(object)\n"
        "def values(features, *, slope):\n"
        "    return slope * features['x']\n"
    )
    lines = [
        {"key": i, "x": float(x), "y": "bad" if x > 0.5 else "good", "z": float(x)}
        for i, x in enumerate(rng.random(150))
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def report(label, output, parameters, measure, direction):
        columns = [
            {"name": "key", "role": "id", "type": "int64"},
            {"name": "x", "role": "feature", "type": "float64"},
            {"name": "y", "role": "ignored", "type": "string"},
            {"name": "z", "role": "ignored", "type": "float64"},
        ]
        columns["yz".index(label) + 2] |= {"role": "label", **({"classes": ["good", "bad"]} if label == "y" else {})}
        contract = parse(
            yaml.safe_dump({"kind": "Contract", "version": 1, "columns": columns}), file="c", kind="Contract"
        )
        folder = tmp_path / measure
        (folder / "datasets").mkdir(parents=True)
        freeze(
            [tmp_path / "rows.jsonl"],
            contract=contract,
            reference="small@v1",
            store=open_store(str(folder / "datasets")),
        )
        arms = {
            name: builders.variant() | {"entrypoint": f"named:{output}", "parameters": given, "output": output}
            for name, given in parameters.items()
        }
        planned = suite(measure, direction=direction, columns={})
        experiment = builders.write_experiment(folder, arms=arms, suite=planned)
        (folder / "named.py").write_text((tmp_path / "named.py").read_text())
        return run(experiment)

    found = report("y", "labels", {"control": {"cut": 0.4}, "a": {"cut": 0.6}}, "precision", "higher")
    assert (
        values(found, "precision")["a"] == 1.0
    )  # of the last class, bad: with a cut of 0.6, all rows predicted as bad are bad
    assert {arm["arm"]: arm["mean"] for arm in found["analysis"]["arms"]} == pytest.approx(values(found, "precision"))
    found = report("z", "values", {"control": {"slope": 1.2}, "a": {"slope": 1.1}}, "rmse", "lower")
    assert {arm["arm"]: arm["mean"] for arm in found["analysis"]["arms"]} == pytest.approx(values(found, "rmse"))
    assert [row["decision"] for row in found["decisions"]] == ["promote"]
