"""Tests of no difference among all arms, for the same rows and for different rows.

Axes: R rows, A arms (k of them), D differences from the control (k - 1). Every test answers with an OmnibusTest that
says so where it could not be made; none answers p = 1 for lack of an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from assay.stats.errors import SamplesError
from assay.stats.moments.clusters import CONSTANT_TOTALS, MIN_CLUSTERS
from assay.stats.moments.moments import Floats, Moments, moments_of
from assay.stats.moments.score_range import finite, refuse_other_than_01
from assay.stats.omnibus import sphericity
from assay.stats.omnibus.wald import QuadraticForm, quadratic_form
from assay.stats.results.comparison import OmnibusTest

_CHUNK_NUM_ROWS = 65_536


def rm_anova(moments: Moments) -> OmnibusTest:
    """One-way repeated-measures ANOVA, rows as blocks, with the Greenhouse-Geisser correction always.

    With S the double-centred covariance of the arms: F = n sum_j (m_j - m)^2 / tr(S), which is MS_arm / MS_error, on
    k - 1 and (k - 1)(n - 1) degrees of freedom. Epsilon is tr(S)^2 / ((k - 1) sum_ij S_ij^2) (Box 1954, Ann. Math.
    Stat. 25:484; Greenhouse & Geisser 1959, Psychometrika 24:95); `epsilon_hf` follows Huynh & Feldt 1976 (J. Educ.
    Stat. 1:69), at most 1; Mauchly's W has the p-value of Anderson's two-term expansion, as R's `mauchly.test`.

    Differences from the control have the same S as the arms, and lose no digits to what arms have in common.
    """
    num_arms, num_rows = moments.num_arms, moments.num_rows
    if unable := _too_few("rm_anova", num_arms=num_arms, num_rows=num_rows):
        return unable
    if constant := _without_variation("rm_anova", moments.mean_D, moments.covariance_DD, moments.rounding):
        return constant
    centred_AA = sphericity.double_centred(moments.difference_covariance_AA)
    trace = float(np.trace(centred_AA))
    mean_A = moments.difference_mean_A
    effect = num_rows * float(((mean_A - mean_A.mean()) ** 2).sum())
    df_num, df_den = num_arms - 1, (num_arms - 1) * (num_rows - 1)
    f_value = effect / trace
    # in units of the trace, so that no square leaves the range of float64
    epsilon = min(1.0, 1 / (df_num * float(((centred_AA / trace) ** 2).sum())))
    details = {
        "df_num_gg": epsilon * df_num,
        "df_den_gg": epsilon * df_den,
        **sphericity.huynh_feldt(epsilon, f_value, num_arms=num_arms, num_rows=num_rows),
        **sphericity.mauchly(centred_AA, num_rows=num_rows),
        "eta_squared_partial": f_value / (f_value + num_rows - 1),
    }
    return OmnibusTest(
        test="rm_anova",
        statistic=f_value,
        df_num=df_num,
        df_den=df_den,
        p_value=float(stats.f.sf(f_value, df_num, df_den)),
        p_value_corrected=float(stats.f.sf(f_value, epsilon * df_num, epsilon * df_den)),
        epsilon=epsilon,
        details=tuple(details.items()),
    )


def hotelling(moments: Moments) -> OmnibusTest:
    """Hotelling's T^2 that all differences from the control are 0: no assumption of sphericity.

    T^2 = n m' S^- m on q dimensions, F = T^2 (n - q) / ((n - 1) q) on q and n - q degrees of freedom (Hotelling 1931;
    Anderson 2003, section 5.2). q is the rank of S: identical arms, or arms at a ceiling, take no dimension.
    """
    if unable := _too_few("hotelling", num_arms=moments.num_arms, num_rows=moments.num_rows):
        return unable
    if constant := _without_variation("hotelling", moments.mean_D, moments.covariance_DD, moments.rounding):
        return constant
    form = quadratic_form(moments.mean_D, moments.covariance_DD / moments.num_rows, rounding=moments.rounding)
    return _wald("hotelling", form, num_blocks=moments.num_rows, blocks="rows")


def cluster_wald(
    mean_D: Floats,
    covariance_DD: Floats,
    *,
    num_clusters: int,
    rounding: float,
    rows_vary: bool = False,
    test: str = "cluster_wald",
) -> OmnibusTest:
    """Cluster-robust Wald test that all differences from the control are 0, whatever the design.

    W = m' V^- m with V the CR1 covariance of the mean differences, F = W (G - q) / (q (G - 1)) on q and G - q degrees
    of freedom: Hotelling's T^2 of cluster totals (Cameron & Miller 2015, J. Human Resources 50:317).

    Args:
        mean_D: Mean differences from the control.
        covariance_DD: Their covariance, exactly 0 where one does not vary.
        num_clusters: Clusters G.
        rounding: A difference without variance that is no larger than this is 0.
        rows_vary: Whether a difference varies over rows, whatever their clusters' totals do.
        test: What the test is called in the answer.
    """
    if unable := _too_few(test, num_arms=len(mean_D) + 1, num_rows=num_clusters):
        return unable
    if num_clusters < MIN_CLUSTERS:
        return _not_testable(
            test, f"{num_clusters} clusters are too few for a cluster-robust test: {MIN_CLUSTERS} or more"
        )
    if constant := _without_variation(test, mean_D, covariance_DD, rounding):
        return _not_testable(test, CONSTANT_TOTALS) if rows_vary else constant
    form = quadratic_form(mean_D, covariance_DD, rounding=rounding)
    return _wald(test, form, num_blocks=num_clusters, blocks="clusters")


def friedman(scores_RA: ArrayLike) -> OmnibusTest:
    """Friedman's test on ranks within rows, corrected for ties (Conover 1999, section 5.8, eq. 1).

    Ranks are multiples of one half, so their sums are exact and no division of the rows shows. Iman & Davenport's F
    (1980) and Kendall's W are in the details.
    """
    scores_RA = finite(scores_RA)
    num_rows, num_arms = scores_RA.shape
    if unable := _too_few("friedman", num_arms=num_arms, num_rows=num_rows, min_num_rows=1):
        return unable
    rank_sums_A = np.zeros(num_arms)
    squares = 0.0
    for start in range(0, num_rows, _CHUNK_NUM_ROWS):
        ranks_RA = stats.rankdata(scores_RA[start : start + _CHUNK_NUM_ROWS], axis=1)
        rank_sums_A += ranks_RA.sum(axis=0)
        squares += float((ranks_RA**2).sum())
    spread = squares - num_rows * num_arms * (num_arms + 1) ** 2 / 4
    if spread == 0:
        return _identical("friedman", df_num=num_arms - 1)
    deviation = float(((rank_sums_A - num_rows * (num_arms + 1) / 2) ** 2).sum())
    statistic = (num_arms - 1) * deviation / spread
    details = {"kendall_w": statistic / (num_rows * (num_arms - 1))}
    rest = num_rows * (num_arms - 1) - statistic
    if rest > 0:
        f_value = (num_rows - 1) * statistic / rest
        details["iman_davenport_f"] = f_value
        if num_rows > 1:
            details["iman_davenport_p"] = float(stats.f.sf(f_value, num_arms - 1, (num_arms - 1) * (num_rows - 1)))
    return _chi_square_test("friedman", statistic, num_arms - 1, details)


def cochran_q(scores_RA: ArrayLike) -> OmnibusTest:
    """Cochran's Q test that all arms have the same share of ones (Cochran 1950, Biometrika 37:256).

    Raises:
        SamplesError: A score is neither 0 nor 1.
    """
    scores_RA = np.asarray(scores_RA)
    if scores_RA.dtype != np.bool_:
        scores_RA = finite(scores_RA)
        refuse_other_than_01(scores_RA, test="cochran_q")
    num_rows, num_arms = scores_RA.shape
    if unable := _too_few("cochran_q", num_arms=num_arms, num_rows=num_rows, min_num_rows=1):
        return unable
    column_A = scores_RA.sum(axis=0)
    row_R = scores_RA.sum(axis=1)
    total = float(column_A.sum())
    below = num_arms * total - float((row_R**2).sum())
    if below == 0:
        return _identical("cochran_q", df_num=num_arms - 1)
    statistic = (num_arms - 1) * (num_arms * float((column_A**2).sum()) - total**2) / below
    informative = int(((row_R > 0) & (row_R < num_arms)).sum())
    return _chi_square_test("cochran_q", statistic, num_arms - 1, {"num_informative_rows": float(informative)})


def oneway(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Classical one-way ANOVA of different rows in each arm, equal variances assumed."""
    return oneway_of(_group_moments(groups, "oneway"))


