"""Scores that a test can take: finite numbers, or 0 and 1; anything else is refused with its place."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats


def finite(values: ArrayLike, *, what: str = "score", place: str = "") -> Floats:
    """The values as float64: one NaN would make every answer NaN, or worse, p = 1.

    Args:
        values: One value for each row, or rows x arms.
        what: What they are called.
        place: Whose they are, such as an arm.

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
        f"{len(bad_R)} rows have a {what} that is no finite number",
        place=f"{place}, {rows}" if place else rows,
        field=what,
        value=float(array[~good][0]),
        bound="a finite number",
        remedy="say in the plan what a missing score means (missing: worst or listwise)",
    )


def other_than_01(values: Floats) -> NDArray[np.bool_]:
    """Which values are neither 0 nor 1; a missing score, NaN, is not one of them."""
    return ~((values == 0) | (values == 1) | np.isnan(values))


def refuse_other_than_01(values: Floats, *, message: str, place: str = "") -> None:
    """Refuses values that are neither 0 nor 1.

    Args:
        values: One value for each row, or rows x arms.
        message: What the error says.
        place: Where the values come from; without it the error names the row.

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
            remedy="set scale: continuous in the plan",
        )
