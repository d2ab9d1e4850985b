"""Infer: a first contract, guessed from files of rows, for a person to edit."""

from assay.evaluator.data.infer.draft import infer

__all__ = ["infer"]
