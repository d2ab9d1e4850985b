"""Scores digests: of an arm from the digests of its units, of a run from the digests of its arms."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from assay.evaluator import fingerprint
from assay.evaluator.ledger.receipt import UnitReceipt


def arm_scores_digest(receipts: Iterable[UnitReceipt]) -> str:
    """The digest of all scores of an arm, from the digests of its units.

    Args:
        receipts: The receipts of all its units, in row order.
    """
    return fingerprint.sha256_digest(json.dumps([receipt.scores_digest for receipt in receipts]).encode())


def run_scores_digest(arms: Iterable[Mapping[str, Any]]) -> str:
    """The digest of all scores of a run, from the digests of its fully scored arms in the order of their names.

    Args:
        arms: Rows of the table `arms`.
    """
    digests = sorted((row["arm"], row["scores_digest"]) for row in arms if row["scores_digest"] is not None)
    return fingerprint.sha256_digest(json.dumps(digests).encode())
