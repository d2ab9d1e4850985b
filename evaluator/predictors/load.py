"""Load: turns a variant into a predictor."""

import torch

from assay.evaluator.predictors.callable import CallablePredictor
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.predictor import Predictor
from assay.evaluator.predictors.torch_module import TorchPredictor
from assay.evaluator.predictors.weights_files import WeightsFiles
from assay.manifests.variant import Variant


def load(
    variant: Variant,
    *,
    inputs: tuple[str, ...],
    device: torch.device,
    weights: WeightsFiles | None = None,
) -> Predictor:
    """Loads a variant on a device.

    Set the determinism flags and the seeds first: a torch entrypoint without weights initialises its parameters from
    torch's global generator.

    Args:
        variant: The variant's manifest.
        inputs: The feature columns that it receives, in the order of its arguments.
        device: Where a torch variant runs. A callable variant chooses its own device.
        weights: Its weights, whose digest has been checked; None if it has none.

    Raises:
        VariantError: The entrypoint or the weights cannot be used.
    """
    function = resolve_entrypoint(variant.entrypoint)
    if variant.predictor == "callable":
        paths = () if weights is None else weights.paths
        return CallablePredictor(variant, function=function, inputs=inputs, weights_paths=paths)
    content = None if weights is None else weights.content
    return TorchPredictor(variant, function=function, inputs=inputs, weights=content, device=device)
