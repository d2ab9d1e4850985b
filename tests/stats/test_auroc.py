import numpy as np
import pytest
from scipy import stats

from stats import auroc
from stats.errors import SamplesError
from tests.stats.golden import golden

PROC = golden("auroc")


def made(num_rows, *, num_arms=3, seed=1, clusters=None):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, num_rows)
    shared = rng.normal(size=(num_rows, 1))
    scores = shared + rng.normal(size=(num_rows, num_arms)) + labels[:, None] * np.linspace(0.5, 1, num_arms)
    return scores, labels


def test_aurocs_and_covariance_agree_with_proc():
    found = auroc.aurocs(PROC["scores"], PROC["labels"], arms=PROC["arms"])
    assert found.estimate_A == pytest.approx(PROC["auc"], rel=1e-12)
    assert found.covariance_AA == pytest.approx(np.array(PROC["covariance"]), rel=1e-10)
    pairs = found.comparisons(control="s100b", family="dunnett", alpha=0.05)
    assert [-pair.statistic for pair in pairs] == pytest.approx(PROC["z"], rel=1e-10)  # pROC has the control first
    assert [pair.p_value for pair in pairs] == pytest.approx(PROC["p"], rel=1e-9)


def test_two_arms_give_the_same_answer_as_omnibus_and_comparison():
    scores, labels = made(300, num_arms=2)
    found = auroc.aurocs(scores, labels, arms=("a", "b"))
    (pair,) = found.comparisons(control="a", family="dunnett", alpha=0.05)
    omnibus = found.omnibus(control="a")
    assert omnibus.statistic == pytest.approx(pair.statistic**2)
    assert omnibus.p_value == pytest.approx(pair.p_value)
    assert (pair.method, omnibus.test) == ("delong", "delong")
    assert found.omnibus(control="b").p_value == pytest.approx(omnibus.p_value)


def test_auroc_is_the_share_of_ordered_pairs_with_ties_half():
    scores = np.array([[3.0], [1.0], [2.0], [2.0], [0.0], [3.0]])
    labels = np.array([1, 0, 1, 0, 0, 0])
    found = auroc.aurocs(scores, labels, arms=("a",))
    pairs = [(p > n) + (p == n) / 2 for p in (3.0, 2.0) for n in (1.0, 2.0, 0.0, 3.0)]
    assert found.estimate_A[0] == pytest.approx(np.mean(pairs))


def test_covariance_is_what_simulation_finds():
    estimates, covariances = [], []
    for seed in range(800):
        found = auroc.aurocs(*made(120, seed=seed), arms="abc")
        estimates.append(found.estimate_A)
        covariances.append(found.covariance_AA)
    simulated = np.cov(np.array(estimates), rowvar=False)
    assert np.mean(covariances, axis=0) == pytest.approx(simulated, rel=0.2)


def test_clusters_of_one_row_are_no_clusters():
    scores, labels = made(90)
    alone = auroc.aurocs(scores, labels, arms="abc")
    clustered = auroc.aurocs(scores, labels, arms="abc", clusters_R=np.arange(90))
    assert clustered.covariance_AA == pytest.approx(alone.covariance_AA, rel=1e-10)
    assert clustered.df == 89


def test_doubled_rows_in_clusters_tell_no_more_than_once():
    scores, labels = made(100)
    alone = auroc.aurocs(scores, labels, arms="abc")
    doubled = auroc.aurocs(
        np.repeat(scores, 2, axis=0), np.repeat(labels, 2), arms="abc", clusters_R=np.repeat(np.arange(100), 2)
    )
    assert doubled.estimate_A == pytest.approx(alone.estimate_A)
    assert doubled.covariance_AA == pytest.approx(alone.covariance_AA, rel=1e-10)


def test_cluster_covariance_with_both_labels_in_a_cluster_is_what_simulation_finds():
    rng = np.random.default_rng(3)
    estimates, variances = [], []
    for _ in range(600):
        clusters = np.repeat(np.arange(40), 6)
        labels = rng.integers(0, 2, 240)
        scores = labels * 0.8 + rng.normal(size=240) + rng.normal(size=40)[clusters]
        found = auroc.aurocs(scores[:, None], labels, arms="a", clusters_R=clusters)
        estimates.append(found.estimate_A[0])
        variances.append(found.covariance_AA[0, 0])
    assert np.mean(variances) == pytest.approx(np.var(estimates), rel=0.2)


def test_the_interval_is_inside_zero_and_one_and_near_delongs():
    found = auroc.aurocs(PROC["scores"], PROC["labels"], arms=PROC["arms"])
    low, high = found.interval(0, alpha=0.05)
    assert (low, high) == pytest.approx((PROC["ci_first"][0], PROC["ci_first"][2]), abs=0.02)
    perfect = auroc.aurocs(np.array([[0.0], [0.1], [0.8], [0.9]]), [0, 0, 1, 1], arms="a")
    assert perfect.interval(0, alpha=0.05) == (1.0, 1.0)


def test_identical_arms_and_monotone_copies_are_told_so():
    scores, labels = made(80, num_arms=1)
    found = auroc.aurocs(np.column_stack([scores, np.exp(scores), scores]), labels, arms="abc")
    assert all(pair.degenerate == "identical" for pair in found.comparisons(control="a", family="tukey", alpha=0.05))
    assert found.omnibus(control="a").p_value == 1.0
    assert found.omnibus(control="a").degenerate == "identical"


def test_family_wise_error_holds_among_three_arms():
    rejected = omnibus_rejected = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, 150)
        scores = rng.normal(size=(150, 1)) + rng.normal(size=(150, 3)) + labels[:, None]
        found = auroc.aurocs(scores, labels, arms="abc")
        rejected += min(p.p_adjusted for p in found.comparisons(control="a", family="dunnett", alpha=0.05)) < 0.05
        omnibus_rejected += found.omnibus(control="a").p_value < 0.05
    limit = stats.binom.isf(1e-4, 400, 0.05)
    assert rejected < limit
    assert omnibus_rejected < limit


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[np.nan], [1.0]], [0, 1], "finite"),
        ([[1.0], [2.0]], [0, 2], "neither 0 nor 1"),
        ([[1.0], [2.0], [3.0]], [0, 1, 1], "two rows of each label"),
        ([[1.0], [2.0]], [0], "differ in number"),
    ],
)
def test_what_has_no_auroc_is_refused(scores, labels, message):
    with pytest.raises(SamplesError, match=message):
        auroc.aurocs(scores, labels, arms="a")
