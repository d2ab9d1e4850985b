import numpy as np
import pytest

from assay.stats.errors import SamplesError
from assay.stats.guardrails import sum_ratio
from assay.stats.moments.moments import moments_of
from assay.stats.omnibus import repeated_measures


def test_linearised_scores_have_the_ratio_as_mean_and_the_delta_variance():
    rng = np.random.default_rng(1)
    x = rng.integers(1, 30, size=(500, 2)).astype(float)
    y = rng.binomial(x.astype(int), 0.1).astype(float)
    scores = sum_ratio.linearised(y, x)
    ratios = y.sum(axis=0) / x.sum(axis=0)
    assert scores.mean(axis=0) == pytest.approx(ratios, rel=1e-12)
    for arm in range(2):
        covariance = np.cov(y[:, arm], x[:, arm])
        r = ratios[arm]
        # Deng, Knoblich & Lu 2018, equation 4
        delta = (covariance[0, 0] - 2 * r * covariance[0, 1] + r**2 * covariance[1, 1]) / (500 * x[:, arm].mean() ** 2)
        assert scores[:, arm].var(ddof=1) / 500 == pytest.approx(delta, rel=1e-10)


def test_the_primary_path_holds_its_level_on_ratios():
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(500):
        words = rng.integers(3, 25, size=150)
        hard = rng.uniform(0.05, 0.3, size=150)
        wrong = np.stack([rng.binomial(words, hard) for _ in range(3)], axis=1)
        said = np.repeat(words[:, None], 3, axis=1)
        found = repeated_measures.rm_anova(
            moments_of(sum_ratio.linearised(wrong, said), arms=("a", "b", "c"), control=0)
        )
        rejected += found.p_value_corrected < 0.05
    assert 0.02 < rejected / 500 < 0.09


def test_fieller_agrees_with_its_definition():
    """The ends are the ratios at which mean(y - r x) is just significant."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(2, 1, 40), rng.normal(1, 1, 40)
    for end in sum_ratio.fieller_interval(y, x, alpha=0.05):
        rest = y - end * x
        t = rest.mean() / (rest.std(ddof=1) / np.sqrt(40))
        assert abs(t) == pytest.approx(2.022690920, abs=1e-6)  # R: qt(0.975, 39)


def test_fieller_has_no_interval_where_the_denominator_may_be_zero():
    assert sum_ratio.fieller_interval([1.0, 2.0, 3.0], [1.0, -1.0, 0.5], alpha=0.05) is None


def test_undefined_ratios_are_refused():
    with pytest.raises(SamplesError, match="add up to 0"):
        sum_ratio.linearised([[1.0, 1.0]], [[1.0, 0.0]])
    with pytest.raises(SamplesError, match="denominator"):
        sum_ratio.linearised([[1.0]], [[np.nan]])
