"""Results that several omnibus tests share: a chi-square with its p-value, identical arms, or why there is no p-value."""

import numpy as np
from scipy import stats

from assay.stats.moments.moments import Floats
from assay.stats.results.comparison import OmnibusTest


def chi_square_result(test: str, statistic: float, df: int, details: dict[str, float]) -> OmnibusTest:
    """A statistic that is a chi-square with `df` degrees of freedom where arms do not differ."""
    return OmnibusTest(
        test=test,
        statistic=statistic,
        df_num=df,
        df_den=None,
        p_value=float(stats.chi2.sf(statistic, df)),
        details=tuple(details.items()),
    )


def too_few(test: str, *, num_arms: int, num_rows: int, min_num_rows: int = 2) -> OmnibusTest | None:
    """Why there are too few arms, or rows in the smallest arm, to be tested; None if there are enough."""
    if num_arms < 2:
        return untestable(test, "one arm alone has nothing to differ from")
    if num_rows < min_num_rows:
        return untestable(test, f"{num_rows} rows in an arm: {min_num_rows} or more are needed")
    return None


def without_variation(test: str, mean_D: Floats, covariance_DD: Floats, rounding: float) -> OmnibusTest | None:
    """The result where no difference from the control varies; None where one does."""
    if np.diag(covariance_DD).any():
        return None
    has_difference = bool((np.abs(mean_D) > rounding).any())
    return constant_difference(test) if has_difference else identical(test, df_num=len(mean_D))


def untestable(test: str, reason: str) -> OmnibusTest:
    """An omnibus test that could not be made, and why."""
    return OmnibusTest(test=test, statistic=None, df_num=None, df_den=None, p_value=None, not_testable=reason)


def identical(test: str, *, df_num: float) -> OmnibusTest:
    """No difference was observed on any row: that is an answer, not the lack of one."""
    return OmnibusTest(
        test=test,
        statistic=0.0,
        df_num=df_num,
        df_den=None,
        p_value=1.0,
        p_value_corrected=1.0 if test == "rm_anova" else None,
        degenerate="identical",
    )


def constant_difference(test: str) -> OmnibusTest:
    """Arms that differ by the same amount on every row."""
    return OmnibusTest(
        test=test,
        statistic=None,
        df_num=None,
        df_den=None,
        p_value=None,
        degenerate="constant_difference",
        not_testable="arms differ by the same amount on every row: there is no variation to test with",
    )
