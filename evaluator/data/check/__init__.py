"""Check: checks rows against a contract. `Check(contract)` takes chunks and finishes with a report."""

from assay.evaluator.data.check.check import Check
from assay.evaluator.data.check.files import check_files
from assay.evaluator.data.check.refusal import ContractBroken

__all__ = ["Check", "ContractBroken", "check_files"]
