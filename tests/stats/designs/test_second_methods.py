"""Second methods: when they are used, and the warning if they disagree."""

import numpy as np
import pytest
from scipy import stats

from assay.stats import analysis
from tests.stats.plans import correlated, plan, samples_of


def _methods(found):
    return [check.method for check in found.checks]


def test_plain_scores_of_many_rows_need_no_check():
    assert analysis.analyze(samples_of(correlated(100, [0, 0.2, 0])), plan()).checks == ()


def test_few_rows_are_checked_by_sign_flips():
    scores = correlated(12, [0, 0.9])
    found = analysis.analyze(samples_of(scores), plan())
    assert _methods(found) == ["sign_flip_max_t_exact"]
    exact = stats.permutation_test(
        (scores[:, 1] - scores[:, 0],),
        lambda x, axis: stats.ttest_1samp(x, 0, axis=axis).statistic,
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    assert found.checks[0].pairs[0].p_value == pytest.approx(exact)
    assert found.checks[0].reason == "12 rows, fewer than 30"


def test_one_heavy_row_is_checked_and_said_aloud():
    scores = correlated(60, [0, 0.0])
    scores[7, 1] += 40
    found = analysis.analyze(samples_of(scores), plan())
    assert _methods(found) == ["sign_flip_max_t"]
    assert any("the mean depends on few rows" in warning for warning in found.warnings)


def test_binary_families_by_max_t_are_checked_by_mcnemar():
    rng = np.random.default_rng(0)
    scores = (rng.random((400, 3)) < [0.5, 0.6, 0.7]).astype(float)
    found = analysis.analyze(samples_of(scores), plan(scale="binary"))
    assert found.comparisons[0].method == "max_t"
    assert _methods(found) == ["mcnemar_holm"]


def test_grades_are_checked_by_ranks():
    """A known trap: a variant loses a little on most rows and wins much on a few, so mean and ranks disagree."""
    rng = np.random.default_rng(0)
    control = rng.integers(2, 4, size=2000).astype(float)
    variant = np.where(rng.random(2000) < 0.3, control - 1, np.where(rng.random(2000) < 0.25, 6.0, control))
    found = analysis.analyze(samples_of(np.stack([control, variant], axis=1)), plan(scale="ordinal"))
    assert _methods(found) == ["wilcoxon_holm"]
    theirs = stats.wilcoxon(variant - control, zero_method="pratt", method="approx").pvalue
    assert found.checks[0].pairs[0].p_value == pytest.approx(theirs)


def test_few_clusters_are_checked_by_flipping_clusters():
    samples = samples_of(correlated(120, [0, 0.5]), cluster=np.repeat(np.arange(10), 12))
    found = analysis.analyze(samples, plan(columns={"cluster": "c"}))
    assert _methods(found) == ["sign_flip_max_t_exact"]
    p_value = found.checks[0].pairs[0].p_value
    assert p_value is not None
    assert p_value * 2**9 == pytest.approx(round(p_value * 2**9))


def test_a_check_that_disagrees_is_a_warning():
    rng = np.random.default_rng(3)
    scores = np.zeros((25, 2))
    scores[:, 1] = rng.normal(size=25) * 0.1 + 0.045
    scores[0, 1] = 3.0  # an outlier that hides the effect from the t-test but hardly from the ranks
    found = analysis.analyze(samples_of(scores), plan(scale="ordinal"))
    disagreeing = [check for check in found.checks if not check.agrees]
    assert [check.method for check in disagreeing] == ["wilcoxon_holm"]
    assert any("wilcoxon_holm disagrees with paired_t" in warning for warning in found.warnings)
