import numpy as np
import pytest

from assay.manifests.errors import InvalidInput
from assay.stats.designs import estimates, paired
from assay.stats.samples.columns import from_wide
from tests.stats.golden import golden

# Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score without continuity correction)
NEWCOMBE = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}


@pytest.mark.parametrize(("counts", "expected"), NEWCOMBE.items())
def test_wilson_interval_agrees_with_newcombe(counts, expected):
    assert estimates.wilson_interval(*counts, alpha=0.05) == pytest.approx(expected, abs=5e-5)


def test_wilson_interval_ends_at_the_ends():
    assert estimates.wilson_interval(0, 20, alpha=0.05)[0] == 0.0
    assert estimates.wilson_interval(20, 20, alpha=0.05)[1] == 1.0


def test_mean_interval_agrees_with_r():
    # R: t.test(extra ~ 1, data = sleep): mean 1.54, 95 percent confidence interval 0.5955845 2.4844155, df = 19
    sleep = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0, 1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    std_error = np.std(sleep, ddof=1) / np.sqrt(20)
    low, high = estimates.mean_interval(float(np.mean(sleep)), float(std_error), 19, 0.05)
    assert (low, high) == pytest.approx((0.5955845, 2.4844155), abs=1e-6)


def test_cluster_interval_agrees_with_sandwich():
    case = golden("clusters")
    samples = from_wide(("a",), np.arange(len(case["scores"])), [case["scores"]], cluster=case["clusters"])
    (found,) = estimates.arm_estimates(paired.measured_arms(samples, control=0), alpha=0.05, is_binary=False)
    assert found.method == "t_cr1"
    assert (found.ci_low, found.ci_high) == pytest.approx((case["low"], case["high"]), rel=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimates.wilson_interval(21, 20, alpha=0.05), "0 to num_rows = 20"),
        (lambda: estimates.wilson_interval(1, 20, alpha=5), "below 1"),
        (lambda: estimates.mean_interval(1.0, float("nan"), 5, 0.05), "standard error"),
        (lambda: estimates.mean_interval(1.0, 0.1, 0, 0.05), "at least two rows"),
    ],
)
def test_what_has_no_interval_is_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
