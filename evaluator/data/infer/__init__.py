"""Infer: drafts a contract from files of rows, for a person to review."""

from assay.evaluator.data.infer.draft import infer

__all__ = ["infer"]
