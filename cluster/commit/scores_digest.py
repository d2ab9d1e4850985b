"""Digests of scores: of one arm from its units, of a run from its arms."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from assay.evaluator import fingerprint
from assay.evaluator.ledger.receipt import UnitReceipt


def arm_scores_digest(receipts: Iterable[UnitReceipt]) -> str:
    """One digest of all scores of an arm: of its units' digests, which are given in row order."""
    return fingerprint.sha256_digest(json.dumps([receipt.scores_digest for receipt in receipts]).encode())


def run_scores_digest(arms: Iterable[Mapping[str, Any]]) -> str:
    """One digest of all scores of a run: of the complete arms' digests, by name.

    Args:
        arms: Rows of the table of that name.
    """
    digests = sorted((row["arm"], row["scores_digest"]) for row in arms if row["status"] == "complete")
    return fingerprint.sha256_digest(json.dumps(digests).encode())
