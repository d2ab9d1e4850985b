import numpy as np
import pytest

from assay.manifests.errors import InvalidInput
from assay.stats.comparisons import bootstrap
from assay.stats.errors import SamplesError
from assay.stats.guardrails import latency_quantile
from assay.stats.moments.bootstrap_weights import poisson_weights, row_keys


def made(num_rows, *, seed=1):
    rng = np.random.default_rng(seed)
    size = rng.lognormal(sigma=0.8, size=(num_rows, 1))
    return 20 * size * rng.lognormal(sigma=0.2, size=(num_rows, 3)) * [1.0, 1.0, 1.1]


@pytest.mark.parametrize("probability", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("num_rows", [3, 100, 3001])
def test_quantiles_are_the_smallest_value_with_enough_weight(num_rows, probability):
    values = np.round(made(num_rows), 0)  # many ties
    keys = row_keys(np.arange(num_rows))
    found = latency_quantile.quantiles(values, probability=probability, keys_R=keys, num_replicates=40)
    assert found.estimate_A == pytest.approx(np.quantile(values, probability, axis=0, method="inverted_cdf"))
    weights = poisson_weights(keys, first=0, num_replicates=40)
    assert len(found.replicates_BA) + found.num_undefined == 40
    if not found.num_undefined:
        for replicate in (0, 17, 39):
            rows = np.repeat(values, weights[replicate], axis=0)
            by_hand = np.quantile(rows, probability, axis=0, method="inverted_cdf")
            assert found.replicates_BA[replicate] == pytest.approx(by_hand)


def test_a_replicate_outside_the_window_is_still_right(monkeypatch):
    values, keys = made(500), row_keys(np.arange(500))
    wide = latency_quantile.quantiles(values, probability=0.9, keys_R=keys, num_replicates=64)
    monkeypatch.setattr(latency_quantile, "_window", lambda num_rows, probability: (448, 452))
    narrow = latency_quantile.quantiles(values, probability=0.9, keys_R=keys, num_replicates=64)
    assert (wide.replicates_BA == narrow.replicates_BA).all()


def test_a_quantile_bootstrap_has_the_standard_error_of_a_quantile():
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(4000, 1))
    found = latency_quantile.quantiles(values, probability=0.9, keys_R=row_keys(np.arange(4000)), num_replicates=1000)
    # sqrt(p (1 - p) / n) / f(q), f(q) = 0.1 for the 90 % quantile of an exponential
    assert np.sqrt(found.covariance_AA[0, 0]) == pytest.approx(np.sqrt(0.9 * 0.1 / 4000) / 0.1, rel=0.25)


def test_paired_quantiles_are_compared_more_sharply_than_unpaired_ones():
    values = made(2000)
    found = latency_quantile.quantiles(values, probability=0.95, keys_R=row_keys(np.arange(2000)), num_replicates=500)
    pairs = bootstrap.comparisons(found, arms="abc", control="a", family="dunnett", alpha=0.05)
    own = np.sqrt(np.diag(found.covariance_AA))
    assert pairs[0].std_error < 0.7 * np.sqrt(own[0] ** 2 + own[1] ** 2)


def test_latencies_without_a_quantile_are_refused():
    with pytest.raises(SamplesError, match="finite"):
        latency_quantile.quantiles([[1.0, np.nan]], probability=0.5, keys_R=row_keys([0]))
    with pytest.raises(InvalidInput, match="below 1"):
        latency_quantile.quantiles([[1.0]], probability=1.0, keys_R=row_keys([0]))
