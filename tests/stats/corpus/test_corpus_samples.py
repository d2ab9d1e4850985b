"""Corpus metrics as row scores: their mean is the metric, their variance the jackknife's."""

import numpy as np
import pytest
from sklearn import metrics as reference

from assay.stats.analysis import analyze
from assay.stats.corpus.calibration_error import Confidences
from assay.stats.corpus.class_counts import CLASS_METRICS, Classes
from assay.stats.corpus.corpus_samples import corpus_samples
from assay.stats.corpus.queries import QueryScores
from assay.stats.corpus.ranked import Ranked
from assay.stats.corpus.regression import ExplainedVariance, SquaredErrors
from assay.stats.designs.paired import measured_arms
from assay.stats.gate import decide
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.moments.moments import moments_of
from tests.stats.corpus.delta_method import linearised
from tests.stats.plans import IMPROVEMENT, holding, plan

ARMS = ("control", "a", "b")


def made(num_rows, *, num_classes=2, right=(0.7, 0.75, 0.8), seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_rows)
    difficulty = rng.random((num_rows, 1))
    keep = 0.5 * difficulty + 0.5 * rng.random((num_rows, len(right))) < np.array(right)
    predictions = np.where(keep, labels[:, None], rng.integers(0, num_classes, (num_rows, len(right))))
    return labels.astype(np.int32), predictions.astype(np.int32)


def classes(metric, *given, num_classes=2):
    return Classes(metric, tuple(range(num_classes)), *given)


def samples_of(answers, num_rows, *, arms=ARMS, **words):
    return corpus_samples(answers, arms=arms, row_ids=np.arange(num_rows), **words)


def answers_of(kind, num_rows, seed=1):
    rng = np.random.default_rng(seed)
    if kind in CLASS_METRICS:
        return classes(kind, *made(num_rows, seed=seed))
    shared = rng.normal(size=(num_rows, 1))
    if kind == "rmse":
        return SquaredErrors(shared + rng.normal(size=(num_rows, 3)) * [1, 0.9, 1.2])
    if kind == "r2":
        return ExplainedVariance(rng.normal(size=(num_rows, 3)) * [1, 0.9, 1.2], 100 + 2 * rng.normal(size=num_rows))
    confidence = rng.uniform(0.5, 1, size=(num_rows, 3))
    if kind == "calibration_error":
        return Confidences(15, rng.random((num_rows, 3)) < confidence**2, confidence)
    labels = rng.integers(0, 3, num_rows)
    scores = np.stack([shared + rng.normal(size=(num_rows, 3)) + (labels == k)[:, None] for k in range(3)])
    if kind == "average_precision":
        scores = np.round(scores, 1)  # ties
    return Ranked(
        scores, np.stack([labels == k for k in range(3)]), "auroc" if kind == "auroc" else "average_precision"
    )


RANKED = ("auroc", "average_precision")
KINDS = [*CLASS_METRICS, "rmse", "r2", "calibration_error", *RANKED]
SKLEARN = {
    "precision": reference.precision_score,
    "recall": reference.recall_score,
    "f1": reference.f1_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "macro_f1": lambda y, p: reference.f1_score(y, p, average="macro"),
    "matthews": reference.matthews_corrcoef,
}


@pytest.mark.parametrize("metric", SKLEARN)
def test_the_mean_is_the_metric_of_scikit_learn(metric):
    labels, predictions = made(203)
    scores = classes(metric, labels, predictions).pseudo_values()
    assert scores.mean(axis=0) == pytest.approx([SKLEARN[metric](labels, each) for each in predictions.T], rel=1e-12)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "matthews"])
