import numpy as np
import pytest

from assay.stats.analysis import analyze
from assay.stats.corpus import auroc
from assay.stats.corpus.corpus_samples import corpus_samples
from assay.stats.corpus.ranked import Ranked
from assay.stats.designs import paired
from tests.stats.golden import golden
from tests.stats.plans import plan

PROC = golden("auroc")


def made(num_rows, *, num_arms=3, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, num_rows)
    shared = rng.normal(size=(num_rows, 1))
    scores = shared + rng.normal(size=(num_rows, num_arms)) + labels[:, None] * np.linspace(0.5, 1, num_arms)
    return scores, labels


def samples_of(scores, labels, *, arms=("control", "a", "b"), clusters=None):
    answers = Ranked(np.asarray(scores, float)[None], np.asarray(labels)[None] == 1)
    return corpus_samples(answers, arms=arms, row_ids=np.arange(len(labels)), clusters_R=clusters)


def measured(scores, labels, **words):
    return paired.measured_arms(samples_of(scores, labels, **words), control=0)


def covariance(scores, labels, **words):
    """The covariance of the arms' AUROCs relative to the first, and the variance of each."""
    found = measured(scores, labels, **words)
    return found.relative_covariance_AA, found.arm_std_error_A**2


def test_aurocs_and_covariance_agree_with_proc():
    arms = ("control", *PROC["arms"][1:])
    found = measured(PROC["scores"], PROC["labels"], arms=arms)
    assert found.arm_mean_A == pytest.approx(PROC["auc"], rel=1e-12)
    theirs = np.array(PROC["covariance"])
    assert found.arm_std_error_A**2 == pytest.approx(np.diag(theirs), rel=1e-10)
    difference = theirs - theirs[0] - theirs[:, [0]] + theirs[0, 0]
    assert found.relative_covariance_AA == pytest.approx(difference, rel=1e-9, abs=1e-15)
    analysis = analyze(samples_of(PROC["scores"], PROC["labels"], arms=arms), plan())
    assert [-pair.statistic for pair in analysis.comparisons] == pytest.approx(
        PROC["z"], rel=1e-9
    )  # pROC: control first


def test_auroc_is_the_share_of_ordered_pairs_with_ties_half():
    scores = np.array([[3.0], [1.0], [2.0], [2.0], [0.0], [3.0]])
    labels = np.array([1, 0, 1, 0, 0, 0])
    pairs = [(p > n) + (p == n) / 2 for p in (3.0, 2.0) for n in (1.0, 2.0, 0.0, 3.0)]
    assert auroc.pseudo_values(scores, labels == 1).mean() == pytest.approx(np.mean(pairs))


def test_covariance_is_what_simulation_finds():
    found = [measured(*made(120, seed=seed)) for seed in range(800)]
    simulated = np.cov(np.array([each.mean_A[1:] for each in found]), rowvar=False)
    assert np.mean([each.relative_covariance_AA[1:, 1:] for each in found], axis=0) == pytest.approx(simulated, rel=0.2)


def test_clusters_of_one_row_are_no_clusters():
    scores, labels = made(90)
    alone, clustered = (covariance(scores, labels, clusters=clusters) for clusters in (None, np.arange(90)))
    assert clustered[0] == pytest.approx(alone[0], rel=1e-10)


def test_doubled_rows_in_clusters_tell_no_more_than_once():
    scores, labels = made(100)
    alone = measured(scores, labels)
    doubled = measured(np.repeat(scores, 2, axis=0), np.repeat(labels, 2), clusters=np.repeat(np.arange(100), 2))
    assert doubled.arm_mean_A == pytest.approx(alone.arm_mean_A)
    assert doubled.relative_covariance_AA == pytest.approx(alone.relative_covariance_AA, rel=0.02)
    assert doubled.df == 99


def test_cluster_covariance_with_both_labels_in_a_cluster_is_what_simulation_finds():
    rng = np.random.default_rng(3)
    estimates, variances = [], []
    for _ in range(600):
        clusters = np.repeat(np.arange(40), 6)
        labels = rng.integers(0, 2, 240)
        scores = labels * 0.8 + rng.normal(size=240) + rng.normal(size=40)[clusters]
        found = measured(scores[:, None], labels, arms=("control",), clusters=clusters)
        estimates.append(found.arm_mean_A[0])
        variances.append(found.arm_std_error_A[0] ** 2)
    assert np.mean(variances) == pytest.approx(np.var(estimates), rel=0.2)


def test_the_interval_is_inside_zero_and_one_and_near_delongs():
    found = analyze(samples_of(PROC["scores"], PROC["labels"], arms=("control", *PROC["arms"][1:])), plan())
    first = found.arms[0]
    assert (first.ci_low, first.ci_high) == pytest.approx((PROC["ci_first"][0], PROC["ci_first"][2]), abs=0.02)
    assert first.method == "jackknife_logit_t"
    labels = np.repeat([0, 1], 40)
    good = 3 * labels + np.random.default_rng(0).normal(size=80)
    near_one = analyze(samples_of(np.column_stack([good, -good]), labels, arms=("control", "a")), plan())
    assert 0 <= near_one.arms[1].ci_low < near_one.arms[1].ci_high < 0.1
    perfect = analyze(samples_of(np.column_stack([labels, labels]), labels, arms=("control", "a")), plan())
    assert (perfect.arms[0].ci_low, perfect.arms[0].ci_high) == (1.0, 1.0)


def test_identical_arms_and_monotone_copies_are_told_so():
    scores, labels = made(80, num_arms=1)
    found = analyze(samples_of(np.column_stack([scores, np.exp(scores), scores]), labels), plan(family="tukey"))
    assert all(pair.degenerate == "identical" for pair in found.comparisons)
    assert found.omnibus.p_value == 1.0


def test_one_class_or_one_row_of_a_class_has_no_auroc_with_a_variance():
    scores, labels = made(50)
    labels[:] = 0
    for positive in ([], [7]):
        labels[positive] = 1
        found = analyze(samples_of(scores, labels), plan())
        assert {reason.what for reason in found.not_testable} == {"omnibus", "comparison"}
        assert all("undefined on these rows" in reason.reason for reason in found.not_testable)
        assert found.comparisons[0].p_adjusted is None
        assert found.arms[0].mean is None
