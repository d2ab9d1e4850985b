"""Segments: the interaction, and each segment by itself with Benjamini-Hochberg."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from assay.stats import analysis
from assay.stats.designs.segments import _welch_james
from assay.stats.errors import SamplesError
from assay.stats.samples.columns import from_wide
from tests.stats.plans import plan

NUM_ROWS = 300


def _samples(gains, *, num_arms=2, clusters=None, seed=0, sizes=None):
    rng = np.random.default_rng(seed)
    segments = np.repeat([f"s{index}" for index in range(len(gains))], sizes or [NUM_ROWS] * len(gains))
    num_rows = len(segments)
    scores = rng.normal(size=(num_rows, 1)) + 0.7 * rng.normal(size=(num_rows, num_arms))
    for index, gain in enumerate(gains):
        scores[segments == f"s{index}", 1] += gain
    arms = ("control", "a", "b", "c")[:num_arms]
    cluster = None if clusters is None else rng.integers(0, clusters, size=num_rows)
    return from_wide(arms, np.arange(num_rows), scores, segment=segments, cluster=cluster)


def _analyze(samples, **columns):
    return analysis.analyze(samples, plan(columns={"segment": "s", **columns}))


def test_with_one_variant_the_interaction_is_welchs_anova_of_the_differences():
    """R 4.2.2: oneway.test((mpg - qsec) ~ cyl, mtcars): F = 14.1200828789 on 2 and 15.994540507, p = 0.000293004939431.

    Segments below 30 rows are not compared, so the 11, 7 and 14 cars are taken through the same function directly.
    """
    differences = {}
    differences[4] = [
        22.8 - 18.61,
        24.4 - 20,
        22.8 - 22.9,
        32.4 - 19.47,
        30.4 - 18.52,
        33.9 - 19.9,
        21.5 - 20.01,
        27.3 - 18.9,
        26 - 16.7,
        30.4 - 16.9,
        21.4 - 18.6,
    ]
    differences[6] = [21 - 16.46, 21 - 17.02, 21.4 - 19.44, 18.1 - 20.22, 19.2 - 18.3, 17.8 - 18.9, 19.7 - 15.5]
    differences[8] = [
        18.7 - 17.02,
        14.3 - 15.84,
        16.4 - 17.4,
        17.3 - 17.6,
        15.2 - 18,
        10.4 - 17.98,
        10.4 - 17.82,
        14.7 - 17.42,
        15.5 - 16.87,
        15.2 - 17.3,
        13.3 - 15.41,
        19.2 - 17.05,
        15.8 - 14.5,
        15 - 14.6,
    ]
    groups = [np.array(values) for values in differences.values()]
    found = _welch_james(
        np.array([[group.mean()] for group in groups]),
        np.array([[[group.var(ddof=1) / len(group)]] for group in groups]),
        np.array([len(group) - 1.0 for group in groups]),
    )
    assert found.statistic == pytest.approx(14.1200828789, rel=1e-9)
    assert (found.df_numerator, found.df_denominator) == pytest.approx((2, 15.994540507), rel=1e-9)
    assert found.p_value == pytest.approx(0.000293004939431, rel=1e-8)


def test_an_interaction_is_found_and_segments_are_told_apart():
    found = _analyze(_samples([0.0, 0.5, 0.0]))
    assert found.interaction is not None
    assert found.interaction.p_value is not None
    assert found.interaction.p_value < 1e-6
    assert [segment.comparisons[0].p_adjusted < 0.05 for segment in found.segments] == [False, True, False]


def test_the_interaction_holds_its_level_for_several_arms_of_unequal_segments():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(1000):
        groups = [
            scale * rng.normal(size=(size, 3)) @ rng.normal(size=(3, 3)) for size, scale in ((31, 3), (60, 1), (90, 2))
        ]
        found = _welch_james(
            np.stack([group.mean(axis=0) for group in groups]),
            np.stack([np.cov(group.T) / len(group) for group in groups]),
            np.array([len(group) - 1.0 for group in groups]),
        )
        p_values.append(found.p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 1000) ** 0.5)


@pytest.mark.extended
def test_with_clusters_the_interaction_holds_its_level():
    p_values = []
    for seed in range(200):
        found = _analyze(_samples([0.0, 0.0], clusters=40, seed=seed), cluster="c")
        assert found.interaction is not None
        assert found.interaction.test == "interaction_cluster_wald"
        p_values.append(found.interaction.p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_p_values_are_adjusted_by_benjamini_hochberg_over_all_segments():
    found = _analyze(_samples([0.05, 0.1, 0.0, 0.2], num_arms=3))
    comparisons = [each for segment in found.segments for each in segment.comparisons]
    alone = [each.p_value for each in comparisons]
    assert len(alone) == 8
    np.testing.assert_allclose([each.p_adjusted for each in comparisons], stats.false_discovery_control(alone))
    inside = _samples([0.05, 0.1, 0.0, 0.2], num_arms=3).scores_RA[:NUM_ROWS]
    assert alone[0] == pytest.approx(stats.ttest_rel(inside[:, 1], inside[:, 0]).pvalue)


def test_a_small_segment_is_named_and_not_compared():
    found = _analyze(_samples([0.0, 0.0, 0.0], sizes=[29, 30, 50]))
    small, enough, _ = found.segments
    assert small.comparisons == ()
    assert small.not_testable == "29 rows; comparisons need at least 30"
    assert enough.comparisons
    assert any(each.what == "segment" and each.name == "s0" for each in found.not_testable)


def test_a_segment_that_missing_scores_emptied_is_still_named():
    samples = _samples([0.0, 0.0, 0.0])
    samples.scores_RA[:NUM_ROWS, 1] = np.nan
    found = analysis.analyze(samples, plan(missing="listwise", columns={"segment": "s"}))
    assert [segment.segment for segment in found.segments] == ["s0", "s1", "s2"]
    assert found.segments[0].not_testable == "0 rows; comparisons need at least 30"


def test_one_segment_has_no_interaction():
    found = _analyze(_samples([0.0]))
    assert found.interaction is not None
    assert found.interaction.p_value is None
    assert found.interaction.not_testable is not None


def test_an_id_is_no_segment():
    samples = from_wide(("control", "a"), np.arange(1001), np.zeros((1001, 2)), segment=np.arange(1001))
    with pytest.raises(SamplesError, match="at most 1000 segments"):
        _analyze(samples)


def test_a_variant_identical_in_one_segment_makes_the_interaction_untestable_not_significant():
    samples = _samples([0.0, 0.3])
    samples.scores_RA[:NUM_ROWS, 1] = samples.scores_RA[:NUM_ROWS, 0]
    found = _analyze(samples)
    assert found.interaction is not None
    assert found.interaction.p_value is None
    assert found.segments[0].comparisons[0].degenerate == "identical"


@pytest.mark.parametrize("cluster", [None, "c"])
@pytest.mark.parametrize("unit", [1e-140, 1e149])
def test_units_of_the_score_never_show(unit, cluster):
    samples = _samples([0.0, 0.2], num_arms=3, clusters=30)
    tested = [
        _analyze(replace(samples, kept_RA=samples.scores_RA * by), cluster=cluster).interaction for by in (1.0, unit)
    ]
    assert tested[1].p_value == pytest.approx(tested[0].p_value, rel=1e-9)
