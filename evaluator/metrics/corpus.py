"""Corpus metrics: one number for a whole dataset, accumulated piece by piece.

Sums and means use torchmetrics in float64. The other metrics are computed here from counts and ranks, because
torchmetrics 1.9 computes them in float32. In addition, its calibration error puts a confidence of exactly 1 into a
16th bin, its AUROC of a class without rows is 0, its R2 squares labels before it centres them, and the memory for its
counts grows with the square of the number of classes.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torchmetrics

from assay.evaluator.metrics import operating_point, ranking, row
from assay.evaluator.metrics.predictions import label_index
from assay.manifests.column import FrozenColumn
from assay.manifests.metric import Metric

NUM_BINS = 15
"""The number of equal-width bins of the calibration error."""
_PIECE_ROWS = 16_384
"""torch splits the sum of a longer array over its threads, so the last bits would depend on the number of threads."""


@dataclass(frozen=True)
class CorpusValue:
    """The value of a corpus metric, or the reason why it has none.

    Attributes:
        value: The number; None if it is not testable.
        reason: Why it is not testable; empty if it is.
    """

    value: float | None
    reason: str = ""


class CorpusMetric:
    """Accumulates rows and then computes one number. The caller chooses the pieces and their order."""

    def __init__(self, metric: Metric, *, label: FrozenColumn, chosen: CorpusValue | None = None) -> None:
        """Starts without rows.

        Args:
            metric: The metric; its `row_measure` is None. `accuracy`: the share of rows whose predicted class is the
                label. `precision`, `recall`, `f1`: of the second of two classes. `balanced_accuracy`: the mean recall
                over the classes that occur as a label. `macro_f1`: the mean F1 over the classes that occur as a label
                or a prediction. `matthews`: the Matthews correlation coefficient. `auroc`, `average_precision`: the
                area under the ROC curve, and precision averaged over the steps of recall, both of the second of two
                classes; with more classes the mean over the classes, each against the rest.
                `calibration_error`: the expected calibration error (l1) of the predicted class's probability over 15
                bins of equal width, each including its upper edge (Guo et al. 2017, On Calibration of Modern Neural
                Networks). `rmse`, `mae`, `r2`: of the values. `value_per_row`: the mean value of the outcomes. `ndcg`,
                `mrr`, `hit_rate`: the mean over queries, see `ranking.queries`.
            label: The label column, which may name the classes.
            chosen: The threshold of a metric with an operating point, or the reason why it has none.
        """
        self._threshold = CorpusValue(metric.threshold) if chosen is None else chosen
        self._label = label
        self._accumulator = _accumulator(metric, label)
        self._num_rows = 0

    def update(
        self,
        *,
        prediction: np.ndarray,
        probabilities: np.ndarray | None,
        labels: np.ndarray,
        queries: np.ndarray | None = None,
    ) -> None:
        """Adds rows.

        Args:
            prediction: Shape (rows,), as in `Predictions.prediction`.
            probabilities: Shape (rows, classes), or None if the output has no probabilities.
            labels: Shape (rows,), as in the label column.
            queries: Shape (rows,): the name of each row's query, or None if there are no queries.

        Raises:
            PredictionError: A label is not one of the variant's classes.
        """
        if self._threshold.reason:
            return
        if self._threshold.value is not None:
            assert probabilities is not None, "the suite allows a threshold only for outputs with probabilities"
            prediction = operating_point.predicted(probabilities, threshold=self._threshold.value, label=self._label)
        self._accumulator.update(_Rows(prediction, probabilities, labels, queries))
        self._num_rows += len(labels)

    def compute(self) -> CorpusValue:
        """The metric over all rows added so far."""
        if self._threshold.reason:
            return CorpusValue(None, self._threshold.reason)
        if not self._num_rows:
            return CorpusValue(None, "there are no rows")
        value = self._accumulator.compute()
        if isinstance(value, str):
            return CorpusValue(None, value)
        if not math.isfinite(value):
            return CorpusValue(None, f"the result is {value}: it is outside the range of float64")
        return CorpusValue(value)


@dataclass(frozen=True)
class _Rows:
    prediction: np.ndarray
    probabilities: np.ndarray | None
    labels: np.ndarray
    queries: np.ndarray | None


class _Accumulator(Protocol):
    def update(self, rows: _Rows) -> None: ...

    def compute(self) -> float | str:
        """The value, or the reason why there is none. At least one row has been added."""
        ...


def _accumulator(metric: Metric, label: FrozenColumn) -> _Accumulator:
    match metric.measure:
        case "accuracy":
            return _Mean(lambda rows: rows.prediction == rows.labels)
        case "value_per_row":
            values = metric.values
            assert values is not None
            return _Mean(lambda rows: row.values_of(values, rows.prediction, rows.labels))
        case "precision" | "recall" | "f1" | "balanced_accuracy" | "macro_f1" | "matthews":
            return _ClassCounts(metric.measure, label)
        case "auroc":
            return _Ranked("AUROC", _area, label)
        case "average_precision":
            return _Ranked("average precision", _average_precision, label)
        case "calibration_error":
            return _CalibrationError()
        case "rmse":
            return _Error(torchmetrics.MeanSquaredError(squared=False))
        case "mae":
            return _Error(torchmetrics.MeanAbsoluteError())
        case "r2":
            return _Explained()
        case "ndcg" | "mrr" | "hit_rate":
            return _Queries(metric)
        case _:
            raise ValueError(f"metric '{metric.name}' has row scores: it is their mean, not a corpus metric")


class _Mean:
    def __init__(self, scores: Callable[[_Rows], np.ndarray]) -> None:
        self._scores = scores
        self._mean = torchmetrics.MeanMetric().set_dtype(torch.float64)

    def update(self, rows: _Rows) -> None:
        scores = self._scores(rows)
        for first in range(0, len(scores), _PIECE_ROWS):
            self._mean.update(_tensor(scores[first : first + _PIECE_ROWS]))

    def compute(self) -> float | str:
        return float(self._mean.compute())


class _Error:
    def __init__(self, metric: torchmetrics.Metric) -> None:
        self._metric = metric.set_dtype(torch.float64)

    def update(self, rows: _Rows) -> None:
        for first in range(0, len(rows.labels), _PIECE_ROWS):
            piece = slice(first, first + _PIECE_ROWS)
            self._metric.update(_tensor(rows.prediction[piece]), _tensor(rows.labels[piece]))

    def compute(self) -> float | str:
        return float(self._metric.compute())


class _Explained:
    """R2. Keeps all labels and squared errors, because the labels' deviations need their mean first."""

    def __init__(self) -> None:
        self._labels: list[np.ndarray] = []
        self._squares: list[np.ndarray] = []

    def update(self, rows: _Rows) -> None:
        labels = rows.labels.astype(np.float64)
        self._labels.append(labels)
        self._squares.append(np.square(rows.prediction - labels))

    def compute(self) -> float | str:
        """1 - (squared errors) / (squared deviations of the labels from their mean)."""
        labels = np.concatenate(self._labels)
        if (labels == labels[0]).all():
            return f"every label is {labels[0]:g}: there is no variance to explain"
        return 1.0 - float(np.concatenate(self._squares).sum() / np.square(labels - labels.mean()).sum())


