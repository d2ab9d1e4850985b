"""Corpus metrics: one number for a whole dataset, gathered piece by piece.

Sums and means are torchmetrics' in float64. Three are made here from counts and ranks instead, because torchmetrics
1.9 answers them in float32, and further: its calibration error gives a confidence of exactly 1 a bin of its own beside
the 15, its AUROC of a missing class is 0, and its counts take memory in the square of the number of classes.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError, Metric

from evaluator.metrics.outputs import label_index
from manifests.contract import Column
from manifests.metric import CorpusMeasure

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

    def __init__(self, measure: CorpusMeasure, *, label: Column) -> None:
        """Starts without rows.

        Args:
            measure: What is computed. `accuracy`: the share of rows whose predicted class is the label's. `precision`,
                `recall`, `f1`: of the second of two classes. `balanced_accuracy`: the mean recall over the classes
                that occur as label. `macro_f1`: the mean F1 over the classes that occur as label or prediction.
                `matthews`: Matthews' correlation coefficient. `auroc`: the area under the ROC curve
                of the second of two classes; of more, the mean over the classes, each against the rest.
                `calibration_error`: the expected calibration error (l1) of the predicted class's probability over 15
                bins of equal width, closed above (Guo et al. 2017, On Calibration of Modern Neural Networks).
                `rmse`, `mae`: of the values.
            label: The label column, which says whether classes have names.
        """
        self._gathered = _gathered(measure, label)
        self._num_rows = 0

    def update(self, *, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None:
        """Takes in some rows.

        Args:
            prediction: Shape (rows,), as `Predictions.prediction`.
            probabilities: Shape (rows, classes), or None where the output has none.
            labels: Shape (rows,), as they stand in the label column.

        Raises:
            PredictionError: A label is none of the variant's classes.
        """
        self._gathered.update(prediction, probabilities, labels)
        self._num_rows += len(labels)

    def compute(self) -> CorpusValue:
        """The number over all rows so far."""
        if not self._num_rows:
            return CorpusValue(None, "there are no rows")
        found = self._gathered.compute()
        if isinstance(found, str):
            return CorpusValue(None, found)
        return CorpusValue(found) if math.isfinite(found) else CorpusValue(None, f"the sum is {found}: beyond float64")


class _Gathered(Protocol):
    def update(self, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None: ...

    def compute(self) -> float | str:
        """The number, or in words why there is none. There is at least one row."""
        ...


def _gathered(measure: CorpusMeasure, label: Column) -> _Gathered:
    match measure:
        case "accuracy":
            return _Accuracy()
        case "precision" | "recall" | "f1" | "balanced_accuracy" | "macro_f1" | "matthews":
            return _ClassCounts(measure, label)
        case "auroc":
            return _Auroc(label)
        case "calibration_error":
            return _CalibrationError()
        case "rmse":
            return _Error(MeanSquaredError(squared=False))
        case "mae":
            return _Error(MeanAbsoluteError())


class _Accuracy:
    def __init__(self) -> None:
        self._mean = MeanMetric().set_dtype(torch.float64)

    def update(self, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None:  # noqa: ARG002
        self._mean.update(_tensor(prediction == labels))

    def compute(self) -> float | str:
        return float(self._mean.compute())


class _Error:
    def __init__(self, metric: Metric) -> None:
        self._metric = metric.set_dtype(torch.float64)

    def update(self, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None:  # noqa: ARG002
        for first in range(0, len(labels), _PIECE_ROWS):
            piece = slice(first, first + _PIECE_ROWS)
            self._metric.update(_tensor(prediction[piece]), _tensor(labels[piece]))

    def compute(self) -> float | str:
        return float(self._metric.compute())


class _ClassCounts:
    """Hits, labels and predictions of every class."""

    def __init__(self, measure: CorpusMeasure, label: Column) -> None:
        self._measure = measure
        self._label = label
        self._hits: Counter[int | str] = Counter()
        self._labelled: Counter[int | str] = Counter()
        self._predicted: Counter[int | str] = Counter()

    def update(self, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None:  # noqa: ARG002
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

    def update(self, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None:
        assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
        confidence = probabilities.max(axis=1)
        # Bins (0, 1/15], (1/15, 2/15], ... by their inner edges: a confidence of 1 cannot fall out above.
        bins = np.searchsorted(np.linspace(0, 1, NUM_BINS + 1)[1:-1], confidence, side="left")
        self._confidence += np.bincount(bins, weights=confidence, minlength=NUM_BINS)
        self._hits += np.bincount(bins[prediction == labels], minlength=NUM_BINS)
        self._num_rows += len(labels)

    def compute(self) -> float | str:
        """The sum over bins of (rows / all rows) |accuracy - mean confidence|, multiplied out."""
        return float(np.abs(self._hits - self._confidence).sum() / self._num_rows)


class _Auroc:
    """Keeps every probability: the exact area needs them all at once."""

    def __init__(self, label: Column) -> None:
        self._label = label
        self._probabilities: list[np.ndarray] = []
        self._indices: list[np.ndarray] = []

    def update(self, prediction: np.ndarray, probabilities: np.ndarray | None, labels: np.ndarray) -> None:  # noqa: ARG002
        assert probabilities is not None, "the suite allows this measure only for outputs with probabilities"
        first_row = sum(map(len, self._indices))
        index = label_index(labels, label=self._label, num_classes=probabilities.shape[1], first_row=first_row)
        self._probabilities.append(probabilities)
        self._indices.append(index)

    def compute(self) -> float | str:
        indices = np.concatenate(self._indices)
        probabilities = np.concatenate(self._probabilities)
        num_classes = probabilities.shape[1]
        counts = np.bincount(indices, minlength=num_classes)
        if np.count_nonzero(counts) < 2:
            return f"every row is labelled {self._name(int(counts.argmax()))}; AUROC needs another class"
        if not counts.all():
            missing = [self._name(int(index)) for index in np.flatnonzero(counts == 0)]
            shown = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
            return f"no row is labelled {shown}; the mean over the classes needs each of them"
        columns = [1] if num_classes == 2 else range(num_classes)
        areas = [_area(probabilities[:, column], positive=indices == column) for column in columns]
        return math.fsum(areas) / len(areas)

    def _name(self, index: int) -> str:
        return self._label.classes[index] if self._label.classes else str(index)


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


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
