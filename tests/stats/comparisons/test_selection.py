import numpy as np
import pytest
from scipy import stats

from assay.manifests.errors import InvalidInput
from assay.stats.comparisons import selection


def drawn(means, *, correlation, num_sets, seed):
    means = np.asarray(means, dtype=float)
    covariance = np.full((len(means), len(means)), correlation) + (1 - correlation) * np.eye(len(means))
    draws = np.random.default_rng(seed).multivariate_normal(means, covariance, size=num_sets)
    return means, covariance, draws


def best_of(estimates, covariance):
    return selection.best_of(estimates, covariance, alpha=0.05)


def corrected_best(estimates, covariance):
    return best_of(estimates, covariance).corrected


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("means", [[0, 0], [0] * 10, [0, 0, 0, 0, 2], list(np.linspace(0, 2, 8))])
def test_the_corrected_estimate_is_median_unbiased_and_its_interval_covers(means, correlation):
    true, covariance, draws = drawn(means, correlation=correlation, num_sets=800, seed=1)
    found = [best_of(draw, covariance) for draw in draws]
    target = np.array([true[each.index] for each in found])
    raw = np.array([each.estimate for each in found])
    corrected = np.array([each.corrected for each in found])
    covers = np.array([each.ci_low <= value <= each.ci_high for each, value in zip(found, target, strict=True)])
    assert abs((corrected > target).mean() - 0.5) < 0.06
    assert 0.925 < covers.mean() < 0.98
    assert abs(np.median(corrected - target)) < 0.6 * abs(np.median(raw - target)) + 0.08
    assert abs((corrected - target).mean()) < (raw - target).mean() + 0.08  # the correction does not overshoot


def test_a_clear_winner_is_left_alone():
    _, covariance, _ = drawn([0, 0, 0], correlation=0.5, num_sets=1, seed=0)
    found = best_of(np.array([0.0, 9.0, 0.5]), covariance)
    assert found.index == 1
    assert found.corrected == pytest.approx(9.0, abs=1e-6)
    # the level without the share of the projection, 1 - (0.05 - 0.005) / 0.995, is close enough to 95 %
    half = stats.norm.isf(0.045 / 0.995 / 2)
    assert found.ci_high - found.corrected == pytest.approx(half, abs=0.05)


def test_a_narrow_lead_is_corrected_more_than_a_wide_one():
    covariance = np.eye(2)
    shrinkage = [lead - corrected_best(np.array([0.0, lead]), covariance) for lead in (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)]
    assert shrinkage == sorted(shrinkage, reverse=True)
    assert shrinkage[-1] < 1e-3


def test_units_do_not_matter():
    estimates, covariance = np.array([0.1, 0.4, 0.3]), np.eye(3) * 0.04 + 0.01
    found = corrected_best(estimates, covariance)
    for unit in (1e-151, 1e-6, 1e150):
        in_unit = corrected_best(estimates * unit, covariance * unit**2)
        assert in_unit / unit == pytest.approx(found, rel=1e-9)
    assert corrected_best(estimates + 5, covariance) == pytest.approx(found + 5, rel=1e-9)


def test_alone_or_without_variance_there_is_nothing_to_correct():
    assert corrected_best(np.array([0.3]), np.array([[0.01]])) == pytest.approx(0.3)
    found = best_of(np.array([0.3, 0.1]), np.zeros((2, 2)))
    assert (found.corrected, found.ci_low, found.ci_high) == (0.3, 0.3, 0.3)


def test_clones_of_the_winner_do_not_count_against_it():
    covariance = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    with_clone = corrected_best(np.array([2.0, 2.0, 0.0]), covariance)
    alone = corrected_best(np.array([2.0, 0.0]), covariance[1:, 1:])
    assert with_clone == pytest.approx(alone, abs=0.02)  # only the projection interval is a little wider


def test_estimates_that_are_no_numbers_are_refused():
    with pytest.raises(InvalidInput, match="finite"):
        best_of(np.array([np.nan, 1.0]), np.eye(2))


@pytest.mark.parametrize(
    "covariance",
    [
        np.eye(2),
        np.array([[1.0, 2.0], [2.0, 5.0]]),  # the other estimate varies more than the best and is correlated with it
    ],
)
def test_an_exact_tie_is_corrected_as_one_that_is_all_but_exact(covariance):
    tie = best_of(np.array([0.3, 0.3]), covariance)
    nearly = best_of(np.array([0.3, 0.3 - 1e-14]), covariance)
    assert (tie.index, tie.corrected) == (0, pytest.approx(nearly.corrected, abs=1e-3))
    assert tie.ci_low <= tie.corrected <= tie.ci_high
