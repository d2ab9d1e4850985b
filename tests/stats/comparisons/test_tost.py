import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from assay.manifests.errors import InvalidInput
from assay.stats.comparisons import tost

RNG = np.random.default_rng(1)
A, B = RNG.normal(size=40) + 0.05, RNG.normal(size=55)


def summary(difference):
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference))), len(difference) - 1


def test_paired_equivalence_agrees_with_statsmodels():
    difference = A - B[:40]
    found = tost.tost_paired(*summary(difference), margin=0.6)
    p_value, (_, p_above, _), (_, p_below, _) = ttost_paired(A, B[:40], -0.6, 0.6)
    assert (found.p_value, found.p_above, found.p_below) == pytest.approx((p_value, p_above, p_below))
    interval = stats.ttest_rel(A, B[:40]).confidence_interval(0.9)
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high))


def test_unpaired_equivalence_agrees_with_statsmodels():
    found = tost.tost_unpaired(A, B, margin=0.5)
    assert found.p_value == pytest.approx(ttost_ind(A, B, -0.5, 0.5, usevar="unequal")[0])
    interval = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.9)
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("estimate", [-0.5, -0.2, 0.0, 0.31, 0.33, 1.0])
def test_the_verdict_is_that_of_the_interval(estimate):
    found = tost.tost_paired(estimate, 0.1, 50, margin=0.5)
    assert found.equivalent == (found.ci_low > -0.5 and found.ci_high < 0.5)


def test_what_does_not_vary_is_known():
    assert tost.tost_paired(0.0, 0.0, 10, margin=0.1).equivalent
    assert not tost.tost_paired(0.1, 0.0, 10, margin=0.1).equivalent
    assert tost.tost_unpaired([1.0, 1.0], [1.05, 1.05], margin=0.1).equivalent


REFUSED = {
    "no margin": lambda: tost.tost_paired(0.0, 0.1, 10, margin=0.0),
    "alpha one half": lambda: tost.tost_paired(0.0, 0.1, 10, margin=0.1, alpha=0.5),
    "no standard error": lambda: tost.tost_paired(0.0, float("nan"), 10, margin=0.1),
    "one score": lambda: tost.tost_unpaired([1.0], [1.0, 2.0], margin=0.1),
    "a missing score": lambda: tost.tost_unpaired([1.0, np.nan], [1.0, 2.0], margin=0.1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused(name):
    with pytest.raises(InvalidInput):
        REFUSED[name]()
