import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q

from assay.stats.errors import SamplesError
from assay.stats.moments.clusters import cluster_moments_of
from assay.stats.moments.moments import moments_of
from assay.stats.omnibus import independent_groups, repeated_measures, wald
from tests.stats.golden import golden, nist_anova

REPEATED = golden("repeated_measures")["cases"]
UNPAIRED = golden("unpaired")["cases"]

# Correct digits of F that scipy's f_oneway reaches; about 4 is all that float64 holds of SmLs07 to SmLs09.
NIST_DIGITS = {
    "SiRstv": 12.5,
    "SmLs01": 14,
    "SmLs02": 14,
    "SmLs03": 14,
    "AtmWtAg": 10,
    "SmLs04": 10,
    "SmLs05": 10,
    "SmLs06": 10,
    "SmLs07": 4,
    "SmLs08": 4,
    "SmLs09": 4,
}


def moments(scores, control=0):
    scores = np.asarray(scores, dtype=float)
    return moments_of(scores, arms=tuple(f"a{i}" for i in range(scores.shape[1])), control=control)


def cluster_wald(scores, clusters, *, rows_vary=False):
    found = cluster_moments_of(scores, clusters, arms=[str(index) for index in range(scores.shape[1])], control=0)
    return wald.cluster_wald(
        found.rows.mean_D,
        found.mean_covariance_DD,
        num_clusters=found.num_clusters,
        rounding=found.rows.rounding,
        rows_vary=rows_vary,
    )


def merged(values, chunk):
    parts = [moments_of(values[i : i + chunk, None], arms=("a",), control=0) for i in range(0, len(values), chunk)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def digits(value, certified):
    return 16 if value == certified else -np.log10(abs(value - certified) / abs(certified))


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000, None])
@pytest.mark.parametrize("name", NIST_DIGITS)
def test_nist_anova_keeps_the_digits_scipy_reaches_however_rows_are_chunked(name, chunk):
    groups, certified = nist_anova(name)
    parts = [merged(values, chunk or len(values)) for values in groups]
    found = independent_groups.oneway_of(parts) if chunk else independent_groups.oneway(groups)
    # Eleven sets, one by one or in chunks, stay within a digit of scipy on the same data.
    assert found.statistic is not None
    assert digits(found.statistic, certified) > NIST_DIGITS[name] - 1
    if chunk is None:
        assert digits(found.statistic, certified) >= NIST_DIGITS[name]
        scipy_digits = digits(stats.f_oneway(*groups).statistic, certified)
        assert digits(found.statistic, certified) > scipy_digits - 0.5


@pytest.mark.parametrize("control", [0, 2])
@pytest.mark.parametrize("name", REPEATED)
def test_repeated_measures_agree_with_afex_and_car(name, control):
    case = REPEATED[name]
    found = repeated_measures.rm_anova(moments(case["scores"], control))
    details = dict(found.details)
    assert found.statistic == pytest.approx(case["f"], rel=1e-12)
    assert (found.df_numerator, found.df_denominator) == (case["df_num"], case["df_den"])
    assert found.p_value == pytest.approx(case["p"], rel=1e-10)
    assert found.epsilon == pytest.approx(case["epsilon_gg"], rel=1e-10)
    assert found.p_value_corrected == pytest.approx(case["p_gg"], rel=1e-10)
    assert details["epsilon_hf"] == pytest.approx(min(case["epsilon_hf"], 1), rel=1e-10)
    assert details["p_value_hf"] == pytest.approx(case["p_hf"], rel=1e-10)
    assert details["mauchly_w"] == pytest.approx(case["mauchly_w"], rel=1e-9)
    # R's second term of the expansion has 3 k where Anderson (2003, section 10.7.4) has 3 (k - 1).
    assert details["mauchly_p"] == pytest.approx(case["mauchly_p"], rel=0.01)


def test_epsilon_and_f_survive_what_all_scores_have_in_common():
    case = REPEATED["five_arms"]
    found = repeated_measures.rm_anova(moments(np.array(case["scores"]) + 1e9))
    assert found.statistic == pytest.approx(case["f"], rel=1e-5)
    assert found.epsilon == pytest.approx(case["epsilon_gg"], rel=1e-5)


@pytest.mark.parametrize("name", REPEATED)
def test_hotelling_agrees_with_r(name):
    case = REPEATED[name]
    found = repeated_measures.hotelling(moments(case["scores"], 1))
    assert found.statistic == pytest.approx(case["hotelling_f"], rel=1e-9)
    assert [found.df_numerator, found.df_denominator] == case["hotelling_df"]
    assert found.p_value == pytest.approx(case["hotelling_p"], rel=1e-9)


