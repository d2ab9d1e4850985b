"""Drift statistics compared with SciPy, or with values computed by hand."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from assay.evaluator.data.profile.quantiles import Distribution
from assay.evaluator.data.versions import drift_statistics


def distribution(values) -> Distribution:
    return Distribution(np.sort(values).astype(float), np.ones(len(values), np.int64))


@pytest.mark.parametrize("sizes", [(1, 1), (10, 7), (500, 900), (5000, 4000)])
@pytest.mark.parametrize("decimals", [0, 1, 12])  # ties, many and none
def test_kolmogorov_smirnov_is_scipys(sizes, decimals):
    random = np.random.default_rng(sizes)
    first, second = random.normal(size=sizes[0]).round(decimals), random.normal(0.3, 2, sizes[1]).round(decimals)
    expected = stats.ks_2samp(first, second, method="asymp").statistic
    assert drift_statistics.kolmogorov_smirnov(distribution(first), distribution(second)) == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize(
    ("earlier", "later"), [([5, 5], [5, 5]), ([10, 0], [0, 10]), ([3, 0, 7], [1, 1, 1]), ([90, 9, 1], [10, 20, 900])]
)
def test_jensen_shannon_is_scipys(earlier, later):
    expected = distance.jensenshannon(earlier, later, base=2) ** 2
    assert drift_statistics.jensen_shannon(np.array(earlier), np.array(later)) == pytest.approx(expected, abs=1e-12)


def test_psi_is_what_a_hand_computes():
    # Fractions 0.5, 0.3, 0.2 against 0.4, 0.4, 0.2, by the formula of Siddiqi 2006, "Credit Risk Scorecards", ch. 8:
    # (0.4 - 0.5) ln(0.4 / 0.5) + (0.4 - 0.3) ln(0.4 / 0.3) + 0 = 0.1 * 0.2231436 + 0.1 * 0.2876821 = 0.0510826
    assert drift_statistics.psi(np.array([50, 30, 20]), np.array([80, 80, 40])) == pytest.approx(0.0510826, abs=1e-7)
    # It is the sum of both Kullback-Leibler divergences, which SciPy has as `entropy`.
    p, q = np.array([5, 60, 35]), np.array([20, 30, 50])
    assert drift_statistics.psi(p, q) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))


def test_a_cell_that_is_empty_counts_as_half_a_row():
    assert drift_statistics.psi(np.array([100, 0]), np.array([90, 10])) == pytest.approx(
        (0.9 - 1) * np.log(0.9 / 1) + (0.1 - 0.005) * np.log(0.1 / 0.005)
    )


def test_l_infinity_is_the_largest_difference_of_fractions():
    assert drift_statistics.l_infinity(np.array([50, 50, 0]), np.array([10, 5, 5])) == pytest.approx(0.25)


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 50, 1000])
@pytest.mark.parametrize("probability", [0.95, 0.999])
def test_quantiles_of_chi_squared_are_scipys(degrees, probability):
    found = drift_statistics.chi_squared_quantile(probability, degrees=degrees)
    assert found == pytest.approx(stats.chi2.ppf(probability, degrees), rel=0.02)
