"""Leakage: searches training sets for rows of a frozen dataset, and its features for its label; see `leakage_of`."""

from assay.evaluator.data.leakage.search import leakage_of
from assay.evaluator.data.leakage.training import Training, open_training

__all__ = ["Training", "leakage_of", "open_training"]
