"""Variants and batches for the tests of this folder."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import TypeAdapter

from assay.evaluator.predictors.kinds import kind_of
from assay.evaluator.predictors.predictor import Batch, Predictor
from assay.evaluator.predictors.weights_files import WeightsFiles
from assay.manifests import Variant

HERE = "tests.evaluator.predictors.entrypoints"


def variant(function: str, **fields: Any) -> Variant:
    given = {"kind": "Variant", "version": 1, "predictor": "torch", "output": "logits", **fields}
    return TypeAdapter(Variant).validate_python({"entrypoint": f"{HERE}:{function}", **given})


def loaded(
    function: str,
    *,
    inputs: tuple[str, ...] = ("left",),
    weights: bytes | None = None,
    file: str = "linear.safetensors",
    weights_location: str | tuple[str, ...] | None = None,
    **fields: Any,
) -> Predictor:
    """A loaded variant: of torch with the bytes of its weights, of a callable with their location."""
    content = None
    if weights is not None:
        content, fields["weights"] = pa.py_buffer(weights), file
    if weights_location is not None:
        fields["weights"] = weights_location
    each = variant(function, **fields)
    files = WeightsFiles("", 0, each.weights_locations, content)
    return kind_of(each).load(each, inputs=inputs, weights=files, device=torch.device("cpu"))


def frozen(values: np.ndarray) -> np.ndarray:
    """The values as a read-only view, like rows that were read from Arrow."""
    array = pa.array(values.ravel()).to_numpy(zero_copy_only=True).reshape(values.shape)
    assert not array.flags.writeable
    return array


def batch(*, num_rows: int = 5, size: int = 8, seed: int = 0, **more: np.ndarray) -> Batch:
    """`num_rows` real rows of `left` and `right`, shape (size, 3) float32, padded with zeros."""
    rng = np.random.default_rng(seed)
    features = {}
    for name in ("left", "right"):
        column = np.zeros((size, 3), dtype=np.float32)
        column[:num_rows] = rng.normal(size=(num_rows, 3))
        features[name] = frozen(column)
    return Batch(features={**features, **more}, num_rows=num_rows)


def answers(predictor: Predictor, *batches: Batch) -> np.ndarray:
    return predictor.predict(batches).raw
