"""Omnibus tests of unpaired arms: one-way ANOVA, Welch, Kruskal-Wallis, chi-square.

Axes: A arms (k of them). A test that cannot be performed returns an OmnibusTest with `not_testable` set, never p = 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from assay.manifests.comparison import OmnibusTest
from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats, Moments, moments_of
from assay.stats.moments.score_range import finite, refuse_other_than_01
from assay.stats.omnibus import omnibus_result


def oneway(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Classical one-way ANOVA of unpaired arms; assumes equal variances.

    Raises:
        SamplesError: An arm has no rows, or a score is not finite.
    """
    return oneway_of(_group_moments(groups, "oneway"))


def oneway_of(moments: Sequence[Moments]) -> OmnibusTest:
    """One-way ANOVA from the moments of each arm's rows (one Moments per arm), however these were merged.

    Sums of squares use shifted values, so a common offset of 1e12, as in NIST's SmLs07, loses no further digits.
    """
    groups = _Groups.of(moments)
    if untestable := groups.untestable("oneway", min_num_rows=1):
        return untestable
    within = float(groups.comoment_A.sum())
    if within == 0:
        return groups.without_variation("oneway")
    df_numerator, df_denominator = len(moments) - 1, groups.num_rows - len(moments)
    between = float((groups.num_rows_A * groups.deviations(groups.num_rows_A) ** 2).sum())
    f_value = (between / df_numerator) / (within / df_denominator)
    return OmnibusTest(
        test="oneway",
        statistic=f_value,
        df_numerator=df_numerator,
        df_denominator=df_denominator,
        p_value=float(stats.f.sf(f_value, df_numerator, df_denominator)),
        details={"eta_squared": between / (between + within)},
    )


def welch(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Welch's one-way ANOVA of unpaired arms with unequal variances (Welch 1951, Biometrika 38:330).

    Raises:
        SamplesError: An arm has no rows, or a score is not finite.
    """
    moments = _group_moments(groups, "welch")
    arms = _Groups.of(moments)
    if untestable := arms.untestable("welch", min_num_rows=2):
        return untestable
    if not arms.comoment_A.any():
        return arms.without_variation("welch")
    if (arms.comoment_A == 0).any():
        return omnibus_result.untestable(
            "welch", "an arm has the same score on all its rows, so its weight would be infinite"
        )
    num_arms = len(groups)
    std_error_A = np.sqrt(arms.comoment_A / (arms.num_rows_A - 1) / arms.num_rows_A)
    weight_A = (std_error_A.min() / std_error_A) ** 2  # only ratios of weights matter, and these stay in range
    between = float(((arms.deviations(weight_A) / std_error_A) ** 2).sum()) / (num_arms - 1)
    lack = float(((1 - weight_A / weight_A.sum()) ** 2 / (arms.num_rows_A - 1)).sum())
    f_value = between / (1 + 2 * (num_arms - 2) * lack / (num_arms**2 - 1))
    df_numerator, df_denominator = num_arms - 1, (num_arms**2 - 1) / (3 * lack)
    return OmnibusTest(
        test="welch",
        statistic=f_value,
        df_numerator=df_numerator,
        df_denominator=df_denominator,
        p_value=float(stats.f.sf(f_value, df_numerator, df_denominator)),
    )


def kruskal(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Kruskal-Wallis rank test of unpaired arms, corrected for ties.

    Raises:
        SamplesError: A score is not finite.
    """
    arrays = _arrays(groups)
    if untestable := omnibus_result.too_few(
        "kruskal", num_arms=len(arrays), num_rows=min(map(len, arrays)), min_num_rows=1
    ):
        return untestable
    first = arrays[0][0]
    if all((values == first).all() for values in arrays):
        return omnibus_result.identical("kruskal", df_numerator=len(arrays) - 1)
    statistic = float(stats.kruskal(*arrays).statistic)
    return omnibus_result.chi_square_result("kruskal", statistic, len(arrays) - 1, {})


def chi_square(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Pearson's chi-square test of equal shares of ones in all arms, without continuity correction.

    Raises:
        SamplesError: A score is neither 0 nor 1.
    """
    arrays = _arrays(groups)
    for values in arrays:
        refuse_other_than_01(values, message="the chi-square test needs scores of 0 or 1")
    if untestable := omnibus_result.too_few(
        "chi_square", num_arms=len(arrays), num_rows=min(map(len, arrays)), min_num_rows=1
    ):
        return untestable
    ones_A = np.array([int(values.sum()) for values in arrays])
    table = np.array([ones_A, [len(values) for values in arrays] - ones_A])
    if (table.sum(axis=1) == 0).any():
        return omnibus_result.identical("chi_square", df_numerator=len(arrays) - 1)
    result = stats.chi2_contingency(table, correction=False)
    expected = float(result.expected_freq.min())
    return omnibus_result.chi_square_result(
        "chi_square", float(result.statistic), len(arrays) - 1, {"smallest_expected": expected}
    )


@dataclass(frozen=True, eq=False)
class _Groups:
    """Row counts, shifted means and sums of squared deviations of unpaired arms."""

    num_rows_A: Floats
    offset_A: Floats
    comoment_A: Floats

    @classmethod
    def of(cls, moments: Sequence[Moments]) -> "_Groups":
        base = moments[0].shift_Y[0] if moments else 0.0
        return cls(
            num_rows_A=np.array([arm.num_rows for arm in moments], dtype=np.float64),
            offset_A=np.array([(arm.shift_Y[0] - base) + arm.offset_Y[0] for arm in moments]),
            # covariance_AA is exactly 0 where the remainder is rounding error
            comoment_A=np.array([arm.covariance_AA[0, 0] * max(arm.num_rows - 1, 1) for arm in moments]),
        )

    @property
    def num_rows(self) -> int:
        return int(self.num_rows_A.sum())

    def deviations(self, weight_A: Floats) -> Floats:
        return self.offset_A - float((weight_A * self.offset_A).sum()) / float(weight_A.sum())

    def untestable(self, test: str, *, min_num_rows: int) -> OmnibusTest | None:
        smallest = int(self.num_rows_A.min()) if len(self.num_rows_A) else 0
        result = omnibus_result.too_few(
            test, num_arms=len(self.num_rows_A), num_rows=smallest, min_num_rows=min_num_rows
        )
        if result is None and self.num_rows <= len(self.num_rows_A):
            return omnibus_result.untestable(test, "no arm has two rows, so variation cannot be estimated")
        return result

    def without_variation(self, test: str) -> OmnibusTest:
        if (self.offset_A == self.offset_A[0]).all():
            return omnibus_result.identical(test, df_numerator=len(self.offset_A) - 1)
        return omnibus_result.constant_difference(test)


def _group_moments(groups: Sequence[ArrayLike], test: str) -> list[Moments]:
    arrays = _arrays(groups)
    if any(len(values) == 0 for values in arrays):
        raise SamplesError("an arm has no rows", field="score", remedy=f"leave the arm out of {test}")
    return [moments_of(values[:, None], arms=("arm",), control=0) for values in arrays]


def _arrays(groups: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    return [finite(values, place=f"arm {index}") for index, values in enumerate(groups)]
