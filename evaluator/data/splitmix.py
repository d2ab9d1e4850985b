"""SplitMix64: mixes 64-bit words so that each input bit flips half of the output bits (Steele, Lea and Flood 2014, OOPSLA)."""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The increment of its counter: 2**64 divided by the golden ratio."""


def mixed(words: Words) -> Words:
    """The finaliser: different words stay different."""
    state = words ^ (words >> np.uint64(30))
    state *= np.uint64(0xBF58476D1CE4E5B9)
    state ^= state >> np.uint64(27)
    state *= np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return state
