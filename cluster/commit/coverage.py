"""Coverage: every unit of an arm is in the ledger once, and together they have every row of the dataset."""

from collections.abc import Mapping

from assay.cluster.errors import RunError
from assay.evaluator.ledger.receipt import UnitReceipt


def check_coverage(receipts: Mapping[int, UnitReceipt], arm: str, *, num_rows: int, num_units: int) -> None:
    """Refuses an arm that is not whole.

    Args:
        receipts: Of the arm's units in the ledger, by index.
        arm: Its name.
        num_rows: Rows of the dataset.
        num_units: Units of the dataset.

    Raises:
        RunError: A unit is missing, or the units have more or fewer rows than the dataset.
    """
    missing = [unit for unit in range(num_units) if unit not in receipts]
    covered = sum(receipt.num_rows for receipt in receipts.values())
    if missing or covered != num_rows:
        raise RunError(
            f"arm '{arm}': {covered} of {num_rows} rows are in the ledger, units {missing[:5]} are missing; run again"
        )
