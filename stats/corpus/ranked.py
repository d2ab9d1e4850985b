"""Metrics of rows ranked by a score: AUROC and average precision.

Axes: R rows, A arms, K classes.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import auroc, average_precision
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scores that rank rows, for AUROC and average precision: one class against the rest, or the mean over classes.

    Attributes:
        scores_KRA: The arms' scores of the rows for each class.
        positive_KR: Whether the row belongs to the class.
        metric: Which of the two metrics.
        bounded: Both metrics lie between 0 and 1.
    """

    scores_KRA: Floats
    positive_KR: NDArray[np.bool_]
    metric: Literal["auroc", "average_precision"] = "auroc"
    bounded: bool = True

    def subset(self, rows_R: NDArray[Any]) -> "Ranked":
        """The statistic of some rows only."""
        return replace(self, scores_KRA=self.scores_KRA[:, rows_R], positive_KR=self.positive_KR[:, rows_R])

    def pseudo_values(self) -> Floats:
        """DeLong's components of AUROC, or jackknife pseudo-values of average precision, averaged over the classes."""
        module = auroc if self.metric == "auroc" else average_precision
        values_KRA = [
            module.pseudo_values(scores_RA, positive_R)
            for scores_RA, positive_R in zip(self.scores_KRA, self.positive_KR, strict=True)
        ]
        return np.mean(values_KRA, axis=0)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: DeLong's covariance is that of a U-statistic, not an approximation that a bootstrap should check.

        Average precision is not a function of sums: every replicate would have to rank all rows again.
        """
        return None
