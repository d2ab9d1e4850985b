"""Corpus metrics: one number for a whole dataset, gathered piece by piece.

Sums and means are torchmetrics' in float64. The others are made here from counts and ranks instead, because torchmetrics
1.9 answers them in float32, and further: its calibration error gives a confidence of exactly 1 a bin of its own beside
the 15, its AUROC of a missing class is 0, its R2 squares labels before it centres them, and its counts take memory in
the square of the number of classes.
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
"""Bins of equal width of the calibration error."""
_PIECE_ROWS = 16_384
"""torch sums longer arrays in as many parts as it has threads, and the last bits would depend on their number."""


@dataclass(frozen=True)
class CorpusValue:
    """One number of a dataset, or why there is none.

    Attributes:
        value: The number; None if it is not testable.
        reason: Why it is not testable; empty otherwise.
    """

    value: float | None
    reason: str = ""


class CorpusMetric:
    """Gathers rows and then answers. The order and the cut of the pieces belong to the caller."""

    def __init__(self, metric: Metric, *, label: FrozenColumn, chosen: CorpusValue | None = None) -> None:
        """Starts without rows.

        Args:
            metric: What is computed; its `row_measure` is None. `accuracy`: the share of rows whose predicted class is
                the label's. `precision`, `recall`, `f1`: of the second of two classes. `balanced_accuracy`: the mean
                recall over the classes that occur as label. `macro_f1`: the mean F1 over the classes that occur as
                label or prediction. `matthews`: Matthews' correlation coefficient. `auroc`, `average_precision`: the
                area under the ROC curve, or the mean of precision over the steps of recall, of the second of two
                classes; of more, the mean over the classes, each against the rest.
                `calibration_error`: the expected calibration error (l1) of the predicted class's probability over 15
                bins of equal width, closed above (Guo et al. 2017, On Calibration of Modern Neural Networks).
                `rmse`, `mae`, `r2`: of the values. `value_per_row`: the mean value of the outcomes. `ndcg`, `mrr`,
                `hit_rate`: the mean over queries, see `ranking.queries`.
            label: The label column, which says whether classes have names.
            chosen: The threshold of a metric with an operating point, or why there is none.
        """
        self._threshold = CorpusValue(metric.threshold) if chosen is None else chosen
        self._label = label
        self._gathered = _gathered(metric, label)
        self._num_rows = 0

    def update(
        self,
        *,
        prediction: np.ndarray,
        probabilities: np.ndarray | None,
        labels: np.ndarray,
        queries: np.ndarray | None = None,
    ) -> None:
        """Takes in some rows.

        Args:
            prediction: Shape (rows,), as `Predictions.prediction`.
            probabilities: Shape (rows, classes), or None where the output has none.
            labels: Shape (rows,), as they stand in the label column.
            queries: Shape (rows,): the name of each row's query, or None where there are none.

        Raises:
            PredictionError: A label is none of the variant's classes.
        """
        if self._threshold.reason:
            return
        if self._threshold.value is not None:
            assert probabilities is not None, "the suite allows a threshold only for outputs with probabilities"
            prediction = operating_point.predicted(probabilities, threshold=self._threshold.value, label=self._label)
        self._gathered.update(_Rows(prediction, probabilities, labels, queries))
        self._num_rows += len(labels)

    def compute(self) -> CorpusValue:
        """The number over all rows so far."""
        if self._threshold.reason:
            return CorpusValue(None, self._threshold.reason)
        if not self._num_rows:
            return CorpusValue(None, "there are no rows")
        found = self._gathered.compute()
        if isinstance(found, str):
            return CorpusValue(None, found)
        return CorpusValue(found) if math.isfinite(found) else CorpusValue(None, f"the sum is {found}: beyond float64")


@dataclass(frozen=True)
class _Rows:
    prediction: np.ndarray
    probabilities: np.ndarray | None
    labels: np.ndarray
    queries: np.ndarray | None


class _Gathered(Protocol):
    def update(self, rows: _Rows) -> None: ...

    def compute(self) -> float | str:
        """The number, or in words why there is none. There is at least one row."""
        ...


def _gathered(metric: Metric, label: FrozenColumn) -> _Gathered:
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
            raise ValueError(f"metric '{metric.name}' is the mean of its rows' scores")


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
    """Keeps labels and squared errors: the spread of labels needs their mean first."""

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
            return f"every label is {labels[0]:g}: there is no spread to explain"
        return 1.0 - float(np.concatenate(self._squares).sum() / np.square(labels - labels.mean()).sum())


class _Queries:
    """Keeps every row: those of one query may come in several pieces."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._parts: list[tuple[np.ndarray, ...]] = []

    def update(self, rows: _Rows) -> None:
        assert rows.queries is not None, "an experiment with this measure has a dataset with clusters"
        self._parts.append((rows.prediction, rows.labels, rows.queries))

    def compute(self) -> float | str:
        found = ranking.queries(self._metric, *map(np.concatenate, zip(*self._parts, strict=True)))
        return found if isinstance(found, str) else math.fsum(found.scores_Q) / len(found.scores_Q)


