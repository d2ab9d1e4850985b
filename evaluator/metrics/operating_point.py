"""Operating point: the threshold at which the control meets it, and the classes predicted at a threshold."""

import numpy as np

from assay.evaluator.metrics.predictions import Predictions, label_index
from assay.evaluator.predictors.predictor import PredictionError
from assay.manifests.column import FrozenColumn
from assay.manifests.metric import Metric, OperatingPoint


def threshold(point: OperatingPoint, *, second_R: np.ndarray, positive_R: np.ndarray) -> float | str:
    """The lowest threshold at which the control stays within the bound of an operating point.

    It is half way between the lowest of the control's probabilities (the thresholds of scikit-learn's `roc_curve`)
    whose false positive rate is within the bound and the control's next lower probability. The control predicts the
    same classes there, and so does an arm whose probabilities differ from the control's only by rounding.

    The threshold is chosen on the control's own rows, and every interval takes it as given. Intervals therefore
    describe the arms *at this threshold*; they do not include how much the threshold would vary with another sample of
    rows. By construction the control is just within the bound on these rows; on new rows its false positive rate is
    as likely to be above it. How an arm performs at this threshold says nothing about its performance at a threshold
    of its own.

    Args:
        point: The operating point.
        second_R: The control's probability of the second class, shape (rows,).
        positive_R: Whether the label is the second class, shape (rows,).

    Returns:
        The threshold, or the reason why there is none.
    """
    if positive_R.all():
        return "no row is labelled with the first class, so there is no false positive rate"
    levels, place = np.unique(second_R, return_inverse=True)
    num_negative = np.bincount(place[~positive_R], minlength=len(levels))
    reached = np.cumsum(num_negative[::-1])[::-1] / num_negative.sum()  # rows at this level or above
    within = np.flatnonzero(reached <= point.false_positive_rate)
    if not within.size:
        return (
            f"the control has a false positive rate above {point.false_positive_rate:g} at every threshold: at its "
            f"highest probability, {levels[-1]:.6g}, it is {reached[-1]:.4g}"
        )
    first = int(within[0])
    if first == 0:
        return float(levels[0])
    between = (levels[first - 1] + levels[first]) / 2
    return float(between if between > levels[first - 1] else levels[first])


def check(metric: Metric, predictions: Predictions, labels: np.ndarray, *, label: FrozenColumn) -> None:
    """Checks, while rows are scored, that a threshold can be applied to them.

    Raises:
        PredictionError: The variant does not predict two classes, or a label is not one of the two.
    """
    if predictions.num_classes != 2:
        raise PredictionError(
            f"metric '{metric.name}' has a threshold between two classes, but the variant predicts "
            f"{predictions.num_classes} classes"
        )
    label_index(labels, label=label, num_classes=2, rows=predictions.rows)


def predicted(probabilities_RC: np.ndarray, *, threshold: float, label: FrozenColumn) -> np.ndarray:
    """The predicted classes, as in `Predictions.prediction`: the second class if its probability is >= the threshold."""
    index = (probabilities_RC[:, 1] >= threshold).astype(np.int64)
    return np.array(label.classes, dtype=object)[index] if label.classes else index
