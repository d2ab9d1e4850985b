"""Regression metrics: the root mean square error and R2.

Axes: R rows, A arms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons import bootstrap
from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import corpus_value, jackknife
from assay.stats.corpus.corpus_samples import MOST_COUNTS, NUM_REPLICATES
from assay.stats.corpus.corpus_value import CorpusValue
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats


@dataclass(frozen=True, eq=False)
class SquaredErrors:
    """Errors of predicted values, for the root mean square error.

    Attributes:
        errors_RA: Predicted value minus label.
        bounded: False: the metric does not lie between 0 and 1.
    """

    errors_RA: Floats
    bounded: bool = False

    def subset(self, rows_R: NDArray[Any]) -> "SquaredErrors":
        """The statistic of some rows only."""
        return SquaredErrors(self.errors_RA[rows_R])

    def values(self) -> tuple[CorpusValue, ...]:
        """The root mean square error of each arm."""
        with np.errstate(over="ignore"):
            return corpus_value.of_arms(self._estimate_A(self.errors_RA**2))

    def _estimate_A(self, square_RA: Floats) -> Floats:
        return np.sqrt(square_RA.sum(axis=0) / len(square_RA))

    def pseudo_values(self) -> Floats:
        """Jackknife pseudo-values, from the sum of squares without each row."""
        num_rows = len(self.errors_RA)
        square_RA = self.errors_RA**2
        total_A = square_RA.sum(axis=0)
        with np.errstate(all="ignore"):
            without_RA = np.sqrt(np.maximum(total_A - square_RA, 0.0) / (num_rows - 1))
        counts = np.ones((num_rows, 1), dtype=np.int64)
        return jackknife.pseudo_values(self._estimate_A(square_RA), without_RA, counts)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """Bootstraps the rows' squared errors."""
        if self.errors_RA.size * 2 > MOST_COUNTS:
            return None
        sums_RAS = np.stack([self.errors_RA**2, np.ones_like(self.errors_RA)], axis=2)
        root: Callable[[Floats], Floats] = lambda sums: np.sqrt(sums[..., 0] / sums[..., 1])  # noqa: E731
        return bootstrap.bootstrap_sums(sums_RAS, root, keys_R=keys_R, num_replicates=NUM_REPLICATES)


@dataclass(frozen=True, eq=False)
class ExplainedVariance:
    """Errors of predicted values and labels, for the explained share of the labels' variance (R2).

    Attributes:
        errors_RA: Predicted value minus label.
        labels_R: The label.
        bounded: False: R2 can be negative.
    """

    errors_RA: Floats
    labels_R: Floats
    bounded: bool = False

    def subset(self, rows_R: NDArray[Any]) -> "ExplainedVariance":
        """The statistic of some rows only."""
        return ExplainedVariance(self.errors_RA[rows_R], self.labels_R[rows_R])

    def values(self) -> tuple[CorpusValue, ...]:
        """R2 of each arm; it has no value if all labels are equal."""
        if (self.labels_R == self.labels_R[0]).all():
            reason = f"every label is {self.labels_R[0]:g}: there is no variance to explain"
            return (CorpusValue(None, reason),) * self.errors_RA.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            return corpus_value.of_arms(self._estimate_A(self.errors_RA**2, self._deviation_R()))

    def _deviation_R(self) -> Floats:
        return self.labels_R - self.labels_R.mean()

    def _estimate_A(self, square_RA: Floats, deviation_R: Floats) -> Floats:
        return 1.0 - square_RA.sum(axis=0) / (deviation_R**2).sum()

    def pseudo_values(self) -> Floats:
        """Jackknife pseudo-values, from both sums of squares; NaN if all labels, or all but one, are equal."""
        num_rows = len(self.labels_R)
        if len(np.unique(self.labels_R)) < 2 or np.unique(self.labels_R, return_counts=True)[1].max() >= num_rows - 1:
            return np.full(self.errors_RA.shape, np.nan)
        square_RA = self.errors_RA**2
        total_A = square_RA.sum(axis=0)
        deviation_R = self._deviation_R()
        spread = (deviation_R**2).sum()
        # removing a row changes the mean: Welford's update in reverse
        without_R = spread - deviation_R**2 * num_rows / (num_rows - 1)
        without_RA = 1.0 - (total_A - square_RA) / without_R[:, None]
        counts = np.ones((num_rows, 1), dtype=np.int64)
        return jackknife.pseudo_values(self._estimate_A(square_RA, deviation_R), without_RA, counts)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """Bootstraps the rows' squared errors and their labels' deviations from the overall mean."""
        if self.errors_RA.size * 4 > MOST_COUNTS:
            return None
        deviation_RA = np.broadcast_to(self._deviation_R()[:, None], self.errors_RA.shape)
        columns = [self.errors_RA**2, deviation_RA**2, deviation_RA, np.ones_like(self.errors_RA)]
        return bootstrap.bootstrap_sums(
            np.stack(columns, axis=2), _explained, keys_R=keys_R, num_replicates=NUM_REPLICATES
        )


def _explained(sums: Floats) -> Floats:
    return 1.0 - sums[..., 0] / (sums[..., 1] - sums[..., 2] ** 2 / sums[..., 3])
