"""A new kind of variant is a file with its fields, a module that loads it, and one line in each of two registries."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import builders

ROOT = Path(__file__).parents[2]

FIELDS = '''
"""Stump variants: one cut of one feature, read from a file."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import LOCATION
from assay.manifests.base_variant import BaseVariant, Location


class StumpVariant(BaseVariant):
    """Class 1 above a cut."""

    predictor: Literal["stump"]
    """Always `stump`."""
    entrypoint: str = "assay.evaluator.predictors.stump:Stump"
    """Assay's own code."""
    weights: Location = Field(json_schema_extra=LOCATION)
    """The file with the cut."""
    certainty: float = Field(default=0.9, gt=0.5, lt=1)
    """The probability of the predicted class. Default: 0.9."""
'''

MODULE = '''
"""Stump variants: compares a feature with a cut."""

from pathlib import Path

import numpy as np

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.predictor import RawOutput
from assay.evaluator.predictors.weights_files import weights_files


def check(variant):
    pass


def check_input(variant, column, rules):
    if column.type != "float64":
        raise VariantError("a stump needs numbers", field="inputs", value=column.form)


def read_weights(variant, *, store_at, copies):
    return weights_files(variant.weights_locations, store_at=store_at, copies=copies)


def load(variant, *, inputs, weights, device):
    return Stump(float(Path(weights.paths[0]).read_text()), variant.certainty, inputs)


class Stump:
    num_parameters = 1

    def __init__(self, cut, certainty, inputs):
        self.cut, self.certainty, self.inputs = cut, certainty, inputs

    def predict(self, batches):
        answers = []
        for batch in batches:
            (x,) = batch.columns(self.inputs)
            answers.append(np.where(x > self.cut, self.certainty, 1 - self.certainty)[: batch.num_rows])
        return RawOutput(np.concatenate(answers), (0.001,) * len(answers), copy_s=0.0, forward_s=0.001)

    def release(self):
        pass
'''

LINES = {
    "manifests/variant.py": [
        ("CallableVariant | ", "CallableVariant | StumpVariant | "),
        (
            "from assay.manifests.torch_variant",
            "from assay.manifests.stump_variant import StumpVariant\nfrom assay.manifests.torch_variant",
        ),
    ],
    "evaluator/predictors/kinds.py": [
        ('    "torch": torch_module,\n', '    "stump": stump,\n    "torch": torch_module,\n'),
        ("import torch_module\n", "import stump, torch_module\n"),
    ],
}
"""The lines, each with its import, that enter the kind into the two registries."""


@pytest.fixture
def assay(tmp_path):
    """The command line of a copy of Assay that has the new kind."""
    package = tmp_path / "copy" / "assay"
    package.mkdir(parents=True)
    shutil.copy(ROOT / ".package" / "assay" / "__init__.py", package)
    for folder in ("cluster", "evaluator", "manifests", "stats"):
        shutil.copytree(ROOT / folder, package / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "manifests" / "stump_variant.py").write_text(FIELDS)
    (package / "evaluator" / "predictors" / "stump.py").write_text(MODULE)
    for file, edits in LINES.items():
        text = (package / file).read_text()
        for before, after in edits:
            assert text.count(before) == 1
            text = text.replace(before, after)
        (package / file).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "assay.cluster.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return run


def test_two_files_and_two_lines_are_a_kind_that_is_checked_scored_and_decided(assay, tmp_path):
    stump = {"kind": "Variant", "version": 1, "predictor": "stump", "inputs": ["x"], "output": "probabilities"}
    arms = {
        "control": {**stump, "weights": "poor.txt"},
        "better": {**stump, "weights": "good.txt"},
        "callable": builders.variant(),
    }
    path = builders.write_experiment(tmp_path, num_rows=64, arms=arms)
    (tmp_path / "poor.txt").write_text("0.9")
    (tmp_path / "good.txt").write_text("0.5")

    ran = assay("run", str(path), "--in-process")
    assert ran.returncode == 0, ran.stderr
    accuracy = {}
    for arm, value in re.findall(r"^ (\w+) +(\d\.\d{4}) ", ran.stdout, re.MULTILINE):
        accuracy.setdefault(arm, float(value))  # the first table is the primary metric's
    assert accuracy["better"] == accuracy["callable"] == 1 > accuracy["control"]
    assert assay("gate", str(path)).returncode == 0

    (tmp_path / "good.txt").write_text("0.6")  # the weights are part of the new kind's identity, too
    changed = assay("run", str(path), "--in-process", "--dry-run")
    assert "weights: sha256:" in changed.stdout + changed.stderr

    arms["better"] |= {"certanty": 0.8}
    builders.write_experiment(tmp_path, num_rows=64, arms=arms)
    refused = assay("run", str(path), "--in-process")
    assert refused.returncode == 2
    assert "arms[1].variant.certanty: unknown field; got 0.8; did you mean 'certainty'?" in refused.stderr
    assert "StumpVariant" in json.loads(assay("schema", "Variant").stdout)["$defs"]
