"""Predictors: loaded variants, which turn batches of rows into predictions."""

from assay.evaluator.predictors.device import device_class, peak_memory_bytes, pick_device, reset_peak_memory
from assay.evaluator.predictors.entrypoint import code_digest, resolve_entrypoint
from assay.evaluator.predictors.load import load
from assay.evaluator.predictors.predictor import Batch, PredictionError, Predictor, RawOutput
from assay.evaluator.predictors.weights import read_weights

__all__ = [
    "Batch",
    "PredictionError",
    "Predictor",
    "RawOutput",
    "code_digest",
    "device_class",
    "load",
    "peak_memory_bytes",
    "pick_device",
    "read_weights",
    "reset_peak_memory",
    "resolve_entrypoint",
]
