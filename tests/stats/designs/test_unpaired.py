"""The unpaired design: every test and method that a plan can name, and those that do not fit."""

import numpy as np
import pytest
from scipy import stats

from assay.stats import analysis
from assay.stats.designs import unpaired
from assay.stats.errors import SamplesError
from assay.stats.samples.columns import from_long
from tests.stats.plans import plan


def _groups(seed=0, sizes=(30, 40, 50), gains=(0.0, 0.4, 0.8), binary=False):
    rng = np.random.default_rng(seed)
    if binary:
        return [(rng.random(size) < 0.5 + gain / 4).astype(float) for size, gain in zip(sizes, gains, strict=True)]
    return [rng.normal(size=size) * (1 + gain) + gain for size, gain in zip(sizes, gains, strict=True)]


def _samples(groups, **columns):
    names = ["control", "a", "b", "c"][: len(groups)]
    arms = np.repeat(names, [len(group) for group in groups])
    return from_long(arms, None, np.concatenate(groups), order=names, **columns)


def _analyze(groups, **changes):
    columns = {"row": None, **changes.pop("columns", {})}
    given = {name: values for name, values in changes.items() if name in ("segment", "cluster")}
    for name in given:
        changes.pop(name)
        columns[name] = name
    return analysis.analyze(_samples(groups, **given), plan(design="unpaired", columns=columns, **changes))


def test_two_arms_are_welchs_t_test():
    first, second = _groups(sizes=(30, 50), gains=(0, 0.5))
    found = _analyze([first, second]).comparisons[0]
    theirs = stats.ttest_ind(second, first, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert found.method == "welch_t"
    assert (found.p_adjusted, found.ci_low, found.ci_high) == pytest.approx(
        (theirs.pvalue, interval.low, interval.high), rel=1e-10
    )


def test_two_binary_arms_are_chi_square_and_newcombe():
    """Newcombe (1998, Stat. Med. 17:873), table II, method 10: 56/70 and 48/80 -> 0.0524 to 0.3339."""
    control, variant = np.repeat([1.0, 0], [48, 32]), np.repeat([1.0, 0], [56, 14])
    found = _analyze([control, variant], scale="binary")
    (comparison,) = found.comparisons
    assert (comparison.ci_low, comparison.ci_high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert comparison.std_error == pytest.approx((0.6 * 0.4 / 79 + 0.8 * 0.2 / 69) ** 0.5)
    chi_square = stats.chi2_contingency([[48, 32], [56, 14]], correction=False)
    assert comparison.p_adjusted == pytest.approx(chi_square.pvalue)
    assert found.omnibus is not None
    assert (found.omnibus.test, found.omnibus.statistic) == ("chi_square", pytest.approx(chi_square.statistic))


@pytest.mark.parametrize(
    ("changes", "omnibus", "method"),
    [
        ({}, "welch", "welch_t_holm"),
        ({"family": "tukey"}, "welch", "games_howell"),
        ({"scale": "ordinal"}, "kruskal", "welch_t_holm"),
        ({"omnibus": "oneway", "posthoc": "dunnett"}, "oneway", "dunnett"),
        ({"family": "tukey", "posthoc": "tukey_hsd", "omnibus": "kruskal"}, "kruskal", "tukey_hsd"),
        ({"family": "tukey", "posthoc": "t_holm"}, "welch", "welch_t_holm"),
    ],
)
def test_what_the_plan_names_is_done(changes, omnibus, method):
    groups = _groups()
    found = _analyze(groups, **changes)
    assert found.omnibus is not None
    assert found.omnibus.test == omnibus
    assert {comparison.method for comparison in found.comparisons} == {method}
    assert len(found.comparisons) == (3 if changes.get("family") == "tukey" else 2)
    assert bool(found.letters) == (changes.get("family") == "tukey")
    assert found.num_rows == 120


def test_binary_families_are_held_by_holm_with_simultaneous_intervals():
    groups = _groups(binary=True, sizes=(100, 100, 100))
    found = _analyze(groups, scale="binary").comparisons
    alone = [stats.chi2_contingency([[g.sum(), 100 - g.sum()], [groups[0].sum(), 100 - groups[0].sum()]],
                                    correction=False).pvalue for g in groups[1:]]  # fmt: skip
    low, high = sorted(alone)
    assert sorted(each.p_adjusted or 0 for each in found) == pytest.approx([2 * low, max(2 * low, high)])


def test_tukeys_numbers_are_scipys():
    groups = _groups()
    found = _analyze(groups, family="tukey", posthoc="tukey_hsd").comparisons
    theirs = stats.tukey_hsd(*groups)
    assert found[0].p_adjusted == pytest.approx(theirs.pvalue[1, 0], rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"omnibus": "rm_anova"}, "needs paired arms"),
        ({"posthoc": "max_t"}, "needs paired arms"),
        ({"omnibus": "chi_square"}, "needs scores of 0 or 1"),
    ],
)
def test_what_does_not_fit_the_design_is_refused(changes, words):
    with pytest.raises(SamplesError, match=words):
        _analyze(_groups(), **changes)


