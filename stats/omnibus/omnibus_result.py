"""Results shared by the omnibus tests: a chi-square with its p-value, identical arms, or why there is no p-value."""

import numpy as np
from scipy import stats

from assay.manifests.comparison import OmnibusTest
from assay.stats.moments.moments import Floats


def chi_square_result(test: str, statistic: float, df: int, details: dict[str, float]) -> OmnibusTest:
    """The result for a statistic that is chi-square with `df` degrees of freedom if arms do not differ."""
    return OmnibusTest(
        test=test,
        statistic=statistic,
        df_numerator=df,
        df_denominator=None,
        p_value=float(stats.chi2.sf(statistic, df)),
        details=details,
    )


def too_few(test: str, *, num_arms: int, num_rows: int, min_num_rows: int = 2) -> OmnibusTest | None:
    """The untestable result if there are too few arms, or too few rows in the smallest arm; else None."""
    if num_arms < 2:
        return untestable(test, "a test of no difference needs at least two arms")
    if num_rows < min_num_rows:
        return untestable(test, f"{num_rows} rows in an arm; at least {min_num_rows} are needed")
    return None


def without_variation(test: str, mean_D: Floats, covariance_DD: Floats, rounding: float) -> OmnibusTest | None:
    """The result if no difference from the control varies; None if one does."""
    if np.diag(covariance_DD).any():
        return None
    has_difference = bool((np.abs(mean_D) > rounding).any())
    return constant_difference(test) if has_difference else identical(test, df_numerator=len(mean_D))


def untestable(test: str, reason: str) -> OmnibusTest:
    """The result of an omnibus test that could not be performed, with the reason."""
    return OmnibusTest(
        test=test, statistic=None, df_numerator=None, df_denominator=None, p_value=None, not_testable=reason
    )


def identical(test: str, *, df_numerator: float) -> OmnibusTest:
    """The result if arms agree on every row: p = 1 is a valid result here, not a missing one."""
    return OmnibusTest(
        test=test,
        statistic=0.0,
        df_numerator=df_numerator,
        df_denominator=None,
        p_value=1.0,
        p_value_corrected=1.0 if test == "rm_anova" else None,
        degenerate="identical",
    )


def constant_difference(test: str) -> OmnibusTest:
    """The result for arms that differ by the same amount on every row."""
    return OmnibusTest(
        test=test,
        statistic=None,
        df_numerator=None,
        df_denominator=None,
        p_value=None,
        degenerate="constant_difference",
        not_testable="arms differ by the same amount on every row: there is no variation to test against",
    )
