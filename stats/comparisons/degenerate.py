"""Comparisons without a test: identical arms, constant differences, and everything else that is untestable."""

import numpy as np

from assay.manifests.comparison import Comparison
from assay.stats.moments.clusters import CONSTANT_TOTALS


def without_variance(
    arm: str,
    reference: str,
    estimate: float,
    *,
    rounding: float,
    df: float | None,
    method: str,
    rows_vary: bool = False,
) -> Comparison:
    """The result for a difference without variance: identical if it is 0 on every row, else untestable.

    Args:
        arm: The arm.
        reference: Its reference.
        estimate: The difference.
        rounding: The largest |difference| that counts as 0.
        df: Degrees of freedom, or None.
        method: The method that would have been used.
        rows_vary: Whether the difference varies over rows and only the cluster totals do not.
    """
    if not rows_vary and abs(estimate) <= rounding:
        return identical(arm, reference, df=df, method=method)
    constant = f"the arms differ by {estimate:g} on every row: there is no variation to test against"
    reason = CONSTANT_TOTALS if rows_vary else constant
    return untestable(arm, reference, method=method, reason=reason, estimate=estimate).model_copy(
        update={"std_error": 0.0, "df": df, "degenerate": None if rows_vary else "constant_difference"}
    )


def untestable(arm: str, reference: str, *, method: str, reason: str, estimate: float | None = None) -> Comparison:
    """A comparison that cannot be tested, with the reason, and the estimate if that is finite."""
    return Comparison(
        arm=arm,
        reference=reference,
        estimate=estimate if estimate is not None and np.isfinite(estimate) else None,
        std_error=None,
        statistic=None,
        df=None,
        p_value=None,
        p_adjusted=None,
        ci_low=None,
        ci_high=None,
        method=method,
        not_testable=reason,
    )


def identical(arm: str, reference: str, *, df: float | None, method: str) -> Comparison:
    """The result for arms that agree on every row."""
    return Comparison(
        arm=arm,
        reference=reference,
        estimate=0.0,
        std_error=0.0,
        statistic=None,
        df=df,
        p_value=1.0,
        p_adjusted=1.0,
        ci_low=0.0,
        ci_high=0.0,
        method=method,
        degenerate="identical",
    )
