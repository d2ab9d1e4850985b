"""An arm is complete only if every unit is in the ledger and the units have every row."""

import pytest

from assay.cluster.commit.coverage import check_coverage
from assay.cluster.errors import RunError
from assay.evaluator.ledger.receipt import UnitReceipt
from tests.receipts import receipt


def receipts(*num_rows: int) -> dict[int, UnitReceipt]:
    return {unit: receipt("a", unit, num_rows=rows) for unit, rows in enumerate(num_rows)}


def test_a_whole_arm_passes():
    check_coverage(receipts(32, 32, 8), "a", num_rows=72, num_units=3)


@pytest.mark.parametrize(
    ("found", "num_rows", "problem"),
    [
        (receipts(32, 32), 72, r"64 of 72 rows are in the ledger; missing units: \[2\]"),
        (receipts(32, 32, 7), 72, r"71 of 72 rows are in the ledger; missing units: \[\]"),
        (receipts(32, 32, 9), 72, "73 of 72 rows"),
        (
            receipts(32, 40),
            72,
            r"72 of 72 rows are in the ledger; missing units: \[2\]",
        ),  # enough rows, but not of all units
    ],
)
def test_missing_units_and_rows_are_named(found, num_rows, problem):
    with pytest.raises(RunError, match=rf"arm 'a': {problem}"):
        check_coverage(found, "a", num_rows=num_rows, num_units=3)
