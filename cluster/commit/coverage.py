"""Coverage: checks that every unit of an arm is in the ledger and that its units have every row of the dataset."""

from collections.abc import Mapping

from assay.cluster.errors import RunError
from assay.evaluator.ledger.receipt import UnitReceipt


def check_coverage(receipts: Mapping[int, UnitReceipt], arm: str, *, num_rows: int, num_units: int) -> None:
    """Checks that an arm is complete.

    Args:
        receipts: Receipts of the arm's units in the ledger, by the unit's index.
        arm: The arm's name.
        num_rows: Rows of the dataset.
        num_units: Units of the dataset.

    Raises:
        RunError: A unit is missing, or the units have more or fewer rows than the dataset.
    """
    missing = [unit for unit in range(num_units) if unit not in receipts]
    covered = sum(receipt.num_rows for receipt in receipts.values())
    if missing or covered != num_rows:
        raise RunError(
            f"arm '{arm}': {covered} of {num_rows} rows are in the ledger; missing units: {missing[:5]}; run the same "
            "command again"
        )
