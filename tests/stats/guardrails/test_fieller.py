import numpy as np
import pytest

from assay.stats.guardrails import fieller


def test_fieller_agrees_with_its_definition():
    """The ends are the ratios at which mean(y - r x) is just significant."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(2, 1, 40), rng.normal(1, 1, 40)
    for end in fieller.fieller_interval(y, x, alpha=0.05):
        rest = y - end * x
        t = rest.mean() / (rest.std(ddof=1) / np.sqrt(40))
        assert abs(t) == pytest.approx(2.022690920, abs=1e-6)  # R: qt(0.975, 39)


def test_fieller_has_no_interval_where_the_denominator_may_be_zero():
    assert fieller.fieller_interval([1.0, 2.0, 3.0], [1.0, -1.0, 0.5], alpha=0.05) is None
