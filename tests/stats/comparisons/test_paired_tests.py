"""Families of paired arms, two arms against scipy and R, and results where differences do not vary."""

import numpy as np
import pytest
from scipy import stats

from assay.manifests.comparison import Comparison
from assay.stats.comparisons import paired_tests
from assay.stats.comparisons.compact_letters import letters_of
from assay.stats.comparisons.family import pairs_of
from assay.stats.moments import arm_means
from assay.stats.moments.moments import moments_of

ARMS = ("control", "a", "b")


def _max_t(scores, *, kind="dunnett", alpha=0.05, call=paired_tests.max_t):
    moments = moments_of(scores, arms=ARMS[: scores.shape[1]], control=0)
    pairs = pairs_of(scores.shape[1], control=0, family=kind)
    return call(arm_means.of_rows(moments), pairs=pairs, alpha=alpha)


def _scores(num_rows=40, num_arms=3, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_rows, 1)) + rng.normal(size=(num_rows, num_arms)) + np.arange(num_arms) * 0.3


def test_two_arms_are_the_paired_t_test():
    scores = _scores(num_arms=2)
    theirs = stats.ttest_rel(scores[:, 1], scores[:, 0])
    interval = theirs.confidence_interval(0.95)
    (found,) = _max_t(scores).comparisons
    assert found.method == "paired_t"
    assert (found.statistic, found.p_value, found.p_adjusted) == pytest.approx(
        (theirs.statistic, theirs.pvalue, theirs.pvalue), rel=1e-12
    )
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-12)


def test_a_tiny_p_value_is_not_zero():
    """1 - cdf would be 0 below 1e-16."""
    rng = np.random.default_rng(0)
    scores = np.stack([np.zeros(60), 5 + rng.normal(size=60)], axis=1)
    (found,) = _max_t(scores).comparisons
    assert found.p_value is not None
    assert 0 < found.p_value < 1e-30


def test_holm_adjusts_paired_t_tests():
    scores = _scores()
    found = _max_t(scores, call=paired_tests.t_holm).comparisons
    alone = sorted(stats.ttest_rel(scores[:, index], scores[:, 0]).pvalue for index in (1, 2))
    assert sorted(comparison.p_adjusted or 0 for comparison in found) == pytest.approx(
        [2 * alone[0], max(2 * alone[0], alone[1])]
    )
    half = stats.t.isf(0.0125, 39)
    for comparison in found:
        assert comparison.ci_high - comparison.estimate == pytest.approx(half * comparison.std_error)


def test_max_t_is_sharper_than_bonferroni_and_wider_than_one_test():
    rng = np.random.default_rng(0)
    scores = np.concatenate([3 * rng.normal(size=(200, 1)), rng.normal(size=(200, 2))], axis=1)  # a noisy control
    assert stats.t.isf(0.025, 199) < _max_t(scores).critical < 0.95 * stats.t.isf(0.0125, 199)


@pytest.mark.parametrize("call", [paired_tests.max_t, paired_tests.t_holm])
def test_identical_arms_have_p_of_one_and_an_interval_of_zero(call):
    scores = _scores()
    scores[:, 1] = scores[:, 0]
    same, other = _max_t(scores, call=call).comparisons
    assert (same.degenerate, same.estimate, same.p_value, same.p_adjusted) == ("identical", 0, 1, 1)
    assert (same.ci_low, same.ci_high) == (0, 0)
    assert other.degenerate is None
    assert other.p_adjusted is not None


def test_identical_variants_are_told_in_all_pairs():
    scores = _scores()
    scores[:, 2] = scores[:, 1]
    found = {(each.arm, each.reference): each for each in _max_t(scores, kind="tukey").comparisons}
    assert found["b", "a"].degenerate == "identical"
    assert found["a", "control"].p_adjusted == found["b", "control"].p_adjusted


def test_a_constant_difference_has_no_p_value():
    scores = _scores()
    scores[:, 1] = scores[:, 0] + 0.1  # the sum is rounded differently in every row
    found, _ = _max_t(scores).comparisons
    assert found.degenerate == "constant_difference"
    assert found.estimate == pytest.approx(0.1)
    assert (found.p_value, found.p_adjusted, found.ci_low, found.statistic) == (None, None, None, None)
    assert found.not_testable is not None