@pytest.mark.parametrize("name", REPEATED)
def test_friedman_agrees_with_r(name):
    found = repeated_measures.friedman(REPEATED[name]["scores"])
    assert found.statistic == pytest.approx(REPEATED[name]["friedman"], rel=1e-12)
    assert found.p_value == pytest.approx(REPEATED[name]["friedman_p"], rel=1e-12)


def test_cochran_q_is_friedman_of_zeros_and_ones():
    case = REPEATED["binary"]
    found = repeated_measures.cochran_q(np.array(case["scores"]) == 1)  # booleans are scores too
    assert found.statistic == pytest.approx(case["friedman"], rel=1e-12)
    assert found.p_value == pytest.approx(cochrans_q(np.array(case["scores"])).pvalue, rel=1e-12)


def test_two_arms_give_the_square_of_the_paired_t():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(40, 2)) + rng.normal(size=(40, 1))
    t = stats.ttest_rel(scores[:, 1], scores[:, 0])
    for test in (repeated_measures.rm_anova, repeated_measures.hotelling):
        found = test(moments(scores))
        assert found.statistic == pytest.approx(t.statistic**2)
        assert found.p_value == pytest.approx(t.pvalue)
    # Clusters of one row each are equivalent to no clusters.
    assert cluster_wald(scores, np.arange(40)).p_value == pytest.approx(t.pvalue)


@pytest.mark.parametrize("unit", [1e-151, 1e-100, 1e150])
def test_units_of_the_score_never_show(unit):
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(40, 3)) + rng.normal(size=(40, 1)) + [0.0, 0.2, 0.5]
    clusters = np.repeat(np.arange(10), 4)

    def tested(values):
        found = [repeated_measures.rm_anova(moments(values)), repeated_measures.hotelling(moments(values))]
        found += [
            cluster_wald(values, clusters),
            independent_groups.welch(values.T),
            independent_groups.oneway(values.T),
        ]
        return np.array([(each.statistic, each.p_value, each.epsilon or 1.0) for each in found])

    np.testing.assert_allclose(tested(scores * unit), tested(scores), rtol=1e-9)


@pytest.mark.parametrize("moved", [0.0, 0.5])
def test_clusters_whose_totals_do_not_vary_have_no_dimension_to_test(moved):
    """Rows differ by 1 and -1 in every cluster: the mean difference is the same however clusters are drawn."""
    scores = np.column_stack([np.zeros(20), np.tile([1.0, -1.0], 10) + moved])
    found = cluster_wald(scores, np.repeat(np.arange(10), 2), rows_vary=True)
    assert (found.p_value, found.degenerate) == (None, None)
    assert "but cluster totals do not" in found.not_testable


def test_cluster_wald_of_equal_clusters_is_hotelling_of_their_means():
    rng = np.random.default_rng(2)
    by_cluster = rng.normal(size=(12, 1, 3)) + rng.normal(size=(12, 5, 3))
    found = cluster_wald(by_cluster.reshape(60, 3), np.repeat(np.arange(12), 5))
    of_means = repeated_measures.hotelling(moments(by_cluster.mean(axis=1)))
    assert found.statistic == pytest.approx(of_means.statistic)
    assert (found.df_numerator, found.df_denominator) == (2, 10) == (of_means.df_numerator, of_means.df_denominator)


@pytest.mark.parametrize("name", UNPAIRED)
def test_unpaired_tests_agree_with_r(name):
    case = UNPAIRED[name]
    groups = list(case["groups"].values())
    assert independent_groups.oneway(groups).statistic == pytest.approx(case["oneway"]["f"], rel=1e-12)
    assert independent_groups.oneway(groups).p_value == pytest.approx(case["oneway"]["p"], rel=1e-11)
    welch = independent_groups.welch(groups)
    assert welch.statistic == pytest.approx(case["welch"]["f"], rel=1e-12)
    assert (welch.df_numerator, welch.df_denominator) == pytest.approx(
        (case["welch"]["df_num"], case["welch"]["df_den"]), rel=1e-12
    )
    assert welch.p_value == pytest.approx(case["welch"]["p"], rel=1e-11)
    assert independent_groups.kruskal(groups).statistic == pytest.approx(case["kruskal"]["h"], rel=1e-12)
    assert independent_groups.kruskal(groups).p_value == pytest.approx(case["kruskal"]["p"], rel=1e-11)


def test_chi_square_is_that_of_the_table():
    # R 4.2.2: chisq.test(matrix(c(30, 20, 10, 10, 15, 25), 3), correct = FALSE)
    groups = [np.repeat([1, 0], counts) for counts in ((30, 10), (20, 15), (10, 25))]
    found = independent_groups.chi_square(groups)
    assert found.statistic == pytest.approx(16.369047619048, rel=1e-12)
    assert found.p_value == pytest.approx(0.00027893722275, rel=1e-10)
    assert found.df_numerator == 2


IDENTICAL = np.tile(np.random.default_rng(3).normal(size=(20, 1)), 3)
STEPS = np.array([0, 0.1, 0.2])
IDENTICAL_BINARY = np.tile(np.arange(20)[:, None] % 2, 3)