def test_of_many_classes_too(metric):
    labels, predictions = made(400, num_classes=7)
    scores = classes(metric, labels, predictions, num_classes=7).pseudo_values()
    assert scores.mean(axis=0) == pytest.approx([SKLEARN[metric](labels, each) for each in predictions.T], rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_of_an_arm_is_the_mean_of_its_scores(kind):
    answers = answers_of(kind, 200)
    found = [each.value for each in answers.values()]
    assert found == pytest.approx(answers.pseudo_values().mean(axis=0), rel=1e-12)


def test_the_value_of_queries_is_their_mean():
    query = np.array([2, 0, 2, 1, 2])
    answers = QueryScores(np.array([0.5, 1.0, 0.0])[query][:, None], query)
    assert [each.value for each in answers.values()] == [0.5]
    assert answers.pseudo_values().mean() == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_pseudo_values_of_the_jackknife(kind):
    """Against the definition: the metric of all rows, and of all rows but one, each computed directly."""
    num_rows = 40
    answers = answers_of(kind, num_rows)
    scores = answers.pseudo_values()
    estimate = scores.mean(axis=0)
    without = np.array(
        [answers.subset(np.arange(num_rows) != row).pseudo_values().mean(axis=0) for row in range(num_rows)]
    )
    expected = estimate + (num_rows - 1) * (without.mean(axis=0) - without)
    if kind == "auroc":  # DeLong's scale differs from the jackknife's by a factor near 1
        assert scores - estimate == pytest.approx(expected - estimate, rel=0.1, abs=0.05)
    else:
        assert scores == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_and_r2_are_scikit_learns(ties):
    rng = np.random.default_rng(4)
    positive, scores = rng.random(150) < 0.3, rng.normal(size=(150, 3))
    scores += positive[:, None]
    scores = np.round(scores) if ties else scores
    found = Ranked(scores[None], positive[None], "average_precision").pseudo_values().mean(axis=0)
    assert found == pytest.approx([reference.average_precision_score(positive, each) for each in scores.T], rel=1e-12)
    labels = 1e6 + rng.normal(size=150)
    found = ExplainedVariance(scores - labels[:, None], labels).pseudo_values().mean(axis=0)
    assert found == pytest.approx([reference.r2_score(labels, each) for each in scores.T], rel=1e-9)


def test_the_scores_of_queries_have_the_mean_and_the_variance_of_queries():
    rng = np.random.default_rng(5)
    query, of_query = rng.integers(0, 40, 500), rng.random((40, 3))
    clustered = samples_of(QueryScores(of_query[query], query), 500, clusters_R=query)
    by_row = measured_arms(clustered, control=0)
    assert by_row.moments.mean_A == pytest.approx(of_query.mean(axis=0), rel=1e-12)
    by_query = analyze(samples_of(QueryScores(of_query, np.arange(40)), 40), plan())
    found = analyze(clustered, plan(columns={"cluster": "q"}))
    for ours, theirs in zip(found.comparisons, by_query.comparisons, strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate)
        assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.ci_low, theirs.ci_high), abs=2e-3)


@pytest.mark.parametrize(
    "answers",
    [
        Ranked(np.zeros((1, 9, 3)), np.arange(9)[None] == 0, "average_precision"),  # one row of the class
        ExplainedVariance(np.ones((9, 3)), np.full(9, 7.0)),  # no spread
        ExplainedVariance(np.ones((9, 3)), (np.arange(9) == 0).astype(float)),  # none without one of the rows
    ],
)
def test_what_one_row_decides_is_undefined(answers):
    assert samples_of(answers, 9).undefined


def test_f1_has_the_variance_of_the_delta_method():
    labels, predictions = made(2000)
    truth = labels[:, None] == 1
    delta = moments_of(
        linearised(2.0 * ((predictions == 1) & truth), (predictions == 1) + 1.0 * truth), arms=ARMS, control=0
    )
    scores = moments_of(classes("f1", labels, predictions).pseudo_values(), arms=ARMS, control=0)
    assert scores.difference_covariance_AA == pytest.approx(delta.difference_covariance_AA, rel=5e-3, abs=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in RANKED])
@pytest.mark.parametrize("clustered", [False, True])
def test_the_bootstrap_beside_it_has_the_same_estimates_and_errors(kind, clustered):
    num_rows = 900
    clusters = np.arange(num_rows) // 3 if clustered else None
    found = analyze(
        samples_of(answers_of(kind, num_rows), num_rows, clusters_R=clusters),
        plan(columns={"cluster": "c"} if clustered else {}),
    )
    (check,) = found.checks
    assert check.method == "bootstrap_max_t"
    for ours, theirs in zip(found.comparisons, check.pairs, strict=True):
        assert theirs.p_value == pytest.approx(ours.p_value, abs=0.08 if kind == "calibration_error" else 0.03)


def test_a_bootstrap_that_would_take_long_is_left_out(monkeypatch):
    for family in ("class_counts", "calibration_error", "regression"):
        monkeypatch.setattr(f"assay.stats.corpus.{family}.MOST_COUNTS", 500)
    for kind in KINDS:
        assert analyze(samples_of(answers_of(kind, 100), 100), plan()).checks == ()


def test_a_segment_has_the_metric_of_its_own_rows():
    labels, predictions = made(600)
    segments = np.where(np.arange(600) % 3 == 0, "left", "right")
    found = analyze(
        samples_of(classes("f1", labels, predictions), 600, segments_R=segments), plan(columns={"segment": "side"})
    )
    for segment in found.segments:
        inside = segments == segment.segment
        control, variant = (reference.f1_score(labels[inside], predictions[inside, arm]) for arm in (0, 1))
        assert segment.comparisons[0].estimate == pytest.approx(variant - control)
    assert found.interaction.p_value is not None


