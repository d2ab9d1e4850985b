"""The demo's variants as shipped: loaded from their manifests and evaluated on the test images."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.cluster.demo import digits
from assay.evaluator.metrics import row
from assay.evaluator.metrics.predictions import predictions_of
from assay.evaluator.predictors.kinds import kind_of
from assay.evaluator.predictors.predictor import Batch
from assay.evaluator.predictors.weights import read_weights_file
from assay.evaluator.predictors.weights_files import WeightsFiles
from assay.evaluator.storage import open_store
from assay.manifests import Column, Metric, TorchVariant, parse

REPOSITORY = Path(__file__).parents[3]
DEMO = REPOSITORY / "cluster" / "demo"
LABEL = Column(name="digit", role="label", type="int64")
BATCH_SIZE = 64


def _variant(name: str) -> TorchVariant:
    file = DEMO / "variants" / f"{name}.yaml"
    parsed = parse(file.read_text(), file=str(file))
    assert isinstance(parsed, TorchVariant)
    return parsed


def _answers(name: str, *, padding: int = 0) -> np.ndarray:
    variant, test = _variant(name), digits.test()
    weights = read_weights_file(variant.weights_locations[0], store_at=open_store)
    predictor = kind_of(variant).load(
        variant,
        inputs=variant.inputs,
        weights=WeightsFiles("", weights.size, content=weights),
        device=torch.device("cpu"),
    )
    answers = []
    for first in range(0, len(test.labels), BATCH_SIZE):
        images = test.images[first : first + BATCH_SIZE]
        padded = np.full((BATCH_SIZE, 8, 8), padding, dtype=np.uint8)
        padded[: len(images)] = images
        answers.append(predictor.predict([Batch({"image": padded}, num_rows=len(images))]).raw)
    return np.concatenate(answers)


@cache
def _scores(name: str, measure: str) -> np.ndarray:
    test = digits.test()
    predictions = predictions_of(_answers(name), output=_variant(name).output, label=LABEL)
    metric = Metric.model_validate({"name": measure, "measure": measure})
    return row.score(metric, row.ScoredRows(predictions, test.labels, LABEL, BATCH_SIZE))


def _gap(name: str, measure: str) -> tuple[float, float]:
    """The mean difference from the control and its standard error."""
    difference = _scores(name, measure) - _scores("baseline", measure)
    return difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))


# Bonferroni's two-sided 5 % critical value for 4 comparisons: the normal quantile at 1 - 0.05 / 8. Sharper methods
# have smaller ones.
CRITICAL = 2.498
# The gaps must exceed it by a wide margin, so that another processor's rounding cannot change the demo's verdict.
CLEARLY = 2 * CRITICAL


def test_the_control_is_right_on_about_93_of_100():
    assert _scores("baseline", "accuracy").mean() == pytest.approx(0.929, abs=0.005)


def test_the_convolution_is_clearly_better_by_more_than_3_points():
    gap, error = _gap("convolution", "accuracy")
    assert gap > 0.03
    assert gap > CLEARLY * error
    assert _gap("convolution", "log_loss")[0] < 0


def test_the_undertrained_one_is_clearly_worse():
    gap, error = _gap("undertrained", "accuracy")
    assert gap < -0.05
    assert gap < -CLEARLY * error


def test_int8_is_as_good_as_the_control_in_under_a_third_of_the_bytes():
    gap, error = _gap("int8", "accuracy")
    assert abs(gap) < 0.005
    assert abs(gap) < CRITICAL * error or gap == 0
    gap, error = _gap("int8", "log_loss")
    assert gap + CRITICAL * error < 0.05  # the suite's guardrail
    size = {name: (DEMO / "weights" / f"{name}.safetensors").stat().st_size for name in ("baseline", "int8")}
    assert size["int8"] < size["baseline"] / 3


@pytest.mark.parametrize("name", ["baseline", "convolution", "int8", "undertrained"])
def test_padding_never_reaches_a_real_row(name):
    np.testing.assert_array_equal(_answers(name, padding=0), _answers(name, padding=255))


def test_all_weights_together_are_small():
    assert sum(file.stat().st_size for file in (DEMO / "weights").iterdir()) < 500_000


def test_every_variant_and_every_weights_file_is_used():
    named = {Path(_variant(file.stem).weights or "").name for file in (DEMO / "variants").iterdir()}
    assert named == {file.name for file in (DEMO / "weights").iterdir()}


def test_the_script_trains_what_is_shipped():
    spec = importlib.util.spec_from_file_location("train", REPOSITORY / "scripts" / "train_demo_variants.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    threads = torch.get_num_threads()
    try:
        script.determinism.apply(script.Determinism())
        baseline = script.train(script.RECIPES["baseline"])
        small = script.quantised(baseline)
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(threads)
    images = torch.from_numpy(digits.test().images)
    for module, name in ((baseline, "baseline"), (small, "int8")):
        with torch.inference_mode():
            found = module(images).argmax(dim=1).numpy()
        shipped = _answers(name).argmax(axis=1)
        # rounding differs between processors and adds up over 660 steps, but predictions hardly change
        assert (found != shipped).mean() < 0.02
