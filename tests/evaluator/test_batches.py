import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evaluator import batches

sizes = st.integers(1, 400)


@given(num_rows=sizes, batch_size=st.integers(1, 64))
def test_units_cover_every_row_once_in_whole_batches_of_the_global_grid(num_rows, batch_size):
    spans = []
    for index, unit in enumerate(batches.units(num_rows, batch_size=batch_size)):
        assert (unit.index, unit.batch_size) == (index, batch_size)
        spans += [(unit.first_row + span.start, unit.first_row + span.stop) for span in unit.batches()]
    grid = [(start, min(start + batch_size, num_rows)) for start in range(0, num_rows, batch_size)]
    assert spans == grid


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "rows_per_unit", "num_units"),
    [
        (1, 8, 8, 1),
        (200, 8, 8, 25),  # fewer than 64 batches: each is a unit
        (640, 10, 10, 64),
        (641, 10, 20, 33),  # 64 units of one batch would leave a row over
        (82_609, 256, 1_536, 54),  # 82,609 / 64 = 1,290.8: 5.04 batches
        (82_609, 1, 1_291, 64),
        (4_194_304, 256, 65_536, 64),
        (10_000_000, 1_000, 66_000, 152),  # the bound of 65,536 rows, rounded up to whole batches
        (10_000_000, 65_537, 65_537, 153),  # a batch above the bound is a unit
        (10_000_000, 1_000_000, 1_000_000, 10),
    ],
)
def test_a_unit_is_a_64th_of_the_rows_but_at_least_a_batch_and_at_most_65536_rows(
    num_rows, batch_size, rows_per_unit, num_units
):
    units = batches.units(num_rows, batch_size=batch_size)
    assert batches.rows_per_unit(num_rows, batch_size=batch_size) == rows_per_unit
    assert len(units) == num_units
    assert {unit.num_rows for unit in units[:-1]} <= {rows_per_unit}


def test_padding_repeats_the_last_row_and_leaves_full_batches_as_they_are():
    rows = np.arange(6).reshape(3, 2)
    assert batches.padded(rows, batch_size=3) is rows
    assert batches.padded(rows, batch_size=5).tolist() == [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]]