@pytest.mark.parametrize(
    "found",
    [
        repeated_measures.rm_anova(moments(IDENTICAL)),
        repeated_measures.hotelling(moments(IDENTICAL)),
        repeated_measures.friedman(IDENTICAL),
        repeated_measures.cochran_q(IDENTICAL_BINARY),
        cluster_wald(IDENTICAL, np.arange(20) // 2),
        independent_groups.oneway([[2.5, 2.5], [2.5, 2.5, 2.5]]),
        independent_groups.welch([[2.5, 2.5], [2.5, 2.5, 2.5]]),
        independent_groups.kruskal([[2.5, 2.5], [2.5, 2.5, 2.5]]),
        independent_groups.chi_square([[1, 1], [1, 1, 1]]),
    ],
    ids=lambda found: found.test,
)
def test_arms_without_any_difference_are_told_so(found):
    assert (found.p_value, found.degenerate, found.not_testable) == (1.0, "identical", None)


@pytest.mark.parametrize(
    "found",
    [
        # 0.1 is not a float64: the differences vary by rounding errors, which must not be tested
        repeated_measures.rm_anova(moments(IDENTICAL + STEPS)),
        repeated_measures.hotelling(moments(IDENTICAL + STEPS)),
        # two variants differ by a constant from each other, though not from the control
        repeated_measures.hotelling(moments(np.random.default_rng(4).normal(size=(30, 1)) * [0, 1, 1] + [0, 0, 0.5])),
        independent_groups.oneway([[1.0, 1.0], [2.0, 2.0]]),
        independent_groups.welch([[1.0, 1.0], [2.0, 2.0]]),
    ],
    ids=["rm_anova", "hotelling", "hotelling_variants", "oneway", "welch"],
)
def test_a_difference_without_variation_has_no_p_value(found):
    assert found.p_value is None
    assert found.degenerate == "constant_difference"
    assert "variation" in found.not_testable


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (repeated_measures.rm_anova(moments([[1.0, 2.0, 3.0]])), "1 rows"),
        (repeated_measures.rm_anova(moments(np.ones((5, 1)))), "at least two arms"),
        (repeated_measures.hotelling(moments(np.random.default_rng(5).normal(size=(3, 4)))), "too few"),
        (repeated_measures.friedman(np.ones((5, 1))), "at least two arms"),
        (independent_groups.welch([[1.0, 2.0], [3.0]]), "1 rows"),
        (independent_groups.welch([[1.0, 2.0], [3.0, 3.0]]), "weight"),
        (independent_groups.oneway([[1.0], [3.0]]), "two rows"),
        (cluster_wald(np.random.default_rng(6).normal(size=(8, 2)), np.arange(8) // 2), "4 clusters"),
    ],
)
def test_what_cannot_be_tested_says_why(found, reason):
    assert found.p_value is None
    assert reason in found.not_testable


def test_identical_variants_take_no_dimension():
    rng = np.random.default_rng(7)
    two = rng.normal(size=(50, 2))
    doubled = np.column_stack([two, two[:, 1]])
    found = repeated_measures.hotelling(moments(doubled))
    assert found.df_numerator == 1
    assert found.p_value == pytest.approx(repeated_measures.hotelling(moments(two)).p_value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused_with_their_rows(bad):
    scores = np.random.default_rng(8).normal(size=(10, 3))
    scores[4, 1] = bad
    with pytest.raises(SamplesError, match="rows 4 "):
        repeated_measures.friedman(scores)
    with pytest.raises(SamplesError, match="rows 4 "):
        independent_groups.welch(list(scores.T))


def test_tests_of_zeros_and_ones_refuse_other_scores():
    with pytest.raises(SamplesError, match=r"0\.3.*0 or 1"):
        repeated_measures.cochran_q([[0.3, 0.7], [0.3, 0.7]])
    with pytest.raises(SamplesError, match="0 or 1"):
        independent_groups.chi_square([[0, 1], [0, 2]])


@pytest.mark.extended
def test_type_one_error_of_the_corrected_anova_holds_where_sphericity_is_broken():
    # Near-clones and one outlier: uncorrected .11 to .14 at any number of rows.
    rng = np.random.default_rng(9)
    num_sets, num_rows = 1200, 30
    base = rng.normal(size=(num_sets, num_rows, 1))
    noise = rng.normal(size=(num_sets, num_rows, 4)) * [0.1, 0.1, 0.1, 1.0]
    found = [repeated_measures.rm_anova(moments(scores)) for scores in base + noise]
    corrected = np.mean([each.p_value_corrected < 0.05 for each in found])
    uncorrected = np.mean([each.p_value < 0.05 for each in found])
    assert 0.03 < corrected < 0.07
    assert uncorrected > 0.08
