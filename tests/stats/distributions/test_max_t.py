"""The largest |t| of a family: against R, closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.stats.comparisons import paired_tests
from assay.stats.comparisons.family import Family, pairs_of
from assay.stats.distributions.max_t import max_t_of, pair_variances
from assay.stats.moments import arm_means
from assay.stats.moments.moments import moments_of
from tests.stats.golden import golden

GOLDEN = golden("max_t")


def _family(kind: str, alpha: float = 0.05) -> Family:
    scores = np.array(GOLDEN["scores"])
    scores = scores - scores.mean(axis=0) + np.array(GOLDEN["shift"])
    moments = moments_of(scores, arms=("sl", "sw", "pl", "pw"), control=0)
    pairs = pairs_of(4, control=0, family=kind)
    return paired_tests.max_t(arm_means.of_rows(moments), pairs=pairs, alpha=alpha)


@pytest.mark.parametrize("kind", ["dunnett", "tukey"])
def test_p_values_and_intervals_are_those_of_r(kind):
    found, wanted = _family(kind), GOLDEN[kind]
    assert found.critical == pytest.approx(wanted["critical"], abs=5e-4)
    for comparison, statistic, p_adjusted in zip(
        found.comparisons, wanted["statistic"], wanted["p_adjusted"], strict=True
    ):
        assert comparison.statistic == pytest.approx(statistic, abs=1e-7)
        assert comparison.p_adjusted == pytest.approx(p_adjusted, abs=5e-5, rel=2e-3)
    for end in ("ci_low", "ci_high"):
        ends = [getattr(comparison, end) for comparison in found.comparisons]
        np.testing.assert_allclose(ends, wanted.get(end, ends), atol=5e-5)


@pytest.mark.parametrize(("num_arms", "df"), [(3, 10), (4, 30), (5, 500), (10, 60), (20, 1000)])
def test_all_pairs_of_equal_arms_are_the_studentized_range(num_arms, df):
    """Independent arms of equal variance: Tukey's distribution, whose correlation matrix is singular."""
    largest = max_t_of(np.eye(num_arms), pairs_of(num_arms, control=0, family="tukey"), df=df)
    assert largest.rank == num_arms - 1
    for alpha in (0.1, 0.05, 0.01):
        exact = stats.studentized_range.isf(alpha, num_arms, df) / np.sqrt(2)
        assert largest.critical(alpha) == pytest.approx(exact, abs=3e-3)
        assert largest.p_adjusted(exact) == pytest.approx(alpha, rel=0.01)


@pytest.mark.parametrize(
    ("num_variants", "df", "critical"),
    [(2, 10, 2.57), (4, 20, 2.65), (9, 20, 2.95), (9, 60, 2.77), (2, np.inf, 2.21), (9, np.inf, 2.69)],
)
def test_critical_values_are_those_of_dunnetts_table(num_variants, df, critical):
    """Dunnett (1964, Biometrics 20:482), table II: two-sided 5 % points at correlation 0.5."""
    pairs = pairs_of(num_variants + 1, control=0, family="dunnett")
    assert max_t_of(np.eye(num_variants + 1), pairs, df=df).critical(0.05) == pytest.approx(critical, abs=0.0052)


@pytest.mark.parametrize("case", golden("many_to_one")["cases"], ids=str)
def test_equally_correlated_comparisons_are_those_of_r(case):
    correlation, num_variants = case["correlation"], case["num_variants"]
    covariance = np.diag([correlation, *[1 - correlation] * num_variants])
    pairs = pairs_of(num_variants + 1, control=0, family="dunnett")
    largest = max_t_of(covariance, pairs, df=case["df"] or np.inf)
    assert largest.critical(0.05) == pytest.approx(case["critical"], abs=2e-3)


def test_scipys_dunnett_agrees():
    rng = np.random.default_rng(5)
    groups = [rng.normal(size=30) for _ in range(4)]
    theirs = stats.dunnett(*groups[1:], control=groups[0], rng=np.random.default_rng(0))
    largest = max_t_of(np.eye(4), pairs_of(4, control=0, family="dunnett"), df=4 * 29)
    for statistic, p_value in zip(theirs.statistic, theirs.pvalue, strict=True):
        assert largest.p_adjusted(float(statistic)) == pytest.approx(p_value, abs=2e-3)


