"""Batch-size sensitivity of real variants: none, a little in bfloat16, much where rows of a batch are mixed."""

import pytest
import torch
import yaml

from assay.evaluator import batches
from assay.evaluator.data.frozen.shards import ShardReader, open_dataset
from assay.evaluator.predictors import kind_of
from assay.evaluator.predictors.predictor import PredictionError
from assay.evaluator.probes.batch_size import OF_VALUES, probe
from assay.manifests import BaseVariant, Suite, parse
from assay.manifests.measures import MEASURES
from tests import builders

CODE = '''
import numpy as np
import torch
from torch import nn


class Linear(nn.Module):
    def __init__(self, dtype="float32", width=32):
        super().__init__()
        self.dtype = getattr(torch, dtype)
        self.first = nn.Linear(1, width)
        self.middle = nn.Linear(width, width)
        self.second = nn.Linear(width, 2)
        self.first.to(self.dtype)
        self.middle.to(self.dtype)

    def forward(self, x):  # what autocast does: matrix products in few bits, the rest in float32
        hidden = torch.tanh(self.first(x[:, None].to(self.dtype)))
        return self.second(torch.tanh(self.middle(hidden)).float())


class Normalising(Linear):
    """BatchNorm left in training mode: a row's output depends on the other rows of its batch."""

    def __init__(self, momentum=0.1):
        super().__init__()
        self.norm = nn.BatchNorm1d(32)

    def forward(self, x):
        self.norm.train()
        hidden = self.first(x[:, None].float())
        if len(x) == 1:  # what BatchNorm itself refuses, done the way a frame without that check does it
            return self.second(torch.tanh(hidden - hidden))
        return self.second(torch.tanh(self.norm(hidden)))


class Strict(Normalising):
    def forward(self, x):
        self.norm.train()
        return self.second(torch.tanh(self.norm(self.first(x[:, None].float()))))


def sharp(features):
    """Class 1 if the row is above the mean of its batch."""
    x = features["x"]
    return np.where(x > x.mean(), 0.9, 0.1)


def complains(features):
    raise ValueError("no")
'''


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "batch_sensitive_variants.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    builders.freeze_rows(tmp_path)
    return tmp_path


def probed(place, entrypoint, *, measure="accuracy", predictor="torch", output="logits", batch_size=24, **parameters):
    dataset, store = open_dataset(str(place / "datasets" / "small@v1"))
    names = {"metrics": [{"name": "m", "measure": measure}], "batch_size": batch_size}
    planned = {
        **builders.SUITE["plan"],
        "metric": "m",
        "guardrails": [],
        "scale": "binary" if measure == "accuracy" else "continuous",
        "direction": "lower" if measure in ("log_loss", "rmse", "mae", "calibration_error") else "higher",
    }
    suite = parse(yaml.safe_dump({**builders.SUITE, **names, "plan": planned}), file="s.yaml", kind="Suite")
    given = builders.variant() | {"entrypoint": f"batch_sensitive_variants:{entrypoint}", "parameters": parameters}
    variant = parse(yaml.safe_dump({**given, "predictor": predictor, "output": output}), file="v.yaml", kind="Variant")
    assert isinstance(suite, Suite)
    assert isinstance(variant, BaseVariant)
    torch.manual_seed(0)
    loaded = kind_of(variant).load(variant, inputs=("x",), weights=None, device=torch.device("cpu"))
    unit = batches.first_batches(dataset.num_rows, batch_size=batch_size)
    return probe(unit, predictor=loaded, variant=variant, suite=suite, reader=ShardReader(dataset, store))


def test_a_model_of_rows_has_no_floor(place):
    found = probed(place, "Linear")
    assert (found.num_rows, found.num_flips) == (16 + 16 + 16 + 8, 0)  # of 9 batches, the last has 8 rows
    assert found.noise_floor == 0
    assert found.max_abs_difference < 1e-6
    assert not found.exceeds(0)


def test_half_precision_has_a_small_floor(place):
    exact, rough = (
        probed(place, "Linear", measure="log_loss", dtype=dtype, width=700, batch_size=8)
        for dtype in ("float32", "bfloat16")
    )
    assert 0 <= exact.noise_floor < 1e-6
    assert 0 < rough.noise_floor < 0.01


def test_batch_normalisation_left_in_training_mode_is_caught(place):
    found = probed(place, "Normalising", measure="log_loss")
    assert found.noise_floor > 0.01
    assert found.exceeds(0.001)


def test_rows_that_cannot_be_scored_alone_are_told(place):
    found = probed(place, "Strict")
    assert found.noise_floor is None
    assert "more than 1 value per channel" in found.reason
    assert found.exceeds(1e9)


@pytest.mark.parametrize("measure", ["accuracy", "macro_f1"])
def test_flips_are_counted(place, measure):
    found = probed(place, "sharp", predictor="callable", output="probabilities", measure=measure)
    assert found.num_flips > 0  # alone, no row is above its own mean
    assert found.noise_floor == pytest.approx(found.num_flips / found.num_rows)
    assert found.max_abs_difference == pytest.approx(0.8)


@pytest.mark.parametrize("measure", ["auroc", "calibration_error"])
def test_the_floor_of_other_corpus_metrics_is_the_mean_difference_of_probabilities(place, measure):
    found = probed(place, "sharp", predictor="callable", output="probabilities", measure=measure)
    assert found.noise_floor == pytest.approx(0.8 * found.num_flips / found.num_rows)


def test_every_measure_of_predicted_values_has_a_floor():
    names = {name for name, each in MEASURES.items() if (each.level, each.needs) == ("dataset", "values")}
    assert set(OF_VALUES) == names


def test_several_batches_of_the_first_unit_are_probed(place):
    found = probed(place, "Linear", batch_size=8)
    assert found.num_rows == 4 * 8
    found = probed(place, "Linear", batch_size=5)
    assert found.num_rows == 4 * 5


def test_a_variant_that_fails_on_whole_batches_is_not_batch_size_sensitivity(place):
    with pytest.raises(PredictionError):
        probed(place, "complains", predictor="callable", output="probabilities")
