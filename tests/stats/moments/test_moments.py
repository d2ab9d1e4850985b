"""Moments: any split of the rows gives the same bits, and the values agree with numpy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.stats.moments import moments
from assay.stats.moments.clusters import cluster_moments_of
from assay.stats.moments.moments import Moments, blocks_of, moments_of

ARMS = ("control", "a", "b")


def _scores(num_rows: int, *, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_rows, 1)) + rng.normal(size=(num_rows, 3)) + offset


def _bits(found: Moments) -> tuple[bytes, ...]:
    return tuple(
        np.asarray(value).tobytes()
        for value in (found.num_rows, found.shift_Y, found.offset_Y, found.comoments_YY, found.scale_Y)
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=8), st.randoms(use_true_random=False))
def test_any_split_in_any_order_gives_the_same_bits(cuts, random):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "BLOCK_NUM_ROWS", 64)
        scores = _scores(700)
        whole = moments_of(scores, arms=ARMS, control=1)
        edges = sorted({0, 700, *cuts})
        parts = [
            blocks_of(scores[low:high], first_row=low, arms=ARMS, control=1) for low, high in itertools.pairwise(edges)
        ]
        random.shuffle(parts)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        assert _bits(total.total()) == _bits(whole)


def test_rows_given_twice_are_refused():
    part = blocks_of(_scores(10), first_row=0, arms=ARMS, control=0)
    with pytest.raises(ValueError, match="same rows twice"):
        part + part


@pytest.mark.parametrize("num_rows", [2, 3, 100, 20_000])  # 20,000 rows are three blocks
@pytest.mark.parametrize("offset", [0.0, 1e9])  # plain sums of squares lose all precision at 1e9
def test_means_and_covariances_are_those_of_numpy(num_rows, offset):
    plain = np.round(_scores(num_rows), 6)
    scores = np.round(plain * 2**20) / 2**20 + offset  # exact also with the offset
    found = moments_of(scores, arms=ARMS, control=1)
    exact = scores - offset
    np.testing.assert_allclose(found.mean_A - offset, exact.mean(axis=0), atol=2e-7 if offset else 1e-14)
    np.testing.assert_allclose(found.covariance_AA, np.cov(exact.T), rtol=1e-11, atol=1e-13)
    others = exact[:, [0, 2]] - exact[:, [1]]
    np.testing.assert_allclose(found.mean_D, others.mean(axis=0), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.covariance_DD, np.cov(others.T), rtol=1e-11, atol=1e-14)


def test_addition_is_that_of_the_whole():
    scores = _scores(900)
    total = moments_of(scores[:300], arms=ARMS, control=0) + moments_of(scores[300:], arms=ARMS, control=0)
    whole = moments_of(scores, arms=ARMS, control=0)
    np.testing.assert_allclose(total.comoments_YY, whole.comoments_YY, rtol=1e-13)
    np.testing.assert_allclose(total.mean_A, whole.mean_A, rtol=1e-12)


def test_discordant_rows_are_counted():
    scores = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [1, 0, 1]], dtype=float)
    found = moments_of(scores, arms=ARMS, control=0).discordant_AA
    assert found is not None
    assert found.tolist() == [[0, 3, 2], [1, 0, 2], [0, 2, 0]]
    assert moments_of(scores + 0.5, arms=ARMS, control=0).ones_AA is None


def test_a_constant_difference_has_no_variance_although_it_is_rounded():
    base = np.random.default_rng(0).random(20_000)
    scores = np.stack([base, base + 0.1, base * 1.0], axis=1)
    assert np.ptp(scores[:, 1] - scores[:, 0]) > 0  # the sum is rounded
    assert moments_of(scores, arms=ARMS, control=0).covariance_DD.tolist() == [[0, 0], [0, 0]]


def test_a_small_true_variance_is_kept():
    rng = np.random.default_rng(0)
    base = rng.normal(size=1000) + 1e6
    noise = rng.normal(size=1000) * 1e-6
    found = moments_of(np.stack([base, base + noise], axis=1), arms=("c", "a"), control=0)
    assert found.covariance_DD[0, 0] == pytest.approx(1e-12, rel=0.1)


def test_clusters_of_one_row_are_rows():
    scores = _scores(400)
    rows = moments_of(scores, arms=ARMS, control=0)
    clusters = cluster_moments_of(scores, np.arange(400), arms=ARMS, control=0)
    np.testing.assert_allclose(clusters.mean_covariance_DD, rows.covariance_DD / 400, rtol=1e-12)
    np.testing.assert_allclose(clusters.mean_covariance_AA, rows.covariance_AA / 400, rtol=1e-12)


def test_the_cluster_robust_error_is_that_of_r():
    """R 4.2.2, clubSandwich vcovCR(lm(mpg - qsec ~ 1, mtcars), cluster = paste(carb, gear), type = "CR1")."""
    rows = """21 16.46 44;21 17.02 44;22.8 18.61 14;21.4 19.44 13;18.7 17.02 23;18.1 20.22 13;14.3 15.84 43;24.4 20 24
    22.8 22.9 24;19.2 18.3 44;17.8 18.9 44;16.4 17.4 33;17.3 17.6 33;15.2 18 33;10.4 17.98 43;10.4 17.82 43;14.7 17.42 43
    32.4 19.47 14;30.4 18.52 24;33.9 19.9 14;21.5 20.01 13;15.5 16.87 23;15.2 17.3 23;13.3 15.41 43;19.2 17.05 23
    27.3 18.9 14;26 16.7 25;30.4 16.9 25;15.8 14.5 45;19.7 15.5 65;15 14.6 85;21.4 18.6 24"""
    table = [line.split() for line in rows.replace("\n", ";").split(";")]
    scores = np.array([[float(qsec), float(mpg)] for mpg, qsec, _ in table])
    clusters = np.unique([name for *_, name in table], return_inverse=True)[1]
    found = cluster_moments_of(scores, clusters, arms=("qsec", "mpg"), control=0)
    assert found.num_clusters == 11
    assert found.rows.mean_D[0] == pytest.approx(2.24187500000, rel=1e-12)
    assert np.sqrt(found.mean_covariance_DD[0, 0]) == pytest.approx(1.69024335698, rel=1e-10)
