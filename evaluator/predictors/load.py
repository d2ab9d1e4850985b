"""Load: a variant becomes a predictor."""

import pyarrow as pa
import torch

from assay.evaluator.predictors.callable import CallablePredictor
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.predictor import Predictor
from assay.evaluator.predictors.torch_module import TorchPredictor
from assay.manifests.variant import Variant


def load(variant: Variant, *, inputs: tuple[str, ...], weights: pa.Buffer | None, device: torch.device) -> Predictor:
    """Loads a variant on a device.

    Set the determinism flags and the seeds first: an entrypoint without weights draws its numbers from torch's
    global generator.

    Args:
        variant: What to load.
        inputs: The feature columns that it is given, in the order of its arguments.
        weights: The bytes of its weights file, digest already checked; None if it has none.
        device: Where a torch variant runs; a callable one chooses for itself.

    Raises:
        VariantError: The entrypoint or the weights cannot be used.
    """
    function = resolve_entrypoint(variant.entrypoint)
    if variant.predictor == "callable":
        return CallablePredictor(variant, function=function, inputs=inputs)
    return TorchPredictor(variant, function=function, inputs=inputs, weights=weights, device=device)
