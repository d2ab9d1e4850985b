"""Quantiles of latencies, such as p95, for all arms in the same bootstrap replicates of rows.

Axes: R rows, A arms, B replicates.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.manifests.errors import InvalidInput
from assay.stats.comparisons.bootstrap import Replicates, check_keys
from assay.stats.moments.bootstrap_weights import Keys, poisson_weights
from assay.stats.moments.moments import Floats
from assay.stats.moments.score_range import finite

_BLOCK_NUM_REPLICATES = 256
_WINDOW_WIDTHS = 8


def quantiles(
    latencies_RA: ArrayLike, *, probability: float, keys_R: Keys, num_replicates: int = 2_000, seed: int = 0
) -> Replicates:
    """One quantile, such as p95, of all arms with its paired bootstrap.

    The quantile is the smallest latency that at least this fraction of the rows' weight does not exceed (R's type 1).
    In a replicate it is near the quantile of all rows, so only a window of ranks around that is searched first; if it
    is outside the window, all ranks are searched.

    Args:
        latencies_RA: Latencies, shape (rows, arms), finite.
        probability: Level of the quantile, such as 0.95.
        keys_R: Keys of the rows, or of their clusters.
        num_replicates: Number of replicates.
        seed: Seed of the replicates.

    Raises:
        InvalidInput: The probability is not between 0 and 1.
        SamplesError: A latency is not finite, or the numbers of rows and keys differ.
    """
    if not 0 < probability < 1:
        raise InvalidInput(
            "not a level of a quantile", field="probability", value=probability, bound="above 0, below 1"
        )
    values_RA = finite(latencies_RA, what="latency")
    num_rows, num_arms = values_RA.shape
    check_keys(keys_R, num_rows)
    order_RA = np.argsort(values_RA, axis=0, kind="stable")
    sorted_RA = np.take_along_axis(values_RA, order_RA, axis=0)
    first, last = _window(num_rows, probability)
    rank = min(num_rows - 1, max(0, math.ceil(probability * num_rows * (1 - 1e-12)) - 1))
    replicates_BA = np.empty((num_replicates, num_arms))
    for start in range(0, num_replicates, _BLOCK_NUM_REPLICATES):
        count = min(_BLOCK_NUM_REPLICATES, num_replicates - start)
        weights_BR = poisson_weights(keys_R, first=start, num_replicates=count, seed=seed)
        total_B = weights_BR.sum(axis=1, dtype=np.int64)
        for arm in range(num_arms):
            ordered = order_RA[:, arm]
            window_BW = np.cumsum(weights_BR[:, ordered[first:last]], axis=1, dtype=np.int64)
            if first < num_rows - last:
                below_B = weights_BR[:, ordered[:first]].sum(axis=1, dtype=np.int64)
            else:  # there are fewer rows above the window than below it
                below_B = total_B - weights_BR[:, ordered[last:]].sum(axis=1, dtype=np.int64) - window_BW[:, -1]
            running_BW = below_B[:, None] + window_BW
            replicates_BA[start : start + count, arm] = _reached(
                running_BW, below_B, total_B, weights_BR, sorted_RA[:, arm], ordered, probability, first
            )
    return Replicates.of(sorted_RA[rank], replicates_BA)


def _reached(
    running_BW: NDArray[np.int64],
    below_B: NDArray[np.int64],
    total_B: NDArray[np.int64],
    weights_BR: NDArray[np.uint8],
    sorted_R: Floats,
    ordered_R: NDArray[np.intp],
    probability: float,
    first: int,
) -> Floats:
    """The value at which the cumulative weight reaches the quantile's fraction of the total, shape (replicates,)."""
    needed_B = probability * total_B * (1 - 1e-12)
    place_B = first + (running_BW < needed_B[:, None]).sum(axis=1)
    outside_B = (below_B >= needed_B) | (running_BW[:, -1] < needed_B)
    for replicate in np.flatnonzero(outside_B):
        running_R = np.cumsum(weights_BR[replicate, ordered_R], dtype=np.int64)
        place_B[replicate] = int((running_R < needed_B[replicate]).sum())
    quantile_B = sorted_R[np.minimum(place_B, len(sorted_R) - 1)]
    return np.where(total_B > 0, quantile_B, np.nan)


def _window(num_rows: int, probability: float) -> tuple[int, int]:
    """The window of ranks around the quantile; its width grows with the square root of the number of rows."""
    width = _WINDOW_WIDTHS * math.sqrt(num_rows) + 8
    middle = probability * num_rows
    return max(0, math.floor(middle - width)), min(num_rows, math.ceil(middle + width))