def oneway_of(moments: Sequence[Moments]) -> OmnibusTest:
    """The same from the moments of each arm's own rows (each of one arm), however they were merged.

    Sums of squares are of shifted values: with a common 1e12 as in NIST's SmLs07 all digits that float64 holds count.
    """
    groups = _Groups.of(moments)
    if unable := groups.unable("oneway", min_num_rows=1):
        return unable
    within = float(groups.comoment_A.sum())
    if within == 0:
        return groups.without_variation("oneway")
    df_num, df_den = len(moments) - 1, groups.num_rows - len(moments)
    between = float((groups.num_rows_A * groups.deviations(groups.num_rows_A) ** 2).sum())
    f_value = (between / df_num) / (within / df_den)
    return OmnibusTest(
        test="oneway",
        statistic=f_value,
        df_num=df_num,
        df_den=df_den,
        p_value=float(stats.f.sf(f_value, df_num, df_den)),
        details=(("eta_squared", between / (between + within)),),
    )


def welch(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Welch's one-way ANOVA of different rows in each arm, variances free (Welch 1951, Biometrika 38:330)."""
    moments = _group_moments(groups, "welch")
    found = _Groups.of(moments)
    if unable := found.unable("welch", min_num_rows=2):
        return unable
    if not found.comoment_A.any():
        return found.without_variation("welch")
    if (found.comoment_A == 0).any():
        return _not_testable("welch", "an arm has the same score on all its rows: its weight would be infinite")
    num_arms = len(groups)
    std_error_A = np.sqrt(found.comoment_A / (found.num_rows_A - 1) / found.num_rows_A)
    weight_A = (std_error_A.min() / std_error_A) ** 2  # only ratios of weights count, and these stay in range
    between = float(((found.deviations(weight_A) / std_error_A) ** 2).sum()) / (num_arms - 1)
    lack = float(((1 - weight_A / weight_A.sum()) ** 2 / (found.num_rows_A - 1)).sum())
    f_value = between / (1 + 2 * (num_arms - 2) * lack / (num_arms**2 - 1))
    df_num, df_den = num_arms - 1, (num_arms**2 - 1) / (3 * lack)
    return OmnibusTest(
        test="welch",
        statistic=f_value,
        df_num=df_num,
        df_den=df_den,
        p_value=float(stats.f.sf(f_value, df_num, df_den)),
    )


def kruskal(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Kruskal-Wallis test on ranks of different rows in each arm, corrected for ties."""
    arrays = _arrays(groups)
    if unable := _too_few("kruskal", num_arms=len(arrays), num_rows=min(map(len, arrays)), min_num_rows=1):
        return unable
    first = arrays[0][0]
    if all((values == first).all() for values in arrays):
        return _identical("kruskal", df_num=len(arrays) - 1)
    statistic = float(stats.kruskal(*arrays).statistic)
    return _chi_square_test("kruskal", statistic, len(arrays) - 1, {})


def chi_square(groups: Sequence[ArrayLike]) -> OmnibusTest:
    """Pearson's chi-square test, without continuity correction, that all arms have the same share of ones.

    Raises:
        SamplesError: A score is neither 0 nor 1.
    """
    arrays = _arrays(groups)
    for values in arrays:
        refuse_other_than_01(values, test="chi_square")
    if unable := _too_few("chi_square", num_arms=len(arrays), num_rows=min(map(len, arrays)), min_num_rows=1):
        return unable
    ones_A = np.array([int(values.sum()) for values in arrays])
    table = np.array([ones_A, [len(values) for values in arrays] - ones_A])
    if (table.sum(axis=1) == 0).any():
        return _identical("chi_square", df_num=len(arrays) - 1)
    found = stats.chi2_contingency(table, correction=False)
    expected = float(found.expected_freq.min())
    return _chi_square_test("chi_square", float(found.statistic), len(arrays) - 1, {"smallest_expected": expected})


@dataclass(frozen=True, eq=False)
class _Groups:
    """Sizes, shifted means and sums of squared deviations of the arms' own rows."""

    num_rows_A: Floats
    offset_A: Floats
    comoment_A: Floats

    @classmethod
    def of(cls, moments: Sequence[Moments]) -> "_Groups":
        base = moments[0].shift_Y[0] if moments else 0.0
        return cls(
            num_rows_A=np.array([found.num_rows for found in moments], dtype=np.float64),
            offset_A=np.array([(found.shift_Y[0] - base) + found.offset_Y[0] for found in moments]),
            # covariance_AA holds exact zeros where what is left is rounding
            comoment_A=np.array([found.covariance_AA[0, 0] * max(found.num_rows - 1, 1) for found in moments]),
        )

    @property
    def num_rows(self) -> int:
        return int(self.num_rows_A.sum())

    def deviations(self, weight_A: Floats) -> Floats:
        return self.offset_A - float((weight_A * self.offset_A).sum()) / float(weight_A.sum())

    def unable(self, test: str, *, min_num_rows: int) -> OmnibusTest | None:
        smallest = int(self.num_rows_A.min()) if len(self.num_rows_A) else 0
        unable = _too_few(test, num_arms=len(self.num_rows_A), num_rows=smallest, min_num_rows=min_num_rows)
        if unable is None and self.num_rows <= len(self.num_rows_A):
            return _not_testable(test, "no arm has two rows: there is nothing to measure variation with")
        return unable

    def without_variation(self, test: str) -> OmnibusTest:
        if (self.offset_A == self.offset_A[0]).all():
            return _identical(test, df_num=len(self.offset_A) - 1)
        return _constant(test)


def _wald(test: str, form: QuadraticForm, *, num_blocks: int, blocks: str) -> OmnibusTest:
    if num_blocks <= form.num_varying and form.rank >= num_blocks - 1:
        return _not_testable(test, f"{num_blocks} {blocks} are too few for {form.num_varying} differences")
    if form.outside:
        return _constant(test)
    df_num, df_den = form.rank, num_blocks - form.rank
    f_value = form.value * df_den / ((num_blocks - 1) * df_num)
    return OmnibusTest(
        test=test,
        statistic=f_value,
        df_num=df_num,
        df_den=df_den,
        p_value=float(stats.f.sf(f_value, df_num, df_den)),
        details=(("t_squared" if test == "hotelling" else "wald", form.value), ("rank", float(form.rank))),
    )


def _without_variation(test: str, mean_D: Floats, covariance_DD: Floats, rounding: float) -> OmnibusTest | None:
    if np.diag(covariance_DD).any():
        return None
    has_difference = bool((np.abs(mean_D) > rounding).any())
    return _constant(test) if has_difference else _identical(test, df_num=len(mean_D))


def _too_few(test: str, *, num_arms: int, num_rows: int, min_num_rows: int = 2) -> OmnibusTest | None:
    if num_arms < 2:
        return _not_testable(test, "one arm alone has nothing to differ from")
    if num_rows < min_num_rows:
        return _not_testable(test, f"{num_rows} rows in an arm: {min_num_rows} or more are needed")
    return None


def _not_testable(test: str, reason: str) -> OmnibusTest:
    return OmnibusTest(test=test, statistic=None, df_num=None, df_den=None, p_value=None, not_testable=reason)


def _identical(test: str, *, df_num: float) -> OmnibusTest:
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


def _constant(test: str) -> OmnibusTest:
    return OmnibusTest(
        test=test,
        statistic=None,
        df_num=None,
        df_den=None,
        p_value=None,
        degenerate="constant_difference",
        not_testable="arms differ by the same amount on every row: there is no variation to test with",
    )


def _chi_square_test(test: str, statistic: float, df: int, details: dict[str, float]) -> OmnibusTest:
    return OmnibusTest(
        test=test,
        statistic=statistic,
        df_num=df,
        df_den=None,
        p_value=float(stats.chi2.sf(statistic, df)),
        details=tuple(details.items()),
    )


def _group_moments(groups: Sequence[ArrayLike], test: str) -> list[Moments]:
    arrays = _arrays(groups)
    if any(len(values) == 0 for values in arrays):
        raise SamplesError("an arm has no rows", field="score", remedy=f"leave it out of {test}")
    return [moments_of(values[:, None], arms=("arm",), control=0) for values in arrays]


def _arrays(groups: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    return [finite(values, place=f"arm {index}") for index, values in enumerate(groups)]
