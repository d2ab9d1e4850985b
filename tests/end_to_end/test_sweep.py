"""A sweep of checkpoints: a damaged file fails only its own arm, and a growing folder reuses the checkpoints it had."""

from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

from assay.cluster import pipeline
from assay.cluster.report.record import document
from tests import builders

MODEL = '''
import torch
from torch import nn


class Threshold(nn.Module):
    """Probability of class 1 from the feature x."""

    def __init__(self, certainty):
        super().__init__()
        self.cut = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.certainty = certainty

    def forward(self, x):
        return torch.where(x > self.cut, self.certainty, 1 - self.certainty)


def build(*, certainty=0.9):
    return Threshold(certainty)
'''

BASE = {
    "kind": "Variant",
    "version": 1,
    "predictor": "torch",
    "entrypoint": "threshold_model:build",
    "inputs": ["x"],
    "output": "probabilities",
}


def write_sweep(folder: Path, *, steps: range, **sweep) -> Path:
    """Writes a sweep of checkpoints whose threshold approaches the right one, 0.5, with every step."""
    plan = {**builders.SUITE["plan"], "control": "step-1"}
    path = builders.write_experiment(folder, suite={**builders.SUITE, "plan": plan})
    (folder / "threshold_model.py").write_text(MODEL)
    (folder / "checkpoints").mkdir(exist_ok=True)
    for step in steps:
        cut = torch.tensor([0.5 + 0.4 / step], dtype=torch.float64)
        save_file({"cut": cut}, folder / f"checkpoints/step-{step}.safetensors")
    content = yaml.safe_load(path.read_text())
    del content["arms"]
    content["sweep"] = {"base": BASE, "weights": "checkpoints", **sweep}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def run(experiment: Path) -> dict:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def test_a_damaged_checkpoint_costs_its_arm_and_says_so(tmp_path):
    experiment = write_sweep(tmp_path, steps=range(1, 11))
    damaged = tmp_path / "checkpoints/step-9.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    (tmp_path / "checkpoints/step-4.safetensors").write_bytes(b"")
    report = run(experiment)
    assert [arm["arm"] for arm in report["arms"]] == [f"step-{step}" for step in range(1, 11)]
    failed = {arm["arm"]: arm["reason"] for arm in report["arms"] if arm["status"] == "failed"}
    assert list(failed) == ["step-4", "step-9"]
    for arm, reason in failed.items():
        assert f"{arm}.safetensors" in reason
        assert "not a safetensors file" in reason
    decisions = {row["arm"]: row["decision"] for row in report["decisions"]}
    assert decisions["step-10"] == "promote"
    assert decisions["step-9"] == "hold"


def test_a_folder_that_grows_costs_the_new_checkpoints_only(tmp_path):
    first = run(write_sweep(tmp_path, steps=range(1, 4)))
    second = run(write_sweep(tmp_path, steps=range(1, 5)))
    assert second["run_id"] != first["run_id"]
    assert {arm["arm"]: arm["num_units_reused"] == arm["num_units"] for arm in second["arms"]} == {
        "step-1": True,
        "step-2": True,
        "step-3": True,
        "step-4": False,
    }
