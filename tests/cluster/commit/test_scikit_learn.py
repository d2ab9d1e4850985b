"""Every metric against scikit-learn on random and on degenerate rows: equal to 1e-6, or reported as not testable."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from assay.evaluator.metrics import row
from assay.evaluator.metrics.predictions import predictions_of
from assay.evaluator.predictors.predictor import PredictionError
from assay.stats.corpus.corpus_value import CorpusValue
from tests.cluster.commit.corpus_values import corpus_value
from tests.evaluator.metrics import builders
from tests.evaluator.metrics.builders import label

NUM_CLASSES = 4


def measured(measure, raw, output, labels, *, queries=None, piece=7, **parameters):
    """The metric as a run computes it: the mean of row scores, or from all score tables."""
    metric = builders.metric(measure, **parameters)
    said = predictions_of(raw, output=output, label=label())
    if metric.scores_rows:
        return CorpusValue(float(row.score(metric, row.ScoredRows(said, labels, label(), piece)).mean()))
    return corpus_value(
        metric, said.prediction, said.probabilities, labels, label=label(), queries=queries, piece=piece
    )


def probabilities_of(logits):
    return predictions_of(logits, output="logits", label=label()).probabilities


def one_hot(labels, num_classes):
    return np.eye(num_classes, dtype=int)[labels]


def top_k(labels, logits, k):
    given = probabilities_of(logits)
    given = given[:, 1] if given.shape[1] == 2 else given
    return reference.top_k_accuracy_score(labels, given, k=k, labels=range(logits.shape[1]))


def average_precision(labels, logits):
    given = probabilities_of(logits)
    if given.shape[1] == 2:
        return reference.average_precision_score(labels, given[:, 1])
    return reference.average_precision_score(one_hot(labels, given.shape[1]), given, average="macro")


def at(cut, score):
    return lambda labels, logits: score(labels, (probabilities_of(logits)[:, 1] >= cut).astype(int))


def value(labels, logits):
    counts = reference.confusion_matrix(labels, logits.argmax(axis=1), labels=range(logits.shape[1]))
    return (counts * np.array(COSTS)[: logits.shape[1], : logits.shape[1]]).sum() / len(labels)


COSTS = [[1.0, -5.0, 0.0, 2.0], [-20.0, 10.0, 1.5, 0.0], [0.0, 0.25, 3.0, -1.0], [7.0, -2.0, 0.0, 1.0]]


def values_of(num_classes):
    return {str(a): {str(b): COSTS[a][b] for b in range(num_classes)} for a in range(num_classes)}


OF_CLASSES = [  # measure, parameters, scikit-learn's
    ("top_k_accuracy", {"k": 2}, lambda y, x: top_k(y, x, 2)),
    ("top_k_accuracy", {"k": 3}, lambda y, x: top_k(y, x, 3)),
    ("top_k_accuracy", {"k": 9}, lambda y, x: top_k(y, x, 9)),
    ("average_precision", {}, average_precision),
    ("value_per_row", "values", value),
]
OF_TWO = [
    *OF_CLASSES,
    ("accuracy", {"threshold": 0.3}, at(0.3, reference.accuracy_score)),
    ("precision", {"threshold": 0.3}, at(0.3, reference.precision_score)),
    ("recall", {"threshold": 0.3}, at(0.3, reference.recall_score)),
    ("f1", {"threshold": 0.3}, at(0.3, reference.f1_score)),
    ("balanced_accuracy", {"threshold": 0.3}, at(0.3, reference.balanced_accuracy_score)),
    ("matthews", {"threshold": 0.3}, at(0.3, reference.matthews_corrcoef)),
]
SHAPES = ("random", "ties", "all_equal", "first_class_only", "last_class_only", "always_right", "one_row")


def rows_of(shape, num_classes, rng):
    num_rows = 1 if shape == "one_row" else 41
    labels = rng.integers(0, num_classes, num_rows)
    logits = rng.normal(size=(num_rows, num_classes))
    match shape:
        case "ties":
            logits = np.round(logits)
        case "all_equal":
            logits = np.zeros_like(logits)
        case "first_class_only":
            labels = np.zeros_like(labels)
        case "last_class_only":
            labels = np.full_like(labels, num_classes - 1)
        case "always_right":
            logits = 50.0 * one_hot(labels, num_classes)
    return labels, logits


def quietly(expected, labels, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return expected(labels, said)


def may_be_untestable(measure, labels, logits):
    """Where scikit-learn returns 0 or 1 by convention: a class has no rows, or is never predicted."""
    if measure == "average_precision":
        return len(set(labels)) < logits.shape[1]
    said = probabilities_of(logits)[:, 1] >= 0.3
    no_rows = {"precision": not said.any(), "recall": not labels.any(), "f1": not (said.any() or labels.any())}
    return no_rows.get(measure, measure == "matthews" and (len(set(said)) == 1 or len(set(labels)) == 1))


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_classes=st.integers(2, NUM_CLASSES))
def test_metrics_of_classes_are_scikit_learns(shape, seed, num_classes):
    labels, logits = rows_of(shape, num_classes, np.random.default_rng(seed))
    for measure, parameters, expected in OF_TWO if num_classes == 2 else OF_CLASSES:
        given_parameters = {"values": values_of(num_classes)} if parameters == "values" else parameters
        found = measured(measure, logits, "logits", labels, **given_parameters)
        if may_be_untestable(measure, labels, logits):
            assert found.value is None
            assert found.reason
            continue
        assert found.value == pytest.approx(quietly(expected, labels, logits), rel=1e-6, abs=1e-6), (measure, shape)


OF_VALUES = [
    ("absolute_percentage_error", {}, reference.mean_absolute_percentage_error),
    ("quantile_loss", {"quantile": 0.9}, lambda y, x: reference.mean_pinball_loss(y, x, alpha=0.9)),
    ("quantile_loss", {"quantile": 0.5}, lambda y, x: reference.mean_pinball_loss(y, x, alpha=0.5)),
    ("r2", {}, reference.r2_score),
    ("rmse", {}, reference.root_mean_squared_error),
    ("mae", {}, reference.mean_absolute_error),
]


@pytest.mark.parametrize("shape", ["random", "far_from_zero", "zeros_as_labels", "constant_labels", "exact", "one_row"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_metrics_of_values_are_scikit_learns(shape, seed):
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=1 if shape == "one_row" else 41)
    if shape == "far_from_zero":
        labels += 1e6
    if shape == "zeros_as_labels":
        labels[::3] = 0.0
    if shape == "constant_labels":
        labels[:] = 3.5
    values = labels.copy() if shape == "exact" else labels + rng.normal(size=len(labels))
    for measure, parameters, expected in OF_VALUES:
        found = measured(measure, values, "values", labels, **parameters)
        if measure == "r2" and shape in ("constant_labels", "one_row"):
            assert "every label is" in found.reason  # scikit-learn's 0 and 1 are conventions
            continue
        assert found.value == pytest.approx(expected(labels, values), rel=1e-6, abs=1e-6), (measure, shape)


def ranked(seed, *, levels=None, one_relevant=False):
    """Queries of 2 to 9 rows, with unsorted names and interleaved rows."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 10, 12)
    queries = np.repeat(rng.permutation(100)[:12].astype(str).astype(object), sizes)
    labels = rng.integers(0, 4, len(queries))
    if one_relevant:
        labels = np.concatenate([np.eye(size, dtype=int)[rng.integers(size)] for size in sizes])
    values = rng.normal(size=len(queries)) + labels
    if levels is not None:
        values = np.round(values * levels)
    order = rng.permutation(len(queries))
    return values[order].astype(np.float64), labels[order], queries[order]


