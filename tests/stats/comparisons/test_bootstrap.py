import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.stats.comparisons import bootstrap
from assay.stats.errors import SamplesError
from assay.stats.moments import bootstrap_weights

KEYS = bootstrap_weights.row_keys([f"row {i}" for i in range(2000)])

WEIGHTS_ABC = [[0, 0, 1], [0, 1, 1], [0, 0, 1], [2, 5, 0], [3, 2, 1], [1, 0, 4], [2, 0, 1], [0, 1, 2]]
KEYS_OF_NUMBERS = [16294208416658607535, 10451216379200822465, 16490336266968443936]


def mean_metric(sums):
    return sums[..., 0] / sums[..., 1]


def sums_of(scores):
    return np.stack([scores, np.ones_like(scores)], axis=2)


def test_weights_are_poisson_in_every_moment_that_a_bootstrap_uses():
    weights = bootstrap_weights.poisson_weights(KEYS, first=0, num_replicates=1000).astype(float)
    assert weights.mean() == pytest.approx(1, abs=0.004)
    assert weights.var() == pytest.approx(1, abs=0.01)
    assert ((weights - 1) ** 3).mean() == pytest.approx(1, abs=0.03)
    counts = np.bincount(weights.astype(int).ravel(), minlength=5)[:5] / weights.size
    assert counts == pytest.approx(stats.poisson.pmf(np.arange(5), 1), abs=0.002)
    # weights of rows and of replicates are independent
    assert np.abs(np.corrcoef(weights[:40])[np.triu_indices(40, 1)]).max() < 5 / np.sqrt(2000)
    assert np.abs(np.corrcoef(weights[:, :40].T)[np.triu_indices(40, 1)]).max() < 5 / np.sqrt(1000)


def test_the_table_of_weights_has_mean_and_variance_of_exactly_one():
    counts, weights = np.array(bootstrap_weights._POISSON_COUNTS), np.arange(9)
    assert counts.sum() == (counts * weights).sum() == (counts * (weights - 1) ** 2).sum() == 2**16
    assert counts / 2**16 == pytest.approx(stats.poisson.pmf(weights, 1), abs=7e-4)


def test_signs_are_fair_and_independent():
    signs = bootstrap_weights.signs(KEYS, first=0, num_replicates=640).astype(float)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    assert np.abs(np.corrcoef(signs[:64])[np.triu_indices(64, 1)]).max() < 5 / np.sqrt(2000)


@given(
    rows=st.lists(st.integers(0, 1999), min_size=1, max_size=20),
    first=st.integers(0, 20),
    count=st.integers(1, 70),
)
def test_a_weight_depends_on_row_and_replicate_only(rows, first, count):
    whole = bootstrap_weights.poisson_weights(KEYS, first=0, num_replicates=160)
    part = bootstrap_weights.poisson_weights(KEYS[rows], first=4 * first, num_replicates=count)
    assert (part == whole[4 * first : 4 * first + count, rows]).all()
    flips = bootstrap_weights.signs(KEYS[rows], first=64, num_replicates=count)
    assert (flips == bootstrap_weights.signs(KEYS, first=0, num_replicates=192)[64 : 64 + count, rows]).all()


def test_weights_are_the_same_on_every_machine():
    # must never change: published intervals depend on it
    weights = bootstrap_weights.poisson_weights(
        bootstrap_weights.row_keys(["a", "b", "c"]), first=0, num_replicates=8, seed=3
    )
    assert weights.tolist() == WEIGHTS_ABC
    keys = bootstrap_weights.row_keys(np.array([0, 1, -1]))
    assert keys.tolist() == KEYS_OF_NUMBERS


def test_other_seeds_are_other_weights():
    one, other = (bootstrap_weights.poisson_weights(KEYS, first=0, num_replicates=4, seed=seed) for seed in (1, 2))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.06


def test_bootstrap_of_a_mean_has_the_standard_error_of_a_mean():
    scores = np.random.default_rng(1).normal(size=(500, 3)) + np.random.default_rng(2).normal(size=(500, 1))
    found = bootstrap.bootstrap_sums(sums_of(scores), mean_metric, keys_R=KEYS[:500], num_replicates=4000)
    assert found.estimate_A == pytest.approx(scores.mean(axis=0))
    assert found.covariance_AA == pytest.approx(np.cov(scores, rowvar=False) / 500, rel=0.12)


