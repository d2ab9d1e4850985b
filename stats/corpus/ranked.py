"""Metrics of rows ranked by a score: AUROC and average precision.

Axes: R rows, A arms, K classes.
"""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import auroc, average_precision, corpus_value
from assay.stats.corpus.corpus_value import CorpusValue
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scores that rank rows, for AUROC and average precision: one class against the rest, or the mean over classes.

    Attributes:
        scores_KRA: The arms' scores of the rows for each class.
        positive_KR: Whether the row belongs to the class.
        metric: Which of the two metrics.
        classes: The names of all classes, for messages. Default: their numbers.
        bounded: Both metrics lie between 0 and 1.
    """

    scores_KRA: Floats
    positive_KR: NDArray[np.bool_]
    metric: Literal["auroc", "average_precision"] = "auroc"
    classes: tuple[Any, ...] = ()
    bounded: bool = True

    def subset(self, rows_R: NDArray[Any]) -> "Ranked":
        """The statistic of some rows only."""
        return replace(self, scores_KRA=self.scores_KRA[:, rows_R], positive_KR=self.positive_KR[:, rows_R])

    def values(self) -> tuple[CorpusValue, ...]:
        """The metric of each arm: the mean over the classes, which must all occur as a label."""
        reason = self._undefined()
        if reason:
            return (CorpusValue(None, reason),) * self.scores_KRA.shape[2]
        values_KA = [
            self._module.estimates(scores_RA, positive_R)
            for scores_RA, positive_R in zip(self.scores_KRA, self.positive_KR, strict=True)
        ]
        return corpus_value.of_arms(np.mean(values_KA, axis=0))

    def _undefined(self) -> str:
        """Why the metric has no value with these labels; empty if it has one."""
        num_rows_K = self.positive_KR.sum(axis=1).tolist()
        if len(num_rows_K) == 1:  # the second of two classes
            num_rows_K = [self.positive_KR.shape[1] - num_rows_K[0], num_rows_K[0]]
        names = self.classes or tuple(range(len(num_rows_K)))
        missing = [str(name) for name, count in zip(names, num_rows_K, strict=True) if not count]
        if len(missing) == len(names) - 1:
            (only,) = (name for name, count in zip(names, num_rows_K, strict=True) if count)
            return f"every row is labelled {only}; {self.metric} needs another class"
        shown = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
        return f"no row is labelled {shown}; the mean over the classes needs rows of every class" if missing else ""

    @property
    def _module(self) -> ModuleType:
        return auroc if self.metric == "auroc" else average_precision

    def pseudo_values(self) -> Floats:
        """DeLong's components of AUROC, or jackknife pseudo-values of average precision, averaged over the classes."""
        values_KRA = [
            self._module.pseudo_values(scores_RA, positive_R)
            for scores_RA, positive_R in zip(self.scores_KRA, self.positive_KR, strict=True)
        ]
        return np.mean(values_KRA, axis=0)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: DeLong's covariance is that of a U-statistic, not an approximation that a bootstrap should check.

        Average precision is not a function of sums: every replicate would have to rank all rows again.
        """
        return None
