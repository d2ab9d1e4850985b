"""Adjustment of p-values for multiple testing."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from assay.manifests.errors import InvalidInput, did_you_mean

Method = Literal["holm", "bh", "by", "bonferroni", "hommel", "hochberg"]


def adjust(p_values: Sequence[float | None], *, method: Method) -> tuple[float | None, ...]:
    """Adjusted p-values, in the order given.

    A test that was not performed (None or NaN) is not a member of the family: it is not counted and its result is
    None, as in R's `p.adjust`. statsmodels' `multipletests` would count it, and collects garbage on every call, which
    takes 30 ms or more, so it is used for Hommel's procedure only.

    Args:
        p_values: Unadjusted p-values in [0, 1].
        method: `holm` (Holm 1979), `hommel` (Hommel 1988), `hochberg` (Hochberg 1988) and `bonferroni` control the
            family-wise error rate; `bh` (Benjamini & Hochberg 1995) and `by` (Benjamini & Yekutieli 2001) the false
            discovery rate.

    Raises:
        InvalidInput: A value is not a p-value, or the method is unknown.
    """
    if method not in get_args(Method):
        raise InvalidInput(
            "unknown adjustment", field="method", value=method, remedy=did_you_mean(method, list(get_args(Method)))
        )
    performed = [p for p in p_values if p is not None and not math.isnan(p)]
    outside = [p for p in performed if not 0 <= p <= 1]
    if outside:
        raise InvalidInput("not a p-value", field="p_values", value=outside[0], bound="0 to 1")
    if not performed:
        return (None,) * len(p_values)
    adjusted = iter(_adjusted(np.array(performed), method).tolist())
    return tuple(None if p is None or math.isnan(p) else next(adjusted) for p in p_values)


def _adjusted(p_values: NDArray[np.float64], method: Method) -> NDArray[np.float64]:
    if method == "hommel":
        return np.asarray(multipletests(p_values, method="hommel")[1])
    if method in ("bh", "by"):
        return np.asarray(false_discovery_control(p_values, method=method))
    num_tests = len(p_values)
    if method == "bonferroni":
        return np.minimum(num_tests * p_values, 1.0)
    order = np.argsort(p_values, kind="stable")
    scaled = np.arange(num_tests, 0, -1) * p_values[order]
    # Holm steps down from the smallest p-value, Hochberg up from the largest, with the same factors.
    running = np.maximum.accumulate(scaled) if method == "holm" else np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty(num_tests)
    adjusted[order] = np.minimum(running, 1.0)
    return adjusted
