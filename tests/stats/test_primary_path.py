"""The primary path: paired samples, one family, simultaneous intervals, the gate."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from scipy import stats as scipy_stats

from assay.manifests import Plan, Policy
from assay.stats import analysis
from assay.stats.gate import decide
from assay.stats.gate.evidence import ArmEvidence
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.moments.moments import blocks_of, moments_of
from assay.stats.samples.samples import Samples
from tests.stats.plans import holding

POLICY = Policy(kind="Policy", version=1)


def plan(**changes) -> Plan:
    return Plan.model_validate({"kind": "Plan", "version": 1, "control": "control", **changes})


def samples(scores_RA, arms=None) -> Samples:
    scores_RA = np.asarray(scores_RA, dtype=np.float64)
    names = arms or ("control", *(f"arm-{index}" for index in range(1, scores_RA.shape[1])))
    return Samples(arms=tuple(names), kept_RA=scores_RA, row_ids=np.arange(len(scores_RA)))


def correlated(num_rows, gains, *, seed=5, shared=2.0):
    generator = np.random.default_rng(seed)
    noise_RA = generator.normal(size=(num_rows, len(gains))) + shared * generator.normal(size=(num_rows, 1))
    return noise_RA + np.asarray(gains)


def test_two_arms_give_the_paired_t_test_of_scipy():
    scores_RA = correlated(80, [0.0, 0.4])
    found = analysis.analyze(samples(scores_RA), plan()).against_control("arm-1")
    expected = scipy_stats.ttest_rel(scores_RA[:, 1], scores_RA[:, 0])
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert (found.statistic, found.p_adjusted) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_independent_differences_of_one_control_are_dunnetts():
    # Dunnett (1955, JASA 50:1096), table 1: two-sided 5 %, 4 treatments, correlation 1/2, infinitely many degrees of
    # freedom: 2.44.
    scores_RA = correlated(200_000, [0.0] * 5, shared=0.0)
    found = analysis.analyze(samples(scores_RA), plan())
    assert found.power.critical == pytest.approx(2.44, abs=0.005)


def test_moments_are_those_of_numpy_and_the_same_bits_however_rows_are_cut():
    scores_RA = correlated(50_000, [0.0, 0.01, 0.02])
    arms = ("control", "a", "b")
    whole = moments_of(scores_RA, arms=arms, control=0)
    assert np.allclose(whole.mean_D, (scores_RA[:, 1:] - scores_RA[:, :1]).mean(axis=0), rtol=1e-9)
    assert np.allclose(whole.covariance_AA, np.cov(scores_RA.T), rtol=1e-10)
    for cuts in ([17], [8191, 8193], list(range(1000, 50_000, 1000))):
        parts = [
            blocks_of(part, first_row=first, arms=arms, control=0)
            for first, part in zip([0, *cuts], np.split(scores_RA, cuts), strict=True)
        ]
        total = reduce(add, parts).total()
        assert total.offset_Y.tobytes() == whole.offset_Y.tobytes()
        assert total.comoments_YY.tobytes() == whole.comoments_YY.tobytes()


def test_identical_arms_have_no_difference_an_interval_of_zero_and_a_warning():
    scores_RA = correlated(100, [0.0, 0.0, 0.5])
    scores_RA[:, 1] = scores_RA[:, 0]
    found = analysis.analyze(samples(scores_RA), plan())
    same = found.against_control("arm-1")
    assert same is not None
    assert (same.estimate, same.ci_low, same.ci_high, same.p_adjusted) == (0, 0, 0, 1)
    assert any("same score" in warning for warning in found.warnings)


def test_a_constant_difference_gets_no_p_value():
    control_R = np.arange(40.0)
    found = analysis.analyze(samples(np.stack([control_R, control_R + 1.5], axis=1)), plan()).against_control("arm-1")
    assert found is not None
    assert found.estimate == 1.5
    assert found.p_adjusted is None
    assert found.degenerate == "constant_difference"


@pytest.mark.extended
def test_family_wise_error_is_held_where_no_arm_differs():
    false_alarms = sum(
        any(
            each.p_adjusted is not None and each.p_adjusted < 0.05
            for each in analysis.analyze(samples(correlated(60, [0.0] * 5, seed=seed)), plan()).comparisons
        )
        for seed in range(200)
    )
    # Binomial(200, 0.05): 99.9 % of the time between 2 and 21.
    assert 2 <= false_alarms <= 21


@pytest.mark.parametrize(
    ("gain", "guard_loss", "expected"),
    [
        (0.5, 0.0, "promote"),
        (-0.5, 0.0, "reject"),
        (0.0, 0.0, "hold"),
        (0.5, 3.0, "reject"),  # better, but a guardrail is breached
        (0.5, 0.5, "hold"),  # better, but the guardrail's interval extends beyond its margin
    ],
)
def test_the_gate_decides_by_intervals(gain, guard_loss, expected):
    primary = samples(correlated(400, [0.0, gain]))
    guard = samples(correlated(400, [0.0, guard_loss], seed=6))
    margined = plan(guardrails=holding("loss"))
    guardrail = MetricCheck(metric="loss", direction="lower", scale="continuous", margin=0.5, samples=guard)
    found = analysis.analyze(primary, margined, guardrails=(guardrail,))
    (decision,) = decide.decide(found, POLICY, margined)
    assert decision.decision == expected
    assert decision.reasons
    (explored,) = decide.decide(found.model_copy(update={"exploratory": True}), POLICY, margined)
    assert explored.decision != "promote"


def test_an_arm_that_could_not_be_measured_is_held_and_says_so():
    found = analysis.analyze(samples(correlated(400, [0.0, 0.5])), plan())
    decisions = {
        each.arm: each for each in decide.decide(found, POLICY, plan(), ArmEvidence(failed={"lost": "no such weights"}))
    }
    assert decisions["lost"].decision == "hold"
    assert "no such weights" in decisions["lost"].reasons[0]
