"""Metrics of predicted classes: precision, recall, F1, balanced accuracy, macro F1, Matthews.

Axes: R rows, A arms, K classes, S sums of one arm (joint_table), C combinations of label and prediction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons import bootstrap
from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import jackknife, joint_table
from assay.stats.corpus.corpus_samples import MOST_COUNTS, NUM_REPLICATES
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
