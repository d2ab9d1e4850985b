"""Metrics of predicted classes: precision, recall, F1, balanced accuracy, macro F1, Matthews.

Axes: R rows, A arms, K classes, S sums of one arm (joint_table), C combinations of label and prediction.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons import bootstrap
from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import corpus_value, jackknife, joint_table
from assay.stats.corpus.corpus_samples import MOST_COUNTS, NUM_REPLICATES
from assay.stats.corpus.corpus_value import CorpusValue
from assay.stats.corpus.joint_table import ClassMetric
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats

_BLOCK_NUM_SUMS = 4_000_000

CLASS_METRICS: dict[str, ClassMetric] = {
    "precision": joint_table.precision,
    "recall": joint_table.recall,
    "f1": joint_table.f1,
    "balanced_accuracy": joint_table.balanced_accuracy,
    "macro_f1": joint_table.macro_f1,
    "matthews": joint_table.matthews,
}


def of_predictions(
    metric: str,
    labels_R: NDArray[Any],
    predictions_RA: NDArray[Any],
    *,
    classes: tuple[Any, ...] | None,
) -> "Classes | str":
    """Numbers the classes of labels and predictions.

    Args:
        metric: One of `CLASS_METRICS`.
        labels_R: The label of each row.
        predictions_RA: Each arm's predicted class of each row.
        classes: All classes, the positive one last. None: those that occur.

    Returns:
        The statistic, or the reason why it is undefined: another class occurs.
    """
    if classes is None:
        classes = tuple(np.unique(np.concatenate([labels_R, predictions_RA.ravel()])).tolist())
    order = defaultdict(lambda: -1, {name: number for number, name in enumerate(classes)})
    numbered = np.vectorize(order.__getitem__, otypes=[np.int32])
    numbers_R, numbers_RA = numbered(labels_R), numbered(predictions_RA)
    for values, numbers in ((labels_R, numbers_R), (predictions_RA, numbers_RA)):
        if (numbers < 0).any():
            needed = " and ".join(map(str, classes))
            return f"{metric} needs the two classes {needed}; got {values[numbers < 0][0]}"
    return Classes(metric, classes, numbers_R, numbers_RA)


@dataclass(frozen=True, eq=False)
class Classes:
    """Predicted classes, for metrics that are functions of class counts.

    Attributes:
        metric: One of `CLASS_METRICS`.
        classes: Names or numbers of the classes, the positive class last.
        labels_R: The class index of each row's label, int32.
        predictions_RA: The class index of each arm's prediction, int32.
    """

    metric: str
    classes: tuple[Any, ...]
    labels_R: NDArray[np.int32]
    predictions_RA: NDArray[np.int32]

    @property
    def bounded(self) -> bool:
        """Whether the metric lies between 0 and 1: all but Matthews' coefficient do."""
        return self.metric != "matthews"

    def subset(self, rows_R: NDArray[Any]) -> "Classes":
        """The statistic of some rows only."""
        return Classes(self.metric, self.classes, self.labels_R[rows_R], self.predictions_RA[rows_R])

    def values(self) -> tuple[CorpusValue, ...]:
        """The metric of each arm."""
        return tuple(map(self._value, self.predictions_RA.T))

    def _value(self, predictions_R: NDArray[np.int32]) -> CorpusValue:
        code_R = self.labels_R.astype(np.int64) * len(self.classes) + predictions_R
        total_S = self._total(code_R, np.ones(len(code_R), dtype=np.int64))
        reason = self._undefined(total_S)
        if reason:
            return CorpusValue(None, reason)
        return corpus_value.of_arms(np.array([CLASS_METRICS[self.metric](total_S)]))[0]

    def _undefined(self, total_S: Floats) -> str:
        """Why one arm's metric has no value; empty if it has one."""
        _, predicted_K, label_K = total_S[:-1].reshape(3, -1)
        match self.metric:
            case "precision" if not predicted_K[-1]:
                return f"no row is predicted as {self.classes[-1]}"
            case "recall" if not label_K[-1]:
                return f"no row is labelled {self.classes[-1]}"
            case "f1" if not predicted_K[-1] + label_K[-1]:
                return f"no row is labelled or predicted as {self.classes[-1]}"
            case "matthews":
                for count_K, verb in ((label_K, "labelled"), (predicted_K, "predicted as")):
                    if np.count_nonzero(count_K) == 1:
                        return f"every row is {verb} {self.classes[int(count_K.argmax())]}"
        return ""

    def pseudo_values(self) -> Floats:
        """Jackknife pseudo-values; rows with the same label and prediction are interchangeable."""
        num_classes = len(self.classes)
        scores_RA = np.empty(self.predictions_RA.shape)
        for arm, predictions_R in enumerate(self.predictions_RA.T):
            code_R = self.labels_R.astype(np.int64) * num_classes + predictions_R
            codes_C, place_R, counts_C = np.unique(code_R, return_inverse=True, return_counts=True)
            without_C = self._without(codes_C, counts_C)
            scores_RA[:, arm] = jackknife.pseudo_values(self._metric_of(codes_C, counts_C), without_C, counts_C)[
                place_R
            ]
        return scores_RA

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:
        """Bootstraps the counts of the joint table (multinomial); with clusters, whole clusters."""
        arms = tuple(map(str, range(self.predictions_RA.shape[1])))
        numbers = range(len(self.classes))
        if clusters_R is None:
            table = joint_table.joint_table(self.labels_R, self.predictions_RA, arms=arms, classes=numbers)
            if len(table.counts_C) * NUM_REPLICATES > MOST_COUNTS:
                return None
            return table.bootstrap(CLASS_METRICS[self.metric], num_replicates=NUM_REPLICATES)
        num_sums = len(arms) * (3 * len(self.classes) + 1)
        if len(self.labels_R) * num_sums > MOST_COUNTS:
            return None
        one_hot = np.eye(len(self.classes))
        sums_RAS = joint_table.sums_of(one_hot[self.labels_R][:, None], one_hot[self.predictions_RA])
        return bootstrap.bootstrap_sums(
            sums_RAS, CLASS_METRICS[self.metric], keys_R=keys_R, num_replicates=NUM_REPLICATES
        )

    def _sums_of(self, codes_C: NDArray[np.int64]) -> Floats:
        one_hot = np.eye(len(self.classes))
        return joint_table.sums_of(one_hot[codes_C // len(self.classes)], one_hot[codes_C % len(self.classes)])

    def _total(self, codes_C: NDArray[np.int64], counts_C: NDArray[np.int64]) -> Floats:
        label_C, predicted_C = np.divmod(codes_C, len(self.classes))
        num_classes = len(self.classes)
        predicted_K = np.bincount(predicted_C, weights=counts_C, minlength=num_classes)
        label_K = np.bincount(label_C, weights=counts_C, minlength=num_classes)
        hits_K = np.bincount(label_C, weights=counts_C * (label_C == predicted_C), minlength=num_classes)
        return np.concatenate([hits_K, predicted_K, label_K, [counts_C.sum()]])

    def _metric_of(self, codes_C: NDArray[np.int64], counts_C: NDArray[np.int64]) -> float:
        with np.errstate(all="ignore"):
            return float(CLASS_METRICS[self.metric](self._total(codes_C, counts_C)))

    def _without(self, codes_C: NDArray[np.int64], counts_C: NDArray[np.int64]) -> Floats:
        total_S = self._total(codes_C, counts_C)
        block = max(1, _BLOCK_NUM_SUMS // len(total_S))
        with np.errstate(all="ignore"):
            return np.concatenate(
                [
                    CLASS_METRICS[self.metric](total_S - self._sums_of(codes_C[first : first + block]))
                    for first in range(0, len(codes_C), block)
                ]
            )