class _Queries:
    """Ranking metrics. Keeps every row, because the rows of one query may arrive in several pieces."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._parts: list[tuple[np.ndarray, ...]] = []

    def update(self, rows: _Rows) -> None:
        assert rows.queries is not None, "the dataset of an experiment with this measure has a cluster column"
        self._parts.append((rows.prediction, rows.labels, rows.queries))

    def compute(self) -> float | str:
        queries = ranking.queries(self._metric, *map(np.concatenate, zip(*self._parts, strict=True)))
        return queries if isinstance(queries, str) else math.fsum(queries.scores_Q) / len(queries.scores_Q)


class _ClassCounts:
    """Metrics computed from the number of correct predictions, labels and predictions of every class."""

    def __init__(self, measure: str, label: FrozenColumn) -> None:
        self._measure = measure
        self._label = label
        self._hits: Counter[int | str] = Counter()
        self._labelled: Counter[int | str] = Counter()
        self._predicted: Counter[int | str] = Counter()

    def update(self, rows: _Rows) -> None:
        prediction, labels = rows.prediction, rows.labels
        self._hits.update(labels[prediction == labels].tolist())
        self._labelled.update(labels.tolist())
        self._predicted.update(prediction.tolist())

    def compute(self) -> float | str:
        hits, labelled, predicted = self._hits, self._labelled, self._predicted
        both = labelled + predicted
        match self._measure:
            # fsum: the mean must not depend on the order in which the classes first occurred
            case "macro_f1":  # F1 = 2 tp / (2 tp + fp + fn); the denominator is rows labelled + rows predicted
                return math.fsum(2 * hits[name] / both[name] for name in both) / len(both)
            case "balanced_accuracy":
                return math.fsum(hits[name] / labelled[name] for name in labelled) / len(labelled)
            case "matthews":
                return self._matthews()
        unknown = sorted(set(both) - set(self._classes), key=str)
        if unknown:
            return f"{self._measure} needs the two classes {self._classes[0]} and {self._classes[1]}; got {unknown[0]}"
        positive = self._classes[1]
        rows, condition = {
            "precision": (predicted[positive], "predicted as"),
            "recall": (labelled[positive], "labelled"),
            "f1": (both[positive] / 2, "labelled or predicted as"),
        }[self._measure]
        return hits[positive] / rows if rows else f"no row is {condition} {positive}"

    @property
    def _classes(self) -> tuple[int | str, ...]:
        return self._label.classes or (0, 1)

    def _matthews(self) -> float | str:
        """For any number of classes (Gorodkin 2004, Comput. Biol. Chem. 28:367), in integers until the last step."""
        labelled, predicted = self._labelled, self._predicted
        rows = labelled.total()
        covariance = self._hits.total() * rows - sum(predicted[name] * labelled[name] for name in labelled)
        variances = 1
        for counts, verb in ((labelled, "labelled"), (predicted, "predicted as")):
            if len(counts) == 1:
                return f"every row is {verb} {next(iter(counts))}"
            variances *= rows**2 - sum(count**2 for count in counts.values())
        return covariance / math.sqrt(variances)


class _CalibrationError:
    def __init__(self) -> None:
        self._hits = np.zeros(NUM_BINS, dtype=np.int64)
        self._confidence = np.zeros(NUM_BINS, dtype=np.float64)
        self._num_rows = 0

    def update(self, rows: _Rows) -> None:
        probabilities, labels = rows.probabilities, rows.labels
        assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
        confidence = probabilities.max(axis=1)
        # Bins (0, 1/15], (1/15, 2/15], ... given by their inner edges only, so that a confidence of 1 is in the last bin.
        bins = np.searchsorted(np.linspace(0, 1, NUM_BINS + 1)[1:-1], confidence, side="left")
        self._confidence += np.bincount(bins, weights=confidence, minlength=NUM_BINS)
        self._hits += np.bincount(bins[rows.prediction == labels], minlength=NUM_BINS)
        self._num_rows += len(labels)

    def compute(self) -> float | str:
        """The sum over bins of (rows in the bin / all rows) * |accuracy - mean confidence|, simplified."""
        return float(np.abs(self._hits - self._confidence).sum() / self._num_rows)


class _Ranked:
    """Metrics computed from ranks. Keeps every probability, because ranks need all of them at once."""

    def __init__(self, title: str, measure: "_RankMeasure", label: FrozenColumn) -> None:
        self._title, self._measure, self._label = title, measure, label
        self._probabilities: list[np.ndarray] = []
        self._indices: list[np.ndarray] = []

    def update(self, rows: _Rows) -> None:
        probabilities = rows.probabilities
        assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
        first_row = sum(map(len, self._indices))
        index = label_index(rows.labels, label=self._label, num_classes=probabilities.shape[1], first_row=first_row)
        self._probabilities.append(probabilities)
        self._indices.append(index)

    def compute(self) -> float | str:
        indices = np.concatenate(self._indices)
        probabilities = np.concatenate(self._probabilities)
        num_classes = probabilities.shape[1]
        counts = np.bincount(indices, minlength=num_classes)
        if np.count_nonzero(counts) < 2:
            return f"every row is labelled {self._name(int(counts.argmax()))}; {self._title} needs another class"
        if not counts.all():
            missing = [self._name(int(index)) for index in np.flatnonzero(counts == 0)]
            shown = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
            return f"no row is labelled {shown}; the mean over the classes needs rows of every class"
        columns = [1] if num_classes == 2 else range(num_classes)
        values = [self._measure(probabilities[:, column], positive=indices == column) for column in columns]
        return math.fsum(values) / len(values)

    def _name(self, index: int) -> str:
        return self._label.classes[index] if self._label.classes else str(index)


class _RankMeasure(Protocol):
    def __call__(self, scores: np.ndarray, *, positive: np.ndarray) -> float: ...


def _area(scores: np.ndarray, *, positive: np.ndarray) -> float:
    """The area under the ROC curve from the Mann-Whitney statistic, with ties counted as one half.

    Every term is an integer or a half, so the sum is exact (Hanley and McNeil 1982, Radiology 143).
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(count) - (count - 1) / 2
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    above = midranks[place[positive]].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def _average_precision(scores: np.ndarray, *, positive: np.ndarray) -> float:
    """The sum over thresholds of (recall - recall at the next higher threshold) * precision.

    Not interpolated; the same as scikit-learn's `average_precision_score`.
    """
    _, place, count = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(place[positive], minlength=len(count))
    return float((hits * (np.cumsum(hits) / np.cumsum(count))).sum() / hits.sum())


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
