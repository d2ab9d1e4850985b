"""SplitMix64 against its reference implementation."""

import numpy as np

from assay.evaluator.data import splitmix


def test_the_numbers_are_those_of_the_published_generator():
    # SplitMix64 started at 1234567, as its reference implementation prints it.
    counters = np.arange(1, 6, dtype=np.uint64) * splitmix.GOLDEN
    assert splitmix.mixed(counters + np.uint64(1234567)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
