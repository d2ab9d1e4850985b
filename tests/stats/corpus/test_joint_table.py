import numpy as np
import pytest
from sklearn import metrics as reference

from assay.stats.comparisons.bootstrap import bootstrap_sums, comparisons
from assay.stats.corpus import joint_table
from assay.stats.errors import SamplesError
from assay.stats.moments.bootstrap_weights import row_keys
from assay.stats.moments.moments import moments_of
from tests.stats.corpus.delta_method import linearised


def made(num_rows, *, num_classes=2, num_arms=3, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_rows)
    keep = rng.random((num_rows, num_arms)) < np.linspace(0.7, 0.85, num_arms)
    predictions = np.where(keep, labels[:, None], rng.integers(0, num_classes, (num_rows, num_arms)))
    return labels, predictions


BINARY = {
    joint_table.precision: reference.precision_score,
    joint_table.recall: reference.recall_score,
    joint_table.f1: reference.f1_score,
    joint_table.balanced_accuracy: reference.balanced_accuracy_score,
    joint_table.matthews: reference.matthews_corrcoef,
}
MANY = {
    joint_table.balanced_accuracy: reference.balanced_accuracy_score,
    joint_table.macro_f1: lambda y, p: reference.f1_score(y, p, average="macro"),
    joint_table.matthews: reference.matthews_corrcoef,
}


@pytest.mark.parametrize("metric", BINARY)
def test_metrics_of_two_classes_agree_with_scikit_learn(metric):
    labels, predictions = made(200)
    table = joint_table.joint_table(labels, predictions, arms="abc", classes=(0, 1))
    expected = [BINARY[metric](labels, column) for column in predictions.T]
    assert table.estimates(metric) == pytest.approx(expected)


@pytest.mark.parametrize("metric", MANY)
def test_metrics_of_five_classes_agree_with_scikit_learn(metric):
    labels, predictions = made(400, num_classes=5)
    names = np.array(["pear", "fig", "apple", "plum", "kiwi"])
    table = joint_table.joint_table(names[labels], names[predictions], arms="abc", classes=tuple(names))
    assert table.estimates(metric) == pytest.approx([MANY[metric](labels, column) for column in predictions.T])


def test_parts_add_up_to_the_whole():
    labels, predictions = made(300)
    words = {"arms": ("a", "b", "c"), "classes": (0, 1)}
    whole = joint_table.joint_table(labels, predictions, **words)
    parts = [joint_table.joint_table(labels[i : i + 64], predictions[i : i + 64], **words) for i in range(0, 300, 64)]
    total = sum(reversed(parts[:-1]), start=parts[-1])
    assert (total.cells_CX == whole.cells_CX).all()
    assert (total.counts_C == whole.counts_C).all()
    one, other = (table.bootstrap(joint_table.f1, num_replicates=50) for table in (total, whole))
    assert (one.replicates_BA == other.replicates_BA).all()
    assert whole.num_rows == 300


def test_bootstrap_of_the_table_agrees_with_the_delta_method_and_with_rows():
    labels, predictions = made(600)
    table = joint_table.joint_table(labels, predictions, arms="abc", classes=(0, 1))
    of_table = table.bootstrap(joint_table.f1, num_replicates=8000)
    truth = labels[:, None] == 1
    y = 2.0 * ((predictions == 1) & truth)
    x = (predictions == 1) + 1.0 * truth
    delta = moments_of(linearised(y, x), arms=("a", "b", "c"), control=0)
    assert of_table.estimate_A == pytest.approx(delta.mean_A)
    assert of_table.covariance_AA == pytest.approx(delta.covariance_AA / 600, rel=0.05, abs=2e-5)
    sums_RAS = np.stack([y, x], axis=2)
    of_rows = bootstrap_sums(
        sums_RAS, lambda sums: sums[..., 0] / sums[..., 1], keys_R=row_keys(np.arange(600)), num_replicates=4000
    )
    assert of_rows.covariance_AA == pytest.approx(of_table.covariance_AA, rel=0.05, abs=2e-5)


def test_a_metric_that_is_often_undefined_is_not_testable():
    labels = np.array([1] + [0] * 99)
    predictions = np.zeros((100, 2), dtype=int)
    predictions[0, 0] = 1
    table = joint_table.joint_table(labels, predictions, arms=("a", "b"), classes=(0, 1))
    replicates = table.bootstrap(joint_table.recall, num_replicates=500)
    assert replicates.num_undefined > 100  # a third of the replicates have no positive row
    (pair,) = comparisons(replicates, arms=("a", "b"), control="a", family="dunnett", alpha=0.05)
    assert pair.p_adjusted is None
    assert "undefined" in pair.not_testable
    assert pair.estimate == -1.0


def test_labels_that_are_no_class_are_refused_with_their_place():
    with pytest.raises(SamplesError, match=r"row 1 .*b.*got 7.*0, 1"):
        joint_table.joint_table([0, 1], [[0, 1], [1, 7]], arms="ab", classes=(0, 1))
    with pytest.raises(SamplesError, match="no rows"):
        joint_table.joint_table([], np.empty((0, 2)), arms="ab", classes=(0, 1))


def test_ten_thousand_replicates_of_many_rows_cost_no_more_than_of_few():
    """The cost depends on the size of the table, not on the number of rows."""
    labels, predictions = made(200_000, num_arms=5)
    table = joint_table.joint_table(labels, predictions, arms="abcde", classes=(0, 1))
    assert len(table.counts_C) <= 2**6
    replicates = table.bootstrap(joint_table.f1)
    assert replicates.replicates_BA.shape == (10_000, 5)