def test_variants_that_differ_by_a_constant_are_told_in_all_pairs():
    scores = _scores(num_rows=20_000)
    scores[:, 2] = scores[:, 1] + 0.1  # the variance of their difference is rounding error of two large variances
    found = {(each.arm, each.reference): each for each in _max_t(scores, kind="tukey").comparisons}
    assert found["b", "a"].degenerate == "constant_difference"
    assert found["b", "a"].estimate == pytest.approx(0.1)
    assert found["b", "control"].p_adjusted is not None


def test_all_arms_identical_is_answered():
    scores = np.repeat(_scores(num_arms=1), 3, axis=1)
    assert [each.degenerate for each in _max_t(scores, kind="tukey").comparisons] == ["identical"] * 3


def _binary(table):
    """Rows with these counts of (control, a)."""
    return np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], table, axis=0).astype(float)


def test_two_binary_arms_are_mcnemars_mid_p_and_tangos_interval():
    """Fagerland, Lydersen & Laake (2013), table 1 (airway hyper-responsiveness: 1, 1, 7, 12): mid-p 0.0391.

    Tango's interval for b = 7, c = 1, n = 21 is that of the same authors' tables (2014, Stat. Med. 33:2850): 0.0261
    to 0.5109 for the proportion of the first less the second.
    """
    scores = _binary([1, 1, 7, 12])
    moments = moments_of(scores, arms=("control", "a"), control=0)
    (found,) = paired_tests.mcnemar_holm(moments, pairs=[(1, 0)], alpha=0.05).comparisons
    assert found.method == "mcnemar"
    assert found.p_value == pytest.approx(0.0390625, abs=1e-12)
    assert found.estimate == pytest.approx(6 / 21)
    assert found.ci_low is not None
    assert found.ci_low > 0


def test_binary_arms_that_agree_everywhere_are_identical():
    moments = moments_of(_binary([3, 0, 0, 4]), arms=("control", "a"), control=0)
    (found,) = paired_tests.mcnemar_holm(moments, pairs=[(1, 0)], alpha=0.05).comparisons
    assert (found.p_value, found.ci_low, found.ci_high, found.degenerate) == (1, 0, 0, "identical")


@pytest.mark.parametrize(
    ("table", "needed"),
    [
        ([10, 12, 12, 10], True),  # 24 discordant rows
        ([10, 13, 12, 10], False),  # 25
        ([0, 0, 30, 0], True),  # all rows discordant in one direction: no variance, but testable
    ],
)
def test_few_discordant_rows_need_counting(table, needed):
    moments = moments_of(_binary(table), arms=("control", "a"), control=0)
    assert paired_tests.needs_counting(moments, [(1, 0)]) is needed


def _pair(arm, reference, p_adjusted):
    return Comparison(
        arm=arm,
        reference=reference,
        estimate=0,
        std_error=1,
        statistic=0,
        df=9,
        p_value=p_adjusted,
        p_adjusted=p_adjusted,
        ci_low=-1,
        ci_high=1,
        method="max_t",
    )


def test_letters_are_those_of_piephos_example():
    """Piepho (2004), section 2: T1..T4, with T1 apart from T3, T4, and T2 apart from T4 -> a, ab, bc, c."""
    apart = {("T3", "T1"), ("T4", "T1"), ("T4", "T2")}
    names = ["T1", "T2", "T3", "T4"]
    pairs = [(names[j], names[i]) for i in range(4) for j in range(i + 1, 4)]
    found = letters_of([_pair(*pair, 0.01 if pair in apart else 0.5) for pair in pairs], arms=names, alpha=0.05)
    assert found == {"T1": "a", "T2": "ab", "T3": "bc", "T4": "c"}


def test_letters_say_exactly_which_pairs_are_apart():
    rng = np.random.default_rng(0)
    names = [f"arm{index}" for index in range(7)]
    pairs = [(names[j], names[i]) for i in range(7) for j in range(i + 1, 7)]
    for _ in range(50):
        given = [_pair(*pair, float(rng.choice([0.01, 0.5]))) for pair in pairs]
        letters = letters_of(given, arms=names, alpha=0.05)
        for each in given:
            share = bool(set(letters[each.arm]) & set(letters[each.reference]))
            assert share == ((each.p_adjusted or 0) > 0.05)


def test_all_alike_share_one_letter():
    found = letters_of([_pair("a", "b", 0.5), _pair("a", "c", None), _pair("b", "c", 0.9)], arms="abc", alpha=0.05)
    assert found == {"a": "a", "b": "a", "c": "a"}
