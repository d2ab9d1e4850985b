"""The expected calibration error: the gap between confidence and accuracy.

Axes: R rows, A arms, K bins.
"""

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

NUM_BINS = 15
"""The number of equal-width bins of the calibration error."""


@dataclass(frozen=True, eq=False)
class Confidences:
    """Confidence in the predicted class, for the expected calibration error over bins of equal width.

    Attributes:
        num_bins: Number of bins; a bin includes its upper edge.
        hits_RA: Whether the predicted class is the label.
        confidences_RA: The probability of the predicted class.
        bounded: The error lies between 0 and 1.
    """

    num_bins: int
    hits_RA: NDArray[np.bool_]
    confidences_RA: Floats
    bounded: bool = True

    def subset(self, rows_R: NDArray[Any]) -> "Confidences":
        """The statistic of some rows only."""
        return Confidences(self.num_bins, self.hits_RA[rows_R], self.confidences_RA[rows_R])

    def values(self) -> tuple[CorpusValue, ...]:
        """The error of each arm."""
        num_rows, num_arms = self.confidences_RA.shape
        gaps_AK = np.array([self._gap_K(*self._gaps(arm)) for arm in range(num_arms)])
        return corpus_value.of_arms(np.abs(gaps_AK).sum(axis=1) / num_rows)

    def pseudo_values(self) -> Floats:
        """Jackknife pseudo-values: removing a row changes |hits - confidence| in that row's bin only."""
        scores_RA = np.empty(self.confidences_RA.shape)
        num_rows, num_arms = self.confidences_RA.shape
        for arm in range(num_arms):
            gap_R, bin_R = self._gaps(arm)
            gap_K = self._gap_K(gap_R, bin_R)
            total = float(np.abs(gap_K).sum())
            with np.errstate(all="ignore"):
                without_R = (total - np.abs(gap_K[bin_R]) + np.abs(gap_K[bin_R] - gap_R)) / (num_rows - 1)
            scores_RA[:, arm] = jackknife.pseudo_values(total / num_rows, without_R, np.ones(num_rows, dtype=np.int64))
        return scores_RA

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """Bootstraps the rows' gaps: the metric is a function of their sums per bin."""
        num_rows, num_arms = self.confidences_RA.shape
        if num_rows * num_arms * self.num_bins > MOST_COUNTS:
            return None
        sums_RAS = np.zeros((num_rows, num_arms, self.num_bins + 1))
        sums_RAS[:, :, -1] = 1.0
        for arm in range(num_arms):
            gap_R, bin_R = self._gaps(arm)
            sums_RAS[np.arange(num_rows), arm, bin_R] = gap_R
        return bootstrap.bootstrap_sums(sums_RAS, _calibration_error, keys_R=keys_R, num_replicates=NUM_REPLICATES)

    def _gap_K(self, gap_R: Floats, bin_R: NDArray[np.int64]) -> Floats:
        return np.bincount(bin_R, weights=gap_R, minlength=self.num_bins).astype(np.float64, copy=False)

    def _gaps(self, arm: int) -> tuple[Floats, NDArray[np.int64]]:
        edges = np.linspace(0, 1, self.num_bins + 1)[1:-1]
        return self.hits_RA[:, arm] - self.confidences_RA[:, arm], np.searchsorted(edges, self.confidences_RA[:, arm])


def _calibration_error(sums: Floats) -> Floats:
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]
