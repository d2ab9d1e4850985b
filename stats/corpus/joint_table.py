"""The joint table of labels and all arms' predictions, which gives precision, recall, F1 and similar metrics.

Axes: R rows, A arms, K classes, C distinct combinations of label and predictions, S sums of one arm (3 K + 1: hits,
predictions and labels of each class, and rows), B replicates.

Every metric of predicted classes is a function of how many rows have each combination of label and predictions. If
rows are resampled with replacement, these counts are multinomial, so 10,000 replicates of five arms on a million rows
take as long as on a hundred.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats

ClassMetric = Callable[[Floats], Floats]
"""Maps sums (... x S) to the metric (...); NaN where it is undefined."""

_BLOCK_NUM_COUNTS = 4_000_000


@dataclass(frozen=True, eq=False)
class JointTable:
    """How many rows have each combination of label and predictions. Tables of different rows can be added.

    Attributes:
        arms: Names of the arms.
        classes: The classes, the axis K.
        cells_CX: Distinct combinations of class numbers in ascending order: the label, then each arm's prediction.
        counts_C: Number of rows with each combination.
    """

    arms: tuple[str, ...]
    classes: tuple[Any, ...]
    cells_CX: NDArray[np.int32]
    counts_C: NDArray[np.int64]

    def __add__(self, other: "JointTable") -> "JointTable":
        if (self.arms, self.classes) != (other.arms, other.classes):
            raise ValueError(f"cannot add tables of different arms or classes: {self.arms} and {other.arms}")
        cells_CX, place = np.unique(np.concatenate([self.cells_CX, other.cells_CX]), axis=0, return_inverse=True)
        counts_C = np.zeros(len(cells_CX), dtype=np.int64)
        np.add.at(counts_C, place.reshape(-1), np.concatenate([self.counts_C, other.counts_C]))
        return JointTable(self.arms, self.classes, cells_CX, counts_C)

    @property
    def num_rows(self) -> int:
        """The number of rows in the table."""
        return int(self.counts_C.sum())

    def sums_CAS(self) -> Floats:
        """The contribution of one row of each combination to each arm's sums."""
        one_hot = np.eye(len(self.classes))
        return sums_of(one_hot[self.cells_CX[:, 0]][:, None], one_hot[self.cells_CX[:, 1:]])

    def estimates(self, metric: ClassMetric) -> Floats:
        """The metric of each arm."""
        with np.errstate(all="ignore"):
            return metric(np.einsum("c,cas->as", self.counts_C.astype(np.float64), self.sums_CAS()))

    def bootstrap(self, metric: ClassMetric, *, num_replicates: int = 10_000, seed: int = 0) -> Replicates:
        """Paired bootstrap of all arms together: multinomial counts of the table's cells.

        The draws depend only on the table and the seed (counter-based Philox generator).

        Args:
            metric: The metric as a function of sums.
            num_replicates: Number of replicates.
            seed: Seed of the replicates.
        """
        sums_CAS = self.sums_CAS()
        flat_CS = sums_CAS.reshape(len(sums_CAS), -1)
        share_C = self.counts_C / self.num_rows
        sums_BS = np.empty((num_replicates, flat_CS.shape[1]))
        block = max(1, _BLOCK_NUM_COUNTS // len(share_C))
        generator = np.random.Generator(np.random.Philox(key=seed))
        for first in range(0, num_replicates, block):
            counts_BC = generator.multinomial(self.num_rows, share_C, size=min(block, num_replicates - first))
            # integers below 2**53: the product is exact in any order of addition
            sums_BS[first : first + len(counts_BC)] = counts_BC.astype(np.float64) @ flat_CS
        with np.errstate(all="ignore"):
            replicates_BA = metric(sums_BS.reshape(num_replicates, *sums_CAS.shape[1:]))
        return Replicates.of(self.estimates(metric), replicates_BA)


def joint_table(
    labels_R: ArrayLike, predictions_RA: ArrayLike, *, arms: Sequence[str], classes: Sequence[Any]
) -> JointTable:
    """Counts rows by combination of label and predictions.

    Args:
        labels_R: The label of each row.
        predictions_RA: Each arm's predicted class of each row.
        arms: Names of the arms.
        classes: All possible classes, in the order in which metrics number them; of two classes, the positive one last.

    Raises:
        SamplesError: There are no rows, or a label or prediction is not one of the classes.
    """
    all_RX = np.column_stack([np.asarray(labels_R), np.asarray(predictions_RA)])
    if not len(all_RX):
        raise SamplesError("there are no rows to count", field="row")
    classes_K = np.asarray(classes)
    order = np.argsort(classes_K)
    place_RX = np.searchsorted(classes_K[order], all_RX).clip(max=len(classes_K) - 1)
    codes_RX = order[place_RX].astype(np.int32)
    unknown_RX = classes_K[codes_RX] != all_RX
    if unknown_RX.any():
        row, column = np.argwhere(unknown_RX)[0]
        raise SamplesError(
            "a label or prediction is not one of the classes",
            place=f"row {row} (counted from 0), {'label' if column == 0 else arms[column - 1]}",
            value=str(all_RX[row, column]),
            bound=", ".join(map(str, classes)),
        )
    cells_CX, counts_C = np.unique(codes_RX, axis=0, return_counts=True)
    return JointTable(tuple(arms), tuple(classes), cells_CX, counts_C.astype(np.int64))


def sums_of(label: Floats, predicted: Floats) -> Floats:
    """The contributions of rows to the sums S.

    Args:
        label: One-hot label, ... x K; broadcast to the shape of `predicted`.
        predicted: One-hot predicted class, ... x K.
    """
    label = np.broadcast_to(label, predicted.shape)
    return np.concatenate([predicted * label, predicted, label, np.ones((*predicted.shape[:-1], 1))], axis=-1)


def precision(sums: Floats) -> Floats:
    """The share of rows predicted as the last class that belong to it; undefined if no row is predicted so."""
    hits, predicted, _, _ = _parts(sums)
    return hits[..., -1] / predicted[..., -1]


def recall(sums: Floats) -> Floats:
    """The share of rows of the last class that are predicted so; undefined if there are none."""
    hits, _, actual, _ = _parts(sums)
    return hits[..., -1] / actual[..., -1]


def f1(sums: Floats) -> Floats:
    """`2 tp / (2 tp + fp + fn)` of the last class; undefined if it has neither a row nor a prediction."""
    hits, predicted, actual, _ = _parts(sums)
    return 2 * hits[..., -1] / (predicted[..., -1] + actual[..., -1])


def balanced_accuracy(sums: Floats) -> Floats:
    """Mean recall over the classes that have a row, as in scikit-learn."""
    hits, _, actual, _ = _parts(sums)
    present = actual > 0
    return np.where(present, hits / np.where(present, actual, 1.0), 0.0).sum(axis=-1) / present.sum(axis=-1)


def macro_f1(sums: Floats) -> Floats:
    """Mean F1 over the classes that have a row or a prediction, as in scikit-learn."""
    hits, predicted, actual, _ = _parts(sums)
    either = predicted + actual
    present = either > 0
    return np.where(present, 2 * hits / np.where(present, either, 1.0), 0.0).sum(axis=-1) / present.sum(axis=-1)


def matthews(sums: Floats) -> Floats:
    """Matthews' correlation coefficient for any number of classes (Gorodkin 2004, Comput. Biol. Chem. 28:367)."""
    hits, predicted, actual, rows = _parts(sums)
    covariance = hits.sum(axis=-1) * rows - (predicted * actual).sum(axis=-1)
    spread = (rows**2 - (predicted**2).sum(axis=-1)) * (rows**2 - (actual**2).sum(axis=-1))
    return covariance / np.sqrt(spread)


def _parts(sums: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    num_classes = (sums.shape[-1] - 1) // 3
    hits, predicted, actual = (sums[..., i * num_classes : (i + 1) * num_classes] for i in range(3))
    return hits, predicted, actual, sums[..., -1]