def test_independent_comparisons_meet_sidak():
    """Differences from a control without variance are independent normals: 1 - (1 - p)^m."""
    covariance = np.diag([0.0, 1, 2, 3, 4, 5])
    largest = max_t_of(covariance, pairs_of(6, control=0, family="dunnett"), df=np.inf)
    for z in (1.5, 2.5, 3.5, 6.0):
        lone = 2 * stats.norm.sf(z)
        assert largest.p_adjusted(z) == pytest.approx(-np.expm1(5 * np.log1p(-lone)), rel=0.02)


def test_brute_force_agrees():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    covariance, pairs = root @ root.T, pairs_of(4, control=2, family="tukey")
    df, num_draws = 12, 400_000
    arms = rng.multivariate_normal(np.zeros(4), covariance, size=num_draws, method="cholesky")
    scale = np.sqrt(rng.chisquare(df, size=num_draws) / df)
    largest_t = (
        np.max(
            [
                np.abs(arms[:, i] - arms[:, j]) / np.sqrt(variance)
                for (i, j), variance in zip(pairs, pair_variances(covariance, pairs), strict=True)
            ],
            axis=0,
        )
        / scale
    )
    found = max_t_of(covariance, pairs, df=df)
    for alpha in (0.2, 0.05, 0.01):
        assert (largest_t > found.critical(alpha)).mean() == pytest.approx(alpha, abs=4 * (alpha / num_draws) ** 0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 10_000), st.floats(0, 8), st.integers(2, 100))
def test_p_values_lie_between_no_and_full_correction_and_fall(num_arms, seed, statistic, df):
    root = np.random.default_rng(seed).normal(size=(num_arms, num_arms))
    largest = max_t_of(root @ root.T, pairs_of(num_arms, control=0, family="tukey"), df=df)
    lone = 2 * stats.t.sf(statistic, df)
    found = largest.p_adjusted(statistic)
    assert lone <= found <= min(1.0, largest.num_pairs * lone)
    assert largest.p_adjusted(-statistic) == found
    assert largest.p_adjusted(statistic + 0.5) <= found


def test_p_values_and_critical_values_agree():
    largest = max_t_of(np.eye(6), pairs_of(6, control=0, family="dunnett"), df=40)
    assert largest.p_adjusted(largest.critical(0.05)) == pytest.approx(0.05, abs=1e-9)


def test_identical_arms_share_one_place_in_the_family():
    """Two identical arms add no comparison: the critical value is that of a family with one arm fewer."""
    covariance = np.array([[1.0, 0.2, 0.1, 0.1], [0.2, 2, 0.3, 0.3], [0.1, 0.3, 1, 1], [0.1, 0.3, 1, 1]])
    pairs = pairs_of(4, control=0, family="dunnett")
    twice = max_t_of(covariance, pairs, df=50)
    once = max_t_of(covariance[:3, :3], pairs[:2], df=50)
    assert twice.critical(0.05) == pytest.approx(once.critical(0.05), abs=1e-3)


def test_the_same_family_gives_the_same_bits():
    pairs = pairs_of(5, control=0, family="tukey")
    covariance = np.cov(np.random.default_rng(0).normal(size=(5, 40)))
    one, other = (max_t_of(covariance, pairs, df=39) for _ in range(2))
    assert one.critical(0.05) == other.critical(0.05)
    assert one.nodes.tobytes() == other.nodes.tobytes()


def test_units_of_the_score_never_show():
    pairs = pairs_of(3, control=0, family="tukey")
    covariance = np.cov(np.random.default_rng(0).normal(size=(3, 40)))
    small, large = (max_t_of(covariance * factor, pairs, df=39).critical(0.05) for factor in (1e-18, 1e18))
    assert small == pytest.approx(large, abs=1e-6)


def test_what_rounding_leaves_of_two_large_variances_is_no_variance():
    covariance = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 1 + 2e-15]])
    assert pair_variances(covariance, [(1, 0), (2, 1)]).tolist() == [1, 0]
    assert pair_variances(covariance * 1e-30, [(2, 1)]).tolist() == [0]
    assert pair_variances(np.diag([0, 1e-30, 1]), [(1, 0)]).tolist() == [1e-30]
