"""Operating points: the threshold is that of scikit-learn's ROC curve, and classes are predicted from it on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from assay.evaluator.metrics.operating_point import predicted, threshold
from assay.manifests.metric import OperatingPoint
from tests.evaluator.metrics.builders import label


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from([0.0, 0.01, 0.1, 0.5]), levels=st.sampled_from([None, 5]))
def test_an_operating_point_is_the_last_of_scikit_learns_roc_curve_within_the_bound(seed, rate, levels):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    positive[:2] = [True, False]
    second = rng.random(60) * 0.7 + 0.3 * positive
    second = np.round(second * levels) / levels if levels else second
    rates, _, thresholds = reference.roc_curve(positive, second, drop_intermediate=False)
    last = np.flatnonzero(rates <= rate)[-1]
    found = threshold(OperatingPoint(false_positive_rate=rate), second_R=second, positive_R=positive)
    if np.isinf(thresholds[last]):  # scikit-learn's point where nothing is predicted
        assert isinstance(found, str)
        assert "at every threshold" in found
    else:
        assert ((second >= found) == (second >= thresholds[last])).all()
        lower = second[second < thresholds[last]]
        assert not lower.size or found == pytest.approx((lower.max() + thresholds[last]) / 2)


def test_without_a_negative_row_there_is_no_operating_point():
    point = OperatingPoint(false_positive_rate=0.1)
    found = threshold(point, second_R=np.ones(3), positive_R=np.ones(3, dtype=bool))
    assert isinstance(found, str)
    assert found.startswith("no row is labelled with the first class")


def test_the_second_class_is_predicted_from_the_threshold_on():
    probabilities = np.array([[0.7, 0.3], [0.6, 0.4], [0.5, 0.5]])
    assert predicted(probabilities, threshold=0.4, label=label()).tolist() == [0, 1, 1]
    assert predicted(probabilities, threshold=0.4, label=label("no", "yes")).tolist() == ["no", "yes", "yes"]
