"""Metrics that rank rows by a score: AUROC and average precision.

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
    """Scores that rank rows, for AUROC and average precision: of one class against the rest, or the mean over several.

    Attributes:
        scores_KRA: For each class that is told from the rest: the arms' scores of the rows.
        positive_KR: Whether the row is of that class.
        metric: Which of the two.
    """

    scores_KRA: Floats
    positive_KR: NDArray[np.bool_]
    metric: Literal["auroc", "average_precision"] = "auroc"
    bounded: bool = True

    def taken(self, rows_R: NDArray[Any]) -> "Ranked":
        """Only some rows."""
        return replace(self, scores_KRA=self.scores_KRA[:, rows_R], positive_KR=self.positive_KR[:, rows_R])

    def pseudo_values(self) -> Floats:
        """DeLong's components, or the jackknife's of average precision, averaged over the classes."""
        module = auroc if self.metric == "auroc" else average_precision
        of_classes = [
            module.pseudo_values(scores_RA, positive_R)
            for scores_RA, positive_R in zip(self.scores_KRA, self.positive_KR, strict=True)
        ]
        return np.mean(of_classes, axis=0)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: DeLong's covariance is that of a U-statistic, not an approximation that a bootstrap would check.

        Average precision is no function of sums: every replicate would have to rank all rows anew.
        """
        return None