def by_query(queries):
    return [queries == name for name in dict.fromkeys(queries)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.sampled_from([1, 3, 50]), levels=st.sampled_from([None, 1, 0]))
def test_ndcg_is_scikit_learns_mean_over_queries(seed, k, levels):
    values, labels, queries = ranked(seed, levels=levels)
    found = measured("ndcg", values, "values", labels, queries=queries, k=k)
    expected = [reference.ndcg_score([labels[rows]], [values[rows]], k=k) for rows in by_query(queries)]
    assert found.value == pytest.approx(np.mean(expected), rel=1e-9, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([None, 1, 0]))
def test_mrr_is_scikit_learns_ranking_precision_where_one_row_is_relevant(seed, levels):
    values, labels, queries = ranked(seed, levels=levels, one_relevant=True)
    found = measured("mrr", values, "values", labels, queries=queries)
    ranks = [
        1 / reference.label_ranking_average_precision_score([labels[rows]], [values[rows]])
        for rows in by_query(queries)
    ]
    assert found.value == pytest.approx(np.mean(1 / np.array(ranks)), rel=1e-12)
    for k in (1, 2, 20):
        hits = measured("hit_rate", values, "values", labels, queries=queries, k=k)
        assert hits.value == pytest.approx(np.mean(np.array(ranks) <= k + 1e-9), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "labels", "ndcg", "mrr", "hit"),
    [
        ([3.0, 2.0, 1.0], [0, 0, 0], 0.0, 0.0, 0.0),  # nothing relevant: as scikit-learn's 0
        ([5.0], [2], 1.0, 1.0, 1.0),  # a query of one row, which scikit-learn refuses
        ([1.0, 1.0, 1.0], [1, 0, 0], (1 + 1 / np.log2(3)) / 3, 1 / 3, 0.0),  # all tied; k = 2
    ],
)
def test_degenerate_queries(values, labels, ndcg, mrr, hit):
    queries = np.array(["q"] * len(values), dtype=object)
    found = [
        measured(name, np.array(values), "values", np.array(labels), queries=queries, **more).value
        for name, more in (("ndcg", {"k": 2}), ("mrr", {}), ("hit_rate", {"k": 2}))
    ]
    assert found == pytest.approx([ndcg, mrr, hit])


def test_a_relevance_below_zero_is_not_testable():
    queries = np.array(["q", "q"], dtype=object)
    assert "got -1" in measured("ndcg", np.ones(2), "values", np.array([1, -1]), queries=queries, k=2).reason


def test_a_label_without_a_value_names_its_row():
    with pytest.raises(
        PredictionError, match="row 1: the metric's 'values' have no entry for the label 3; entries: 0, 1"
    ):
        measured("value_per_row", np.array([0, 1]), "labels", np.array([0, 3]), values=values_of(2))