def test_segments_in_clusters_are_compared_by_their_own_metric():
    """If every row is its own cluster, the interaction is that of the rows, up to its reference distribution."""
    labels, predictions = made(900)
    mostly = np.random.default_rng(3).random(900) < 0.9
    segments = np.where((labels == 1) == mostly, "left", "right")  # the shares of positive rows differ: 0.9 and 0.1
    answers = classes("f1", labels, predictions)
    rows = analyze(samples_of(answers, 900, segments_R=segments), plan(columns={"segment": "s"}))
    clustered = analyze(
        samples_of(answers, 900, segments_R=segments, clusters_R=np.arange(900)),
        plan(columns={"segment": "s", "cluster": "c"}),
    )
    assert clustered.interaction.test == "interaction_cluster_wald"
    assert clustered.interaction.p_value == pytest.approx(rows.interaction.p_value, abs=0.01)


def test_a_segment_without_a_positive_row_is_not_testable():
    labels, predictions = made(200)
    segments = np.where(labels == 1, "with", "without").astype(object)
    segments[np.flatnonzero(labels == 1)[::2]] = "both"
    segments[np.flatnonzero(labels == 0)[::2]] = "both"
    found = analyze(
        samples_of(classes("recall", labels, predictions), 200, segments_R=segments), plan(columns={"segment": "s"})
    )
    reasons = {segment.segment: segment.not_testable for segment in found.segments}
    assert "undefined" in reasons["without"]
    assert reasons["both"] is None


def test_an_undefined_metric_is_a_hold_and_an_undefined_guardrail_too():
    labels, predictions = made(100)
    undefined = samples_of(classes("recall", np.zeros_like(labels), predictions), 100)
    found = analyze(undefined, plan())
    assert [decision.decision for decision in decide.decide(found, IMPROVEMENT, plan())] == ["hold", "hold"]
    planned = plan(guardrails=holding("recall"))
    guarded = analyze(
        samples_of(classes("f1", labels, predictions), 100),
        planned,
        guardrails=[MetricCheck("recall", "higher", "continuous", 0.1, undefined)],
    )
    assert {result.verdict for result in guarded.guardrails} == {"not_testable"}


def test_identical_arms_are_identical():
    for kind in KINDS:
        answers = answers_of(kind, 100)
        if isinstance(answers, Classes):
            same = Classes(kind, answers.classes, answers.labels_R, answers.predictions_RA[:, [0, 0, 0]])
        elif isinstance(answers, SquaredErrors):
            same = SquaredErrors(answers.errors_RA[:, [0, 0, 0]])
        elif isinstance(answers, Confidences):
            same = Confidences(15, answers.hits_RA[:, [0, 0, 0]], answers.confidences_RA[:, [0, 0, 0]])
        elif isinstance(answers, ExplainedVariance):
            same = ExplainedVariance(answers.errors_RA[:, [0, 0, 0]], answers.labels_R)
        else:
            same = Ranked(answers.scores_KRA[:, :, [0, 0, 0]], answers.positive_KR, answers.metric)
        found = analyze(samples_of(same, 100), plan())
        assert {pair.degenerate for pair in found.comparisons} == {"identical"}
        assert found.omnibus.p_value == 1.0


def test_no_error_at_all_is_a_score_of_zero():
    found = measured_arms(samples_of(SquaredErrors(np.zeros((20, 3))), 20), control=0)
    assert found.arm_mean_A.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "kind", ["auroc", *(pytest.param(kind, marks=pytest.mark.extended) for kind in ("f1", "rmse"))]
)
def test_the_level_holds_where_nothing_differs(kind):
    rejected, num = 0, 100
    for seed in range(num):
        found = analyze(samples_of(_null(kind, 150, seed), 150), plan())
        rejected += min(pair.p_adjusted for pair in found.comparisons) < 0.05
    assert rejected <= 14  # a binomial of 0.05 exceeds that once in 10,000; scripts/simulate_error_rates.py is exact


def _null(kind, num_rows, seed):
    rng = np.random.default_rng(seed)
    if kind in CLASS_METRICS:
        return classes(kind, *made(num_rows, right=(0.75, 0.75, 0.75), seed=seed))
    if kind == "rmse":
        return SquaredErrors(rng.normal(size=(num_rows, 1)) + rng.normal(size=(num_rows, 3)))
    return answers_of(kind, num_rows, seed)
