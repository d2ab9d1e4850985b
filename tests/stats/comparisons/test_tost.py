import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired

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
    assert (found.p_above, found.p_below) == pytest.approx((p_above, p_below))
    assert max(found.p_above, found.p_below) == pytest.approx(p_value)


def test_what_does_not_vary_is_known():
    within, on_the_margin = tost.tost_paired(0.0, 0.0, 10, margin=0.1), tost.tost_paired(0.1, 0.0, 10, margin=0.1)
    assert (within.p_above, within.p_below) == (0.0, 0.0)
    assert (on_the_margin.p_above, on_the_margin.p_below) == (0.0, 1.0)


REFUSED = {
    "no margin": lambda: tost.tost_paired(0.0, 0.1, 10, margin=0.0),
    "no standard error": lambda: tost.tost_paired(0.0, float("nan"), 10, margin=0.1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused(name):
    with pytest.raises(InvalidInput):
        REFUSED[name]()