def test_an_arm_with_one_score_is_refused():
    with pytest.raises(SamplesError, match="arm 'a' has too few scores; got 1; allowed: at least two"):
        _analyze([np.arange(5.0), np.array([1.0])])


def test_the_order_of_lines_never_shows():
    groups = _groups()
    forth = _analyze(groups, family="tukey")
    back = _analyze([group[::-1] for group in groups], family="tukey")
    assert forth.plain() == back.plain()


@pytest.mark.extended
def test_clusters_hold_the_level_where_rows_do_not():
    """Clusters of 10 rows with a shared component, each within one arm: naive Welch is far off, CR1 is not."""
    rng, by_cluster, naive = np.random.default_rng(0), [], []
    for _ in range(300):
        groups = [np.repeat(rng.normal(size=20), 10) + rng.normal(size=200) for _ in range(2)]
        clusters = np.repeat(np.arange(40), 10)
        by_cluster.append(_analyze(groups, cluster=clusters).comparisons[0].p_adjusted)
        naive.append(stats.ttest_ind(*groups, equal_var=False).pvalue)
    assert np.mean(np.array(naive) < 0.05) > 0.3
    assert np.mean(np.array(by_cluster) < 0.05) == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 300) ** 0.5)


def test_segments_are_compared_by_welchs_t():
    first, second = _groups(sizes=(80, 80), gains=(0, 0.3))
    segments = np.tile(["x", "y"], 80)
    found = _analyze([first, second], segment=segments)
    assert [segment.segment for segment in found.segments] == ["x", "y"]
    theirs = stats.ttest_ind(second[0::2], first[0::2], equal_var=False).pvalue
    assert found.segments[0].comparisons[0].p_value == pytest.approx(theirs)
    assert found.interaction is not None
    assert found.interaction.p_value is not None


def test_arms_with_equal_cluster_totals_do_not_vary_against_each_other():
    """Shifted copies in the same clusters: the variance of their difference is exactly 0, not a rounding error."""
    rng = np.random.default_rng(3)
    control, clusters = rng.normal(size=31) * 1e3, np.arange(31) % 7
    groups = [control, control.copy(), control + 0.25]
    arms = unpaired.measured_arms(_samples(groups, cluster=np.tile(clusters, 3)), control=0)
    assert not arms.relative_covariance_AA.any()
    assert arms.arm_std_error_A.min() > 0
    found = _analyze(groups, cluster=np.tile(clusters, 3))
    assert [each.degenerate for each in found.comparisons] == ["identical", "constant_difference"]
    assert found.omnibus is not None
    assert found.omnibus.degenerate == "constant_difference"


def test_arms_with_equal_cluster_totals_of_other_scores_are_not_identical():
    spread = np.tile([1.0, -1.0], 20)
    found = _analyze([spread, 2 * spread], cluster=np.tile(np.arange(20).repeat(2), 2))
    assert (found.comparisons[0].degenerate, found.comparisons[0].p_adjusted) == (None, None)
    assert "but cluster totals do not" in found.comparisons[0].not_testable
    assert found.omnibus is not None
    assert (found.omnibus.degenerate, found.omnibus.p_value) == (None, None)


def test_one_cluster_a_row_is_the_cluster_robust_error_by_hand():
    """CR1: G / (G - 1) times the sum of squared (score - mean) / n over all rows of both arms."""
    first, second = _groups(sizes=(20, 30), gains=(0, 0.5))
    found = _analyze([first, second], cluster=np.arange(50)).comparisons[0]
    spread = sum((((group - group.mean()) / len(group)) ** 2).sum() for group in (first, second))
    assert found.std_error == pytest.approx((spread * 50 / 49) ** 0.5, rel=1e-12)
