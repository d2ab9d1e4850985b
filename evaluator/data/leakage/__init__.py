"""Leakage: a frozen dataset against training sets, and its labels against its features. `leakage_of` does it all."""

from assay.evaluator.data.leakage.search import leakage_of
from assay.evaluator.data.leakage.training import Training, open_training

__all__ = ["Training", "leakage_of", "open_training"]
