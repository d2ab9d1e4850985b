import itertools

import numpy as np
import pytest
from scipy import stats

from assay.stats.comparisons import randomisation
from assay.stats.moments.bootstrap_weights import row_keys

WORDS = {"control": "a", "family": "dunnett", "alpha": 0.05}


def flips(scores, keys=None, **words):
    keys = row_keys(np.arange(len(scores))) if keys is None else keys
    arms = "abcdefgh"[: scores.shape[1]]
    return randomisation.sign_flip_max_t(scores, arms=arms, keys_R=keys, **{**WORDS, **words})


def test_few_rows_are_flipped_in_all_ways():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(9, 2)) + np.array([0, 0.6])
    (found,) = flips(scores)
    exact = stats.permutation_test(
        (scores[:, 1] - scores[:, 0],),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=10_000,
    )
    assert found.method == "sign_flip_max_t_exact"
    assert found.p_adjusted == pytest.approx(exact.pvalue)
    assert found.p_value == found.p_adjusted


def test_adjusted_p_values_are_those_of_a_full_enumeration():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(8, 3)) + rng.normal(size=(8, 1)) + [0, 0.5, 1.0]
    differences = scores[:, 1:] - scores[:, :1]

    def t(values):
        return np.abs(values.mean(axis=0)) / (values.std(axis=0, ddof=1) / np.sqrt(8))

    null = [t(differences * np.array(signs)[:, None]).max() for signs in itertools.product((-1, 1), repeat=8)]
    for pair, observed in zip(flips(scores), t(differences), strict=True):
        assert pair.p_adjusted == pytest.approx(np.mean(np.array(null) >= observed - 1e-9))


def test_many_rows_agree_with_t():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(300, 4)) + rng.normal(size=(300, 1)) + [0, 0, 0.1, 0.2]
    for pair, column in zip(flips(scores), (1, 2, 3), strict=True):
        assert pair.method == "sign_flip_max_t"
        assert pair.std_error == pytest.approx(stats.sem(scores[:, column] - scores[:, 0]), rel=1e-12)
        assert pair.p_value == pytest.approx(stats.ttest_rel(scores[:, column], scores[:, 0]).pvalue, abs=0.02)
        assert (pair.ci_high - pair.estimate) / pair.std_error == pytest.approx(2.36, abs=0.06)
        assert (pair.p_adjusted < 0.05) == (pair.ci_low > 0 or pair.ci_high < 0)


@pytest.mark.parametrize("num_rows", [12, pytest.param(40, marks=pytest.mark.extended)])
def test_family_wise_error_holds_with_heavy_tails(num_rows):
    rng = np.random.default_rng(4)
    errors = 0
    for _ in range(300):
        scores = rng.standard_t(2, size=(num_rows, 3)) + rng.normal(size=(num_rows, 1))
        errors += min(pair.p_adjusted for pair in flips(scores, num_replicates=2499, family="tukey")) < 0.05
    assert errors / 300 < 0.095


def test_whole_clusters_are_flipped():
    rng = np.random.default_rng(5)
    errors = row_errors = 0
    clusters = np.repeat(np.arange(15), 8)
    for _ in range(200):
        scores = rng.normal(size=(120, 2))
        scores[:, 1] += rng.normal(size=15)[clusters]
        errors += flips(scores, row_keys(clusters), num_replicates=999)[0].p_adjusted < 0.05
        row_errors += flips(scores, num_replicates=999)[0].p_adjusted < 0.05
    assert errors / 200 < 0.11
    assert row_errors / 200 > 0.2


def test_order_of_rows_does_not_show():
    scores = np.random.default_rng(6).integers(0, 9, size=(100, 3)).astype(float)
    keys = row_keys(np.arange(100))
    order = np.random.default_rng(7).permutation(100)
    one = flips(scores, keys, num_replicates=499)
    other = flips(scores[order], keys[order], num_replicates=499)
    assert [pair.p_adjusted for pair in one] == [pair.p_adjusted for pair in other]


def test_degenerate_pairs_take_no_part():
    base = np.random.default_rng(8).normal(size=(10, 1))
    scores = np.column_stack([base, base, base + 0.1, base + np.random.default_rng(9).normal(size=(10, 1))])
    found = flips(scores)
    assert (found[0].degenerate, found[0].p_adjusted) == ("identical", 1.0)
    assert (found[1].degenerate, found[1].p_adjusted) == ("constant_difference", None)
    assert found[2].p_adjusted == pytest.approx(flips(scores[:, [0, 3]])[0].p_adjusted)
    (lone,) = flips(np.array([[1.0, 2.0]]))
    assert "needs at least two rows or clusters" in lone.not_testable


def test_clusters_whose_totals_do_not_vary_are_not_identical():
    scores = np.column_stack([np.zeros(40), np.tile([1.0, -1.0], 20)])
    (found,) = flips(scores, row_keys(np.arange(20).repeat(2)))
    assert (found.degenerate, found.p_adjusted, found.ci_low) == (None, None, None)
    assert "but cluster totals do not" in found.not_testable
