"""Calibration: with permuted arms, promotions are no more frequent than alpha, whether the arms differ or not."""

import numpy as np
import pytest

from assay.stats.errors import SamplesError
from assay.stats.gate import calibration
from assay.stats.gate.evidence import ArmEvidence
from assay.stats.guardrails.metric_check import MetricCheck
from tests.stats.plans import IMPROVEMENT, NON_INFERIORITY, correlated, differing, holding, plan, samples_of

NUM = 100


def rates(samples, planned, policy=IMPROVEMENT, *, guardrails=(), num_permutations=NUM):
    found = calibration.calibrated(
        samples, guardrails, planned, policy, num_permutations=num_permutations, seed=3, evidence=ArmEvidence()
    )
    return {each.multiple: each for each in found}


def binary(num_rows=400):
    return samples_of((correlated(num_rows, [1.0, 1.0, 1.5], seed=5) > 0).astype(float))


# Three standard errors of a rate of 0.05 over 100 replicates are 0.065.
@pytest.mark.parametrize(
    ("samples", "scale"),
    [
        (samples_of(correlated(200, [0.0, 0.3, -0.3])), "continuous"),
        pytest.param(binary(), "binary", marks=pytest.mark.extended),
    ],
)
@pytest.mark.parametrize("minimum_effect", [0.0, pytest.param(0.02, marks=pytest.mark.extended)])
def test_no_difference_is_rarely_promoted_and_twice_the_detectable_one_nearly_always(samples, scale, minimum_effect):
    found = rates(samples, plan(scale=scale, minimum_effect=minimum_effect))
    assert found[None].false_promote <= 0.05 + 0.065
    assert found[2.0].promote >= 0.95
    assert 0.6 < found[1.0].promote < 0.97  # about 0.8, by the definition of the minimum detectable effect
    assert found[-2.0].reject >= 0.95
    assert (0.0 in found) == (minimum_effect > 0)
    for each in found.values():
        assert each.false_promote <= 0.05 + 0.065
        assert each.false_reject <= 0.05 + 0.065
    assert all(each.promote + each.hold + each.reject == pytest.approx(1) for each in found.values() if each.multiple)


def test_at_the_margin_of_non_inferiority_promotions_are_false():
    found = rates(samples_of(correlated(200, [0.0, 0.0])), plan(margins={"a": 0.2}), NON_INFERIORITY)
    assert found[0.0].effect == pytest.approx(-0.2)
    assert found[0.0].promote == found[0.0].false_promote <= 0.05 + 0.065
    assert found[2.0].promote >= 0.95


def test_what_guardrails_hold_back_is_told_apart():
    guard = MetricCheck("guard", "higher", "continuous", 0.01, differing(0.0, num_rows=200, seed=9))
    planned = plan(guardrails=holding("guard", margin=0.01))
    found = rates(differing(0.0, num_rows=200), planned, guardrails=[guard], num_permutations=40)
    assert found[2.0].promote < 0.2
    assert found[2.0].held_by_guardrails > 0.8


def test_the_same_seed_gives_the_same_rates():
    samples = differing(0.1, num_rows=100)
    assert rates(samples, plan(), num_permutations=20) == rates(samples, plan(), num_permutations=20)


def test_rows_of_a_cluster_are_permuted_together():
    """Clusters of ten equal rows: permuted row by row, they would look independent and too certain."""
    rows = np.repeat(correlated(30, [0.0, 0.0], seed=2), 10, axis=0)
    samples = samples_of(rows, cluster=np.repeat(np.arange(30), 10))
    order_RA = calibration._orders(samples, np.random.default_rng(0))
    assert all(len(np.unique(order_RA[block : block + 10], axis=0)) == 1 for block in range(0, 300, 10))
    assert len(np.unique(order_RA, axis=0)) == 2


def test_one_arm_cannot_be_permuted():
    with pytest.raises(SamplesError, match="the run has no variant, so there are no arms to permute"):
        rates(differing(), plan())
