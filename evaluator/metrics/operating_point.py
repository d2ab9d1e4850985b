"""Operating point: the threshold at which the control does what was asked, and the classes predicted at a threshold."""

import numpy as np

from assay.evaluator.metrics.predictions import Predictions, label_index
from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.column import FrozenColumn
from assay.manifests.metric import Metric, OperatingPoint


def threshold(point: OperatingPoint, *, second_R: np.ndarray, positive_R: np.ndarray) -> float | str:
    """The lowest threshold that keeps the control at an operating point.

    It lies half way from the last threshold of scikit-learn's `roc_curve` whose false positive rate is within the bound
    to the control's next lower probability: the control does the same there, and no arm is told apart by rounding.

    The control's own rows choose it, and every interval takes it as given. So intervals speak of arms *at this
    threshold*; how far another sample of rows would have moved it is not in them. The control lies just within the
    bound on these rows by construction, its false positive rate on new rows is as likely above it; and what an arm
    does at this threshold tells nothing of what it would do at one of its own.

    Args:
        point: What is asked of the control.
        second_R: The control's probability of the second class, shape (rows,).
        positive_R: Whether the label is the second class, shape (rows,).

    Returns:
        The threshold; or in words why there is none.
    """
    if positive_R.all():
        return "no row is labelled with the first class: there is no false positive rate"
    levels, place = np.unique(second_R, return_inverse=True)
    num_negative = np.bincount(place[~positive_R], minlength=len(levels))
    reached = np.cumsum(num_negative[::-1])[::-1] / num_negative.sum()  # rows at this level or above
    within = np.flatnonzero(reached <= point.false_positive_rate)
    if not within.size:
        return (
            f"at no threshold has the control a false positive rate of at most {point.false_positive_rate:g}: at its "
            f"highest probability, {levels[-1]:.6g}, it is {reached[-1]:.4g}"
        )
    first = int(within[0])
    if first == 0:
        return float(levels[0])
    between = (levels[first - 1] + levels[first]) / 2
    return float(between if between > levels[first - 1] else levels[first])


def check(metric: Metric, predictions: Predictions, labels: np.ndarray, *, label: FrozenColumn) -> None:
    """Checks, while rows are scored, that a threshold will tell them apart.

    Raises:
        PredictionError: The variant answers with other than two classes, or a label is none of them.
    """
    if predictions.num_classes != 2:
        raise PredictionError(
            f"metric '{metric.name}' tells two classes apart by a threshold, but the variant answers with "
            f"{predictions.num_classes}"
        )
    label_index(labels, label=label, num_classes=2, first_row=predictions.first_row)


def predicted(probabilities_RC: np.ndarray, *, threshold: float, label: FrozenColumn) -> np.ndarray:
    """The classes at a threshold, as `Predictions.prediction`: the second of two from this probability on."""
    index = (probabilities_RC[:, 1] >= threshold).astype(np.int64)
    return np.array(label.classes, dtype=object)[index] if label.classes else index
