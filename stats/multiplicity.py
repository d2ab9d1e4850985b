"""Adjustment of p-values for having made several tests."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from statsmodels.stats.multitest import multipletests

from manifests.errors import InvalidInput, did_you_mean

Method = Literal["holm", "bh", "by", "bonferroni", "hommel", "hochberg"]

_STATSMODELS = {
    "holm": "holm",
    "bh": "fdr_bh",
    "by": "fdr_by",
    "bonferroni": "bonferroni",
    "hommel": "hommel",
    "hochberg": "simes-hochberg",
}


def adjust(p_values: Sequence[float | None], *, method: Method) -> tuple[float | None, ...]:
    """Adjusted p-values, in the order given.

    A test that was not made (None or NaN) is no member of the family: it is left out of the count and answers None,
    as R's `p.adjust` does. `multipletests` would count it.

    Args:
        p_values: Unadjusted p-values in [0, 1].
        method: `holm` (Holm 1979), `hommel` (Hommel 1988), `hochberg` (Hochberg 1988) and `bonferroni` control the
            family-wise error rate; `bh` (Benjamini & Hochberg 1995) and `by` (Benjamini & Yekutieli 2001) the false
            discovery rate.

    Raises:
        InvalidInput: A value is no p-value, or there is no such method.
    """
    if method not in get_args(Method):
        raise InvalidInput(
            "no such adjustment", field="method", value=method, remedy=did_you_mean(method, list(_STATSMODELS))
        )
    made = [p for p in p_values if p is not None and not math.isnan(p)]
    outside = [p for p in made if not 0 <= p <= 1]
    if outside:
        raise InvalidInput("not a p-value", field="p_values", value=outside[0], bound="0 to 1")
    if not made:
        return (None,) * len(p_values)
    adjusted = iter(np.asarray(multipletests(np.array(made), method=_STATSMODELS[method])[1]).tolist())
    return tuple(None if p is None or math.isnan(p) else next(adjusted) for p in p_values)
