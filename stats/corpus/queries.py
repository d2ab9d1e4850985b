"""Ranking metrics per query: their mean, with equal weight for every query.

Axes: R rows, A arms, Q queries.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import corpus_value
from assay.stats.corpus.corpus_value import CorpusValue
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import renumbered


@dataclass(frozen=True, eq=False)
class QueryScores:
    """Scores of queries, each a cluster of rows; their mean has equal weight for every query.

    Attributes:
        scores_RA: The score of each row's query, the same for all rows of a query.
        query_R: The number of each row's query.
        bounded: The metric lies between 0 and 1.
    """

    scores_RA: Floats
    query_R: NDArray[np.int64]
    bounded: bool = True

    def subset(self, rows_R: NDArray[Any]) -> "QueryScores":
        """The statistic of some rows only; a query with at least one of them keeps its score."""
        return QueryScores(self.scores_RA[rows_R], renumbered(self.query_R[rows_R]))

    def values(self) -> tuple[CorpusValue, ...]:
        """The mean over queries of each arm."""
        return corpus_value.of_arms(self._mean_A())

    def _mean_A(self) -> Floats:
        _, first_Q = np.unique(self.query_R, return_index=True)
        return self.scores_RA[first_Q].mean(axis=0)

    def pseudo_values(self) -> Floats:
        """Each query's deviation from the mean, divided among its rows: `m + (R / (Q R_q)) (s_q - m)`.

        Summed within queries, as clusters are, these have exactly the mean and the covariance over queries.
        """
        num_rows = len(self.query_R)
        num_rows_Q = np.bincount(self.query_R)
        share_R = 1.0 / (len(num_rows_Q) * num_rows_Q[self.query_R])
        mean_A = self._mean_A()
        return mean_A + num_rows * share_R[:, None] * (self.scores_RA - mean_A)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: the metric is a mean of independent scores, which needs no second method."""
        return None
