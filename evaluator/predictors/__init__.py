"""Predictors: loaded variants, which turn batches of rows into predictions."""

from assay.evaluator.predictors.code import code_of
from assay.evaluator.predictors.device import device_class, peak_memory_bytes, pick_device, reset_peak_memory
from assay.evaluator.predictors.kinds import kind_of
from assay.evaluator.predictors.predictor import Batch, InputWrittenError, PredictionError, Predictor, RawOutput
from assay.evaluator.predictors.weights_files import WeightsFiles, weights_files

__all__ = [
    "Batch",
    "InputWrittenError",
    "PredictionError",
    "Predictor",
    "RawOutput",
    "WeightsFiles",
    "code_of",
    "device_class",
    "kind_of",
    "peak_memory_bytes",
    "pick_device",
    "reset_peak_memory",
    "weights_files",
]
