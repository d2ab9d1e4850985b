"""SplitMix64: 64-bit words mixed so that every bit moves half of all bits (Steele, Lea and Flood 2014, OOPSLA)."""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The step of its counter: two to the 64, divided by the golden ratio."""


def mixed(words: Words) -> Words:
    """The finaliser: different words stay different."""
    found = words ^ (words >> np.uint64(30))
    found *= np.uint64(0xBF58476D1CE4E5B9)
    found ^= found >> np.uint64(27)
    found *= np.uint64(0x94D049BB133111EB)
    found ^= found >> np.uint64(31)
    return found
