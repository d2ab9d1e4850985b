"""The value of a corpus metric, or the reason why it has none."""

import math
from dataclasses import dataclass

from assay.stats.moments.moments import Floats


@dataclass(frozen=True)
class CorpusValue:
    """The value of a corpus metric, or the reason why it has none.

    Attributes:
        value: The number; None if it is not testable.
        reason: Why it is not testable; empty if it is.
    """

    value: float | None
    reason: str = ""


def of_arms(values_A: Floats) -> tuple[CorpusValue, ...]:
    """The values of all arms; one that is not finite is not testable."""
    return tuple(
        CorpusValue(value)
        if math.isfinite(value)
        else CorpusValue(None, f"the result is {value}: it is outside the range of float64")
        for value in values_A.tolist()
    )
