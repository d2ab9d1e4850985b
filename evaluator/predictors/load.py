"""Load: turns a variant into a predictor."""

from collections.abc import Sequence

import pyarrow as pa
import torch

from assay.evaluator.predictors.callable import CallablePredictor
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.predictor import Predictor
from assay.evaluator.predictors.torch_module import TorchPredictor
from assay.manifests.variant import Variant


def load(
    variant: Variant,
    *,
    inputs: tuple[str, ...],
    device: torch.device,
    weights: pa.Buffer | None = None,
    weights_paths: Sequence[str] = (),
) -> Predictor:
    """Loads a variant on a device.

    Set the determinism flags and the seeds first: a torch entrypoint without weights initialises its parameters from
    torch's global generator.

    Args:
        variant: The variant's manifest.
        inputs: The feature columns that it receives, in the order of its arguments.
        weights: The bytes of its weights file, whose digest has been checked; None if it has none.
        device: Where a torch variant runs. A callable variant chooses its own device.
        weights_paths: The local paths of a callable variant's weights, whose digest has been checked.

    Raises:
        VariantError: The entrypoint or the weights cannot be used.
    """
    function = resolve_entrypoint(variant.entrypoint)
    if variant.predictor == "callable":
        return CallablePredictor(variant, function=function, inputs=inputs, weights_paths=weights_paths)
    return TorchPredictor(variant, function=function, inputs=inputs, weights=weights, device=device)
