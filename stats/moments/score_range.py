"""Checks that scores are finite, or that they are 0 or 1; errors name the place."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats


def finite(values: ArrayLike, *, what: str = "score", place: str = "") -> Floats:
    """The values as float64, all finite: one NaN would make every result NaN or, worse, p = 1.

    Args:
        values: One value per row, or rows x arms.
        what: What the values are called in messages.
        place: Where they come from, such as an arm.

    Raises:
        SamplesError: A value is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    good = np.isfinite(array)
    if good.all():
        return array
    bad_R = np.flatnonzero(~good.reshape(len(array), -1).all(axis=1))
    shown = ", ".join(str(int(row)) for row in bad_R[:5])
    rows = f"rows {shown}{', ...' if len(bad_R) > 5 else ''} (counted from 0)"
    raise SamplesError(
        f"{len(bad_R)} rows have a {what} that is not finite",
        place=f"{place}, {rows}" if place else rows,
        field=what,
        value=float(array[~good][0]),
        bound="a finite number",
        remedy="for missing scores, set 'missing: worst' or 'missing: listwise' in the plan",
    )


def other_than_01(values: Floats) -> NDArray[np.bool_]:
    """Which values are neither 0 nor 1; NaN (missing) does not count."""
    return ~((values == 0) | (values == 1) | np.isnan(values))


def refuse_other_than_01(values: Floats, *, message: str, place: str = "") -> None:
    """Raises SamplesError if a value is neither 0 nor 1.

    Args:
        values: One value per row, or rows x arms.
        message: The problem that the error states.
        place: Where the values come from; if empty, the error names the row.

    Raises:
        SamplesError: A value is neither 0 nor 1.
    """
    other = other_than_01(values)
    if other.any():
        first = tuple(int(index) for index in np.argwhere(other)[0])
        raise SamplesError(
            message,
            place=place or f"row {first[0]} (counted from 0)",
            field="score",
            value=float(values[first]),
            bound="0 or 1",
            remedy="set 'scale: continuous' in the plan",
        )
