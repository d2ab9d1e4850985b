"""Missing scores: the plan's rule, how missingness differs between arms, and how much it could matter."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from assay.stats import analysis
from assay.stats.errors import SamplesError
from assay.stats.samples.columns import from_long
from tests.stats.plans import correlated, plan, samples_of


def _holed():
    scores = correlated(200, [0, 0.2, 0.1])
    scores[3:13, 1] = np.nan
    scores[10:15, 0] = np.nan
    return scores


def test_missing_scores_are_refused_by_row():
    with pytest.raises(SamplesError, match=r"'control' has no score for 5 of 200 rows: 10, 11, 12, 13, 14 \(2 arms"):
        analysis.analyze(samples_of(_holed()), plan())


def test_more_rows_than_can_be_named_are_cut():
    scores = correlated(200, [0, 0.2])
    scores[:100, 1] = np.nan
    with pytest.raises(SamplesError, match=r"100 of 200 rows: 0, 1, 2, 3, 4, \.\.\."):
        analysis.analyze(samples_of(scores), plan())


def test_listwise_takes_a_row_out_of_every_arm_and_counts():
    scores = _holed()
    found = analysis.analyze(samples_of(scores), plan(missing="listwise"))
    whole = ~np.isnan(scores).any(axis=1)
    assert found.num_rows == whole.sum() == 188
    assert found.arms[2].mean == pytest.approx(scores[whole, 2].mean())
    assert found.missing is not None
    assert (found.missing.num_rows_given, found.missing.num_rows_left_out) == (200, 12)
    assert [arm.num_missing for arm in found.arms] == [5, 10, 0]
    assert "12 of 200 rows lack a score" in found.warnings[0]


@pytest.mark.parametrize(("direction", "worst"), [("higher", "min"), ("lower", "max")])
def test_worst_takes_the_worst_score_of_any_arm(direction, worst):
    scores = _holed()
    found = analysis.analyze(samples_of(scores), plan(missing="worst", direction=direction))
    value = getattr(np, f"nan{worst}")(scores)
    assert found.num_rows == 200
    assert found.missing is not None
    assert found.missing.worst_score == value
    assert found.arms[1].mean == pytest.approx(np.where(np.isnan(scores), value, scores)[:, 1].mean())


@pytest.mark.parametrize(("direction", "worst"), [("higher", 0), ("lower", 1)])
def test_worst_of_a_binary_score_is_a_wrong_answer(direction, worst):
    scores = np.ones((50, 2)) if direction == "higher" else np.zeros((50, 2))  # no arm was wrong
    scores[:3, 1] = np.nan
    found = analysis.analyze(samples_of(scores), plan(missing="worst", scale="binary", direction=direction))
    assert found.missing is not None
    assert found.missing.worst_score == worst
    assert abs(found.comparisons[0].estimate or 0) == pytest.approx(3 / 50)


def test_bounds_are_those_of_the_most_and_least_favourable_scores():
    scores = (np.random.default_rng(0).random((100, 2)) < 0.7).astype(float)
    scores[:4, 1] = np.nan
    scores[2:9, 0] = np.nan
    found = analysis.analyze(samples_of(scores), plan(missing="listwise", scale="binary"))
    assert found.missing is not None
    bounds = found.missing.arms[1]
    low = np.where(np.isnan(scores[:, 1]), 0, scores[:, 1]) - np.where(np.isnan(scores[:, 0]), 1, scores[:, 0])
    high = np.where(np.isnan(scores[:, 1]), 1, scores[:, 1]) - np.where(np.isnan(scores[:, 0]), 0, scores[:, 0])
    assert (bounds.estimate_low, bounds.estimate_high) == pytest.approx((low.mean(), high.mean()))


def test_arms_that_lack_other_rows_than_the_control_are_told():
    scores = correlated(200, [0, 0.2, 0.1])
    scores[:15, 1] = np.nan
    found = analysis.analyze(samples_of(scores), plan(missing="listwise"))
    assert found.missing is not None
    control, a, b = found.missing.arms
    exact = mcnemar([[0, 15], [0, 185]], exact=True).pvalue  # mid-p: minus half the probability of the observed table
    assert a.p_value == pytest.approx(2 * (exact - 0.5**15))
    assert (control.p_value, b.p_value) == (None, 1.0)
    assert any("not missing at random" in warning for warning in found.warnings)


def test_an_arm_without_any_score_is_refused_under_every_rule():
    scores = correlated(20, [0, 0])
    scores[:, 1] = np.nan
    with pytest.raises(SamplesError, match="arm 'a' has no score at all"):
        analysis.analyze(samples_of(scores), plan(missing="listwise"))


def test_no_common_row_is_refused():
    samples = from_long(["control"] * 3 + ["a"] * 3, [1, 2, 3, 4, 5, 6], range(6))
    with pytest.raises(SamplesError, match="none of the 6 rows has a score in every arm"):
        analysis.analyze(samples, plan(missing="listwise"))


def test_arms_on_other_rows_are_refused_not_intersected():
    samples = from_long(["control"] * 3 + ["a"] * 3, [1, 2, 3, 2, 3, 4], range(6))
    with pytest.raises(SamplesError, match="arm 'a' has no score for 1 of 4 rows: 1 "):
        analysis.analyze(samples, plan())


def _unpaired(scores):
    arms = ["control"] * 5 + ["a"] * 5
    return from_long(arms, None, scores)


@pytest.mark.parametrize(("rule", "means", "num_rows"), [("listwise", [3.0, 5.5], 9), ("worst", [3.0, 4.6], 10)])
def test_unpaired_missing_scores_follow_the_rule(rule, means, num_rows):
    samples = _unpaired([1, 2, 3, 4, 5, None, 4, 5, 6, 7])
    found = analysis.analyze(samples, plan(design="unpaired", missing=rule, columns={"row": None}))
    assert [arm.mean for arm in found.arms if arm.arm == "control"] == [3.0]
    assert sorted(arm.mean or 0 for arm in found.arms) == pytest.approx(means)
    assert found.num_rows == num_rows
    assert {arm.arm: arm.num_missing for arm in found.arms} == {"control": 0, "a": 1}


def test_unpaired_missing_scores_are_refused():
    with pytest.raises(SamplesError, match="1 lines of arm 'a' have no score"):
        analysis.analyze(_unpaired([1, 2, 3, 4, 5, None, 4, 5, 6, 7]), plan(design="unpaired", columns={"row": None}))
