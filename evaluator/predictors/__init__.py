"""Loaded variants: what turns a batch into predictions."""

from evaluator.predictors.base import Answers, Batch, PredictionError, Predictor
from evaluator.predictors.device import device_class, pick_device
from evaluator.predictors.entrypoint import code_digest, resolve_entrypoint
from evaluator.predictors.load import load, read_weights

__all__ = [
    "Answers",
    "Batch",
    "PredictionError",
    "Predictor",
    "code_digest",
    "device_class",
    "load",
    "pick_device",
    "read_weights",
    "resolve_entrypoint",
]