class _ClassCounts:
    """Hits, labels and predictions of every class."""

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
            # fsum: a mean must not depend on the order in which the classes came
            case "macro_f1":  # F1 = 2 tp / (2 tp + fp + fn), whose denominator is the rows labelled plus predicted so
                return math.fsum(2 * hits[name] / both[name] for name in both) / len(both)
            case "balanced_accuracy":
                return math.fsum(hits[name] / labelled[name] for name in labelled) / len(labelled)
            case "matthews":
                return self._matthews()
        unknown = sorted(set(both) - set(self._classes), key=str)
        if unknown:
            return f"{self._measure} tells class {self._classes[1]} from {self._classes[0]}; found {unknown[0]}"
        positive = self._classes[1]
        rows, words = {
            "precision": (predicted[positive], "predicted as"),
            "recall": (labelled[positive], "labelled"),
            "f1": (both[positive] / 2, "labelled or predicted as"),
        }[self._measure]
        return hits[positive] / rows if rows else f"no row is {words} {positive}"

    @property
    def _classes(self) -> tuple[int | str, ...]:
        return self._label.classes or (0, 1)

    def _matthews(self) -> float | str:
        """For any number of classes (Gorodkin 2004, Comput. Biol. Chem. 28:367), in whole numbers until the end."""
        labelled, predicted = self._labelled, self._predicted
        rows = labelled.total()
        covariance = self._hits.total() * rows - sum(predicted[name] * labelled[name] for name in labelled)
        spread = 1
        for counts, words in ((labelled, "labelled"), (predicted, "predicted as")):
            if len(counts) == 1:
                return f"every row is {words} {next(iter(counts))}"
            spread *= rows**2 - sum(count**2 for count in counts.values())
        return covariance / math.sqrt(spread)


class _CalibrationError:
    def __init__(self) -> None:
        self._hits = np.zeros(NUM_BINS, dtype=np.int64)
        self._confidence = np.zeros(NUM_BINS, dtype=np.float64)
        self._num_rows = 0

    def update(self, rows: _Rows) -> None:
        probabilities, labels = rows.probabilities, rows.labels
        assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
        confidence = probabilities.max(axis=1)
        # Bins (0, 1/15], (1/15, 2/15], ... by their inner edges: a confidence of 1 cannot fall out above.
        bins = np.searchsorted(np.linspace(0, 1, NUM_BINS + 1)[1:-1], confidence, side="left")
        self._confidence += np.bincount(bins, weights=confidence, minlength=NUM_BINS)
        self._hits += np.bincount(bins[rows.prediction == labels], minlength=NUM_BINS)
        self._num_rows += len(labels)

    def compute(self) -> float | str:
        """The sum over bins of (rows / all rows) |accuracy - mean confidence|, multiplied out."""
        return float(np.abs(self._hits - self._confidence).sum() / self._num_rows)


class _Ranked:
    """Keeps every probability: what is made of ranks needs them all at once."""

    def __init__(self, name: str, measure: "_OfRanks", label: FrozenColumn) -> None:
        self._what, self._measure, self._label = name, measure, label
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
            return f"every row is labelled {self._name(int(counts.argmax()))}; {self._what} needs another class"
        if not counts.all():
            missing = [self._name(int(index)) for index in np.flatnonzero(counts == 0)]
            shown = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
            return f"no row is labelled {shown}; the mean over the classes needs each of them"
        columns = [1] if num_classes == 2 else range(num_classes)
        found = [self._measure(probabilities[:, column], positive=indices == column) for column in columns]
        return math.fsum(found) / len(found)

    def _name(self, index: int) -> str:
        return self._label.classes[index] if self._label.classes else str(index)


class _OfRanks(Protocol):
    def __call__(self, scores: np.ndarray, *, positive: np.ndarray) -> float: ...


def _area(scores: np.ndarray, *, positive: np.ndarray) -> float:
    """The area under the ROC curve by the Mann-Whitney statistic, ties counted as one half.

    Every term is a whole number or a half, so the sum is exact (Hanley and McNeil 1982, Radiology 143).
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(count) - (count - 1) / 2
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    above = midranks[place[positive]].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def _average_precision(scores: np.ndarray, *, positive: np.ndarray) -> float:
    """The sum over the thresholds of (recall - recall at the one above) precision, as scikit-learn's, not interpolated."""
    _, place, count = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(place[positive], minlength=len(count))
    return float((hits * (np.cumsum(hits) / np.cumsum(count))).sum() / hits.sum())


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
