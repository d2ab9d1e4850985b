"""Omnibus tests of paired arms: repeated-measures ANOVA, Hotelling, Friedman, Cochran's Q.

Axes: R rows, A arms (k of them), D differences from the control (k - 1). A test that cannot be performed returns an
OmnibusTest with `not_testable` set, never p = 1.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from assay.manifests.comparison import OmnibusTest
from assay.stats.moments.moments import Moments
from assay.stats.moments.score_range import finite, refuse_other_than_01
from assay.stats.omnibus import omnibus_result, sphericity, wald

_CHUNK_NUM_ROWS = 65_536


def rm_anova(moments: Moments) -> OmnibusTest:
    """One-way repeated-measures ANOVA with rows as blocks, always with the Greenhouse-Geisser correction.

    With S the double-centred covariance of the arms: F = n sum_j (m_j - m)^2 / tr(S), which is MS_arm / MS_error, on
    k - 1 and (k - 1)(n - 1) degrees of freedom. Epsilon is tr(S)^2 / ((k - 1) sum_ij S_ij^2) (Box 1954, Ann. Math.
    Stat. 25:484; Greenhouse & Geisser 1959, Psychometrika 24:95); `epsilon_hf` follows Huynh & Feldt 1976 (J. Educ.
    Stat. 1:69), at most 1; Mauchly's W has the p-value of Anderson's two-term expansion, as R's `mauchly.test`.

    Differences from the control have the same S as the arms, and lose no precision to an offset that arms share.
    """
    num_arms, num_rows = moments.num_arms, moments.num_rows
    if untestable := omnibus_result.too_few("rm_anova", num_arms=num_arms, num_rows=num_rows):
        return untestable
    if constant := omnibus_result.without_variation(
        "rm_anova", moments.mean_D, moments.covariance_DD, moments.rounding
    ):
        return constant
    centred_AA = sphericity.double_centred(moments.difference_covariance_AA)
    trace = float(np.trace(centred_AA))
    mean_A = moments.difference_mean_A
    effect = num_rows * float(((mean_A - mean_A.mean()) ** 2).sum())
    df_numerator, df_denominator = num_arms - 1, (num_arms - 1) * (num_rows - 1)
    f_value = effect / trace
    # in units of the trace, so that squares stay within the range of float64
    epsilon = min(1.0, 1 / (df_numerator * float(((centred_AA / trace) ** 2).sum())))
    details = {
        "df_numerator_gg": epsilon * df_numerator,
        "df_denominator_gg": epsilon * df_denominator,
        **sphericity.huynh_feldt(epsilon, f_value, num_arms=num_arms, num_rows=num_rows),
        **sphericity.mauchly(centred_AA, num_rows=num_rows),
        "eta_squared_partial": f_value / (f_value + num_rows - 1),
    }
    return OmnibusTest(
        test="rm_anova",
        statistic=f_value,
        df_numerator=df_numerator,
        df_denominator=df_denominator,
        p_value=float(stats.f.sf(f_value, df_numerator, df_denominator)),
        p_value_corrected=float(stats.f.sf(f_value, epsilon * df_numerator, epsilon * df_denominator)),
        epsilon=epsilon,
        details=details,
    )


def hotelling(moments: Moments) -> OmnibusTest:
    """Hotelling's T^2 test that all differences from the control are 0; does not assume sphericity.

    T^2 = n m' S^- m on q dimensions, F = T^2 (n - q) / ((n - 1) q) on q and n - q degrees of freedom (Hotelling 1931;
    Anderson 2003, section 5.2). q is the rank of S: identical arms, or arms at a ceiling, add no dimension.
    """
    if untestable := omnibus_result.too_few("hotelling", num_arms=moments.num_arms, num_rows=moments.num_rows):
        return untestable
    if constant := omnibus_result.without_variation(
        "hotelling", moments.mean_D, moments.covariance_DD, moments.rounding
    ):
        return constant
    form = wald.quadratic_form(moments.mean_D, moments.covariance_DD / moments.num_rows, rounding=moments.rounding)
    return wald.f_test("hotelling", form, num_blocks=moments.num_rows, blocks="rows")


def friedman(scores_RA: ArrayLike) -> OmnibusTest:
    """Friedman's test on ranks within rows, corrected for ties (Conover 1999, section 5.8, eq. 1).

    Ranks are multiples of one half, so their sums are exact and do not depend on how rows are chunked. Iman &
    Davenport's F (1980) and Kendall's W are in the details.

    Raises:
        SamplesError: A score is not finite.
    """
    scores_RA = finite(scores_RA)
    num_rows, num_arms = scores_RA.shape
    if untestable := omnibus_result.too_few("friedman", num_arms=num_arms, num_rows=num_rows, min_num_rows=1):
        return untestable
    rank_sums_A = np.zeros(num_arms)
    squares = 0.0
    for start in range(0, num_rows, _CHUNK_NUM_ROWS):
        ranks_RA = stats.rankdata(scores_RA[start : start + _CHUNK_NUM_ROWS], axis=1)
        rank_sums_A += ranks_RA.sum(axis=0)
        squares += float((ranks_RA**2).sum())
    spread = squares - num_rows * num_arms * (num_arms + 1) ** 2 / 4
    if spread == 0:
        return omnibus_result.identical("friedman", df_numerator=num_arms - 1)
    deviation = float(((rank_sums_A - num_rows * (num_arms + 1) / 2) ** 2).sum())
    statistic = (num_arms - 1) * deviation / spread
    details = {"kendall_w": statistic / (num_rows * (num_arms - 1))}
    rest = num_rows * (num_arms - 1) - statistic
    if rest > 0:
        f_value = (num_rows - 1) * statistic / rest
        details["iman_davenport_f"] = f_value
        if num_rows > 1:
            details["iman_davenport_p"] = float(stats.f.sf(f_value, num_arms - 1, (num_arms - 1) * (num_rows - 1)))
    return omnibus_result.chi_square_result("friedman", statistic, num_arms - 1, details)


def cochran_q(scores_RA: ArrayLike) -> OmnibusTest:
    """Cochran's Q test of equal shares of ones in all arms (Cochran 1950, Biometrika 37:256).

    Raises:
        SamplesError: A score is neither 0 nor 1.
    """
    scores_RA = np.asarray(scores_RA)
    if scores_RA.dtype != np.bool_:
        scores_RA = finite(scores_RA)
        refuse_other_than_01(scores_RA, message="Cochran's Q needs scores of 0 or 1")
    num_rows, num_arms = scores_RA.shape
    if untestable := omnibus_result.too_few("cochran_q", num_arms=num_arms, num_rows=num_rows, min_num_rows=1):
        return untestable
    column_A = scores_RA.sum(axis=0)
    row_R = scores_RA.sum(axis=1)
    total = float(column_A.sum())
    below = num_arms * total - float((row_R**2).sum())
    if below == 0:
        return omnibus_result.identical("cochran_q", df_numerator=num_arms - 1)
    statistic = (num_arms - 1) * (num_arms * float((column_A**2).sum()) - total**2) / below
    informative = int(((row_R > 0) & (row_R < num_arms)).sum())
    return omnibus_result.chi_square_result(
        "cochran_q", statistic, num_arms - 1, {"num_informative_rows": float(informative)}
    )
