import numpy as np
import pytest
from scipy import stats

from assay.manifests.errors import InvalidInput
from assay.stats.comparisons import unpaired_tests
from assay.stats.distributions.dunnett import DunnettDistribution
from assay.stats.distributions.studentized_range import StudentizedRange
from assay.stats.errors import SamplesError
from tests.stats.golden import golden, nist_anova

CASES = golden("unpaired")["cases"]
METHODS = [unpaired_tests.tukey_hsd, unpaired_tests.games_howell, unpaired_tests.dunnett, unpaired_tests.welch_t_holm]


def groups_of(case):
    return list(case["groups"].values()), list(case["groups"])


@pytest.mark.parametrize("name", CASES)
def test_tukey_agrees_with_r(name):
    groups, names = groups_of(CASES[name])
    found = unpaired_tests.tukey_hsd(groups, names, control=names[0], alpha=0.05)
    assert [f"{pair.arm}-{pair.reference}" for pair in found] == [pair["pair"] for pair in CASES[name]["tukey"]]
    for pair, expected in zip(found, CASES[name]["tukey"], strict=True):
        assert pair.estimate == pytest.approx(expected["estimate"], rel=1e-10)
        assert pair.p_adjusted == pytest.approx(expected["p"], abs=1e-9)
        assert (pair.ci_low, pair.ci_high) == pytest.approx((expected["low"], expected["high"]), abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_games_howell_agrees_with_the_studentized_range_of_r(name):
    groups, names = groups_of(CASES[name])
    found = unpaired_tests.games_howell(groups, names, control=names[0], alpha=0.05)
    for pair, expected in zip(found, CASES[name]["games_howell"], strict=True):
        assert (pair.arm, pair.reference) == (expected["arm"], expected["reference"])
        assert pair.df == pytest.approx(expected["df"], rel=1e-12)
        assert pair.p_adjusted == pytest.approx(expected["p"], abs=1e-9)
        assert pair.ci_high - pair.estimate == pytest.approx(expected["half"], rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_dunnett_agrees_with_multcomp(name):
    groups, names = groups_of(CASES[name])
    found = unpaired_tests.dunnett(groups, names, control=names[0], alpha=0.05)
    for pair, expected in zip(found, CASES[name]["dunnett"], strict=True):
        assert f"{pair.arm} - {pair.reference}" == expected["pair"]
        assert pair.statistic == pytest.approx(expected["t"], rel=1e-10)
        assert pair.p_adjusted == pytest.approx(expected["p"], abs=1e-6)
        # multcomp's critical value is simulated, to about 4 digits
        assert pair.ci_low == pytest.approx(expected["low"], abs=1e-4 * abs(expected["high"] - expected["low"]))


@pytest.mark.parametrize("name", CASES)
def test_welch_t_agrees_with_r_and_is_adjusted_by_holm(name):
    groups, names = groups_of(CASES[name])
    found = unpaired_tests.welch_t_holm(groups, names, control=names[0], alpha=0.05)
    for pair, expected in zip(found, CASES[name]["welch_t"], strict=True):
        assert (pair.statistic, pair.df) == pytest.approx((expected["t"], expected["df"]), rel=1e-10)
        assert pair.p_value == pytest.approx(expected["p"], rel=1e-9)
    raw = [pair.p_value for pair in found]
    assert min(pair.p_adjusted for pair in found) == pytest.approx(min(1, len(raw) * min(raw)))
    assert all(pair.p_adjusted < 0.05 for pair in found if pair.ci_low > 0 or pair.ci_high < 0)
    lone = unpaired_tests.welch_t_holm(groups[:2], names[:2], control=names[0], alpha=0.05)[0]
    assert (lone.ci_low, lone.ci_high) == pytest.approx(CASES[name]["welch_t"][0]["ci"], rel=1e-9)
    assert (lone.method, lone.p_adjusted) == ("welch_t", lone.p_value)


def test_dunnett_agrees_with_scipy_on_groups_of_different_sizes():
    rng = np.random.default_rng(1)
    groups = [rng.normal(size=n) + shift for n, shift in ((9, 0), (25, 0.5), (14, 1), (60, 0.2))]
    found = unpaired_tests.dunnett(groups, "abcd", control="b", alpha=0.05)
    expected = stats.dunnett(groups[0], groups[2], groups[3], control=groups[1], rng=np.random.default_rng(2))
    assert [pair.arm for pair in found] == ["a", "c", "d"]
    assert [pair.statistic for pair in found] == pytest.approx(expected.statistic)
    assert [pair.p_adjusted for pair in found] == pytest.approx(expected.pvalue, abs=1e-4)


@pytest.mark.parametrize("case", golden("many_to_one")["cases"])
def test_critical_values_agree_with_mvtnorm(case):
    found = DunnettDistribution.of_correlation(
        case["correlation"], num_variants=case["num_variants"], df=case["df"] or float("inf")
    )
    assert found.critical(0.05) == pytest.approx(case["critical"], abs=5e-4)
    assert found.p_adjusted(found.critical(0.05)) == pytest.approx(0.05, abs=1e-9)


def test_critical_values_agree_with_dunnett_1964():
    # Dunnett 1964, Biometrics 20:482, table II, two-sided 5 %: (df, variants) -> critical value
    for (df, num_variants), critical in {(5, 1): 2.57, (5, 4): 3.48, (20, 4): 2.65, (60, 9): 2.77}.items():
        found = DunnettDistribution.of_correlation(0.5, num_variants=num_variants, df=df)
        assert found.critical(0.05) == pytest.approx(critical, abs=0.005)


def test_extreme_statistics_keep_a_p_value_above_nothing():
    found = unpaired_tests.tukey_hsd(
        [np.arange(50) / 50 + shift for shift in (0, 0.01, 9)], "abc", control="a", alpha=0.05
    )
    assert 0 < found[1].p_adjusted < 1e-60  # scipy's own floor is 2.4e-12
    assert found[1].p_adjusted == pytest.approx(3 * found[1].p_value)
    dunnett = unpaired_tests.dunnett(
        [np.arange(50) / 50 + shift for shift in (0, 0.01, 9)], "abc", control="a", alpha=0.05
    )
    assert 0 < dunnett[1].p_adjusted < 1e-60


@pytest.mark.parametrize("df", [3, 10, 37.3, 500, np.inf])
@pytest.mark.parametrize("num_arms", [3, 20])
def test_all_pairs_agree_with_the_studentized_range_of_scipy(num_arms, df):
    found = StudentizedRange(num_arms, df)
    exact = stats.studentized_range.isf(0.05, num_arms, df) / np.sqrt(2)
    assert found.critical(0.05) == pytest.approx(exact, rel=1e-9)
    assert found.p_adjusted(3.1) == pytest.approx(stats.studentized_range.sf(3.1 * np.sqrt(2), num_arms, df), rel=1e-7)


def test_estimates_keep_their_digits_whatever_scores_have_in_common():
    groups, _ = nist_anova("SmLs07")
    names = [f"g{i}" for i in range(len(groups))]
    found = unpaired_tests.tukey_hsd(groups, names, control="g0", alpha=0.05)
    expected = [
        float(np.mean(groups[names.index(pair.arm)] - 1e12) - np.mean(groups[names.index(pair.reference)] - 1e12))
        for pair in found
    ]
    assert [pair.estimate for pair in found] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_arms_without_variance_are_told_apart(method):
    family = "dunnett"
    found = method([[1.0, 1.0], [1.0, 1.0, 1.0], [2.0, 2.0]], "abc", control="a", alpha=0.05, family=family)
    assert (found[0].degenerate, found[0].p_adjusted, found[0].ci_low, found[0].ci_high) == ("identical", 1, 0, 0)
    assert (found[1].degenerate, found[1].p_adjusted) == ("constant_difference", None)
    assert "variation" in found[1].not_testable


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_score_is_refused(method):
    # scipy.stats.dunnett returns p = 1 for every comparison
    with pytest.raises(SamplesError, match="arm 'b', rows 1 "):
        method([[1.0, 2.0], [1.0, np.nan, 3.0]], ["a", "b"], control="a", alpha=0.05)


def test_dunnett_refuses_all_pairs_and_unknown_controls():
    with pytest.raises(InvalidInput, match="control only"):
        unpaired_tests.dunnett([[1, 2], [2, 3]], "ab", control="a", alpha=0.05, family="tukey")
    with pytest.raises(InvalidInput, match="did you mean 'base'"):
        unpaired_tests.dunnett([[1, 2], [2, 3]], ["base", "b"], control="bass", alpha=0.05)


@pytest.mark.parametrize(
    "method",
    [pytest.param(each, marks=() if each is unpaired_tests.tukey_hsd else pytest.mark.extended) for each in METHODS],
)
def test_family_wise_error_holds(method):
    rng = np.random.default_rng(4)
    num_sets = 250
    errors = 0
    for _ in range(num_sets):
        groups = [rng.normal(size=n) for n in (15, 25, 20)]
        errors += min(pair.p_adjusted for pair in method(groups, "abc", control="a", alpha=0.05)) < 0.05
    assert errors / num_sets < 0.1  # 3.5 standard errors above 0.05


@pytest.mark.parametrize("unit", [1e-151, 1e-100, 1e150])
@pytest.mark.parametrize("method", [unpaired_tests.games_howell, unpaired_tests.welch_t_holm])
def test_units_of_the_score_never_show(method, unit):
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=size) * spread for size, spread in ((12, 1.0), (30, 2.0))]
    theirs = stats.ttest_ind(groups[1], groups[0], equal_var=False)
    (found,) = method([group * unit for group in groups], ("a", "b"), control="a", alpha=0.05)
    assert (found.df, found.p_value) == pytest.approx((theirs.df, theirs.pvalue), rel=1e-9)
