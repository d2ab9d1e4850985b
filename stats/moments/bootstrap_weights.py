"""Random row weights and signs: functions of row id, replicate and seed, not of row order or the worker.

Axes: R rows, B replicates. Rows with the same key get the same weight in every replicate, so keys of clusters instead
of rows give a cluster bootstrap.

A 64-bit counter-based hash (the mixing function of SplitMix64: Steele, Lea & Flood 2014, OOPSLA; counter-based
generators: Salmon et al. 2011, SC) of key and replicate gives four weights or 64 signs.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_WEIGHTS_PER_HASH = 4
_SIGNS_PER_HASH = 64

# How many of 65,536 equally likely values give the weight 0, 1, 2, ...: integer counts that approximate Poisson(1) with
# mean and variance exactly 1 and a third central moment of 1 within 4e-5.
_POISSON_COUNTS = (24119, 24076, 12094, 4002, 1005, 201, 33, 5, 1)
_POISSON_WEIGHTS = np.repeat(np.arange(9, dtype=np.uint8), _POISSON_COUNTS)


def row_keys(row_ids: Sequence[object] | NDArray[np.generic]) -> Keys:
    """A 64-bit key for each row (or cluster) id.

    Args:
        row_ids: Ids. Integers are hashed as integers, everything else by BLAKE2b of its text, so that `7` and `"7"` are
            different ids.
    """
    ids = np.asarray(row_ids)
    if np.issubdtype(ids.dtype, np.integer):
        return _mixed(ids.astype(np.int64).view(np.uint64) + _GOLDEN)
    digests = b"".join(hashlib.blake2b(str(row_id).encode(), digest_size=8).digest() for row_id in ids.tolist())
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def poisson_weights(keys_R: Keys, *, first: int, num_replicates: int, seed: int = 0) -> NDArray[np.uint8]:
    """Poisson(1) weights, B x R: how often a replicate takes a row (Chamandy et al. 2012; Hanley & MacGibbon 2006).

    The number of rows in a replicate is random too, which does not matter for a metric that is a ratio; in return,
    each row's weight is independent of all other rows.

    Args:
        keys_R: Keys of the rows.
        first: Number of the first replicate; a multiple of 4.
        num_replicates: Number of replicates. Replicate number b is the same whatever `first` and this number are.
        seed: Seed of the replicates.
    """
    assert first % _WEIGHTS_PER_HASH == 0
    hashes = _hashes(keys_R, first // _WEIGHTS_PER_HASH, -(-num_replicates // _WEIGHTS_PER_HASH), seed)
    # The lane is part of a replicate's definition, so hashes are read in little-endian order on every machine.
    lanes = hashes.astype("<u8", copy=False).view("<u2").reshape(len(hashes), len(keys_R), _WEIGHTS_PER_HASH)
    weights = _POISSON_WEIGHTS[lanes.transpose(0, 2, 1).reshape(-1, len(keys_R))]
    return weights[:num_replicates]


def signs(keys_R: Keys, *, first: int, num_replicates: int, seed: int = 0) -> NDArray[np.int8]:
    """Signs -1 or 1 with equal probability, B x R. Arguments as in `poisson_weights`; `first` is a multiple of 64."""
    assert first % _SIGNS_PER_HASH == 0
    hashes = _hashes(keys_R, first // _SIGNS_PER_HASH, -(-num_replicates // _SIGNS_PER_HASH), ~seed)
    lanes = hashes.astype("<u8", copy=False).view(np.uint8).reshape(len(hashes), len(keys_R), 8)
    bits = np.unpackbits(lanes, axis=2, bitorder="little").transpose(0, 2, 1).reshape(-1, len(keys_R))
    return (2 * bits.astype(np.int8) - 1)[:num_replicates]


def _hashes(keys_R: Keys, first: int, num: int, seed: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        counters = (np.arange(first, first + num, dtype=np.uint64) + np.uint64(1)) * _GOLDEN
        streams = _mixed(counters ^ _mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)))
        return _mixed(_mixed(keys_R ^ streams[:, None]) + _GOLDEN)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
