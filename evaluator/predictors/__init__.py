"""Predictors: loaded variants, which turn batches of rows into predictions."""

from assay.evaluator.predictors.code import code_of
from assay.evaluator.predictors.device import device_class, peak_memory_bytes, pick_device, reset_peak_memory
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.load import load
from assay.evaluator.predictors.predictor import Batch, PredictionError, Predictor, RawOutput
from assay.evaluator.predictors.weights import read_weights_file
from assay.evaluator.predictors.weights_files import WeightsFiles, weights_files

__all__ = [
    "Batch",
    "PredictionError",
    "Predictor",
    "RawOutput",
    "WeightsFiles",
    "code_of",
    "device_class",
    "load",
    "peak_memory_bytes",
    "pick_device",
    "read_weights_file",
    "reset_peak_memory",
    "resolve_entrypoint",
    "weights_files",
]