def test_order_and_partition_of_rows_do_not_show():
    scores = np.random.default_rng(3).integers(0, 5, size=(1000, 2)).astype(float)  # whole numbers: sums are exact
    whole = bootstrap.bootstrap_sums(sums_of(scores), mean_metric, keys_R=KEYS[:1000], num_replicates=200)
    order = np.random.default_rng(4).permutation(1000)
    other = bootstrap.bootstrap_sums(sums_of(scores[order]), mean_metric, keys_R=KEYS[order], num_replicates=200)
    assert (whole.replicates_BA == other.replicates_BA).all()


def test_comparisons_agree_with_max_t_on_means():
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(400, 4)) + rng.normal(size=(400, 1)) + [0, 0, 0.1, 0.25]
    replicates = bootstrap.bootstrap_sums(sums_of(scores), mean_metric, keys_R=KEYS[:400])
    found = bootstrap.comparisons(replicates, arms="abcd", control="a", family="dunnett", alpha=0.05)
    for pair, column in zip(found, (1, 2, 3), strict=True):
        t = stats.ttest_rel(scores[:, column], scores[:, 0])
        assert pair.estimate == pytest.approx((scores[:, column] - scores[:, 0]).mean())
        assert pair.p_value == pytest.approx(t.pvalue, abs=0.02)
        assert pair.p_value <= pair.p_adjusted
        critical = (pair.ci_high - pair.estimate) / pair.std_error
        assert critical == pytest.approx(2.36, abs=0.06)  # Dunnett 1964, table II: three variants, many rows: 2.35
    assert len(bootstrap.comparisons(replicates, arms="abcd", control="b", family="tukey", alpha=0.05)) == 6


def test_simultaneous_intervals_cover_together():
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(150):
        scores = rng.exponential(size=(120, 3)) + rng.normal(size=(120, 1))
        replicates = bootstrap.bootstrap_sums(sums_of(scores), mean_metric, keys_R=KEYS[:120], num_replicates=600)
        found = bootstrap.comparisons(replicates, arms="abc", control="a", family="tukey", alpha=0.05)
        covered += all(pair.ci_low <= 0 <= pair.ci_high for pair in found)
    assert 0.88 < covered / 150 < 0.995


def test_keys_of_clusters_resample_clusters():
    rng = np.random.default_rng(7)
    clusters = np.repeat(np.arange(60), 10)
    scores = rng.normal(size=(600, 1)) + rng.normal(size=60)[clusters, None]
    by_row = bootstrap.bootstrap_sums(sums_of(scores), mean_metric, keys_R=KEYS[:600], num_replicates=2000)
    by_cluster = bootstrap.bootstrap_sums(
        sums_of(scores), mean_metric, keys_R=bootstrap_weights.row_keys(clusters), num_replicates=2000
    )
    totals = np.bincount(clusters, weights=scores[:, 0] - scores.mean())
    assert by_cluster.covariance_AA[0, 0] == pytest.approx((totals**2).sum() / 600**2, rel=0.15)
    assert by_cluster.covariance_AA[0, 0] > 3 * by_row.covariance_AA[0, 0]


def test_identical_arms_and_constant_differences_are_told_so():
    scores = np.random.default_rng(8).normal(size=(50, 1)) + np.array([0, 0, 1])
    replicates = bootstrap.bootstrap_sums(sums_of(scores), mean_metric, keys_R=KEYS[:50], num_replicates=200)
    found = bootstrap.comparisons(replicates, arms="abc", control="a", family="dunnett", alpha=0.05)
    assert (found[0].degenerate, found[0].p_adjusted, found[0].ci_low, found[0].ci_high) == ("identical", 1, 0, 0)
    assert (found[1].degenerate, found[1].p_adjusted) == ("constant_difference", None)


def test_missing_keys_are_refused():
    with pytest.raises(SamplesError, match="number of keys differs from the number of rows"):
        bootstrap.bootstrap_sums(np.ones((5, 1, 2)), mean_metric, keys_R=KEYS[:4])
