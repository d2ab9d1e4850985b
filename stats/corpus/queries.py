"""Metrics of rankings, query by query: their mean, every query weighing the same.

Axes: R rows, A arms, Q queries.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import renumbered


@dataclass(frozen=True, eq=False)
class QueryScores:
    """Scores of queries, each of which is a cluster of rows: their mean, every query weighing the same.

    Attributes:
        scores_RA: The score of the row's query, the same for each row of it.
        query_R: The number of the row's query.
    """

    scores_RA: Floats
    query_R: NDArray[np.int64]
    bounded: bool = True

    def taken(self, rows_R: NDArray[Any]) -> "QueryScores":
        """Only some rows; a query that has one of them keeps its whole score."""
        return QueryScores(self.scores_RA[rows_R], renumbered(self.query_R[rows_R]))

    def pseudo_values(self) -> Floats:
        """Each query's deviation from the mean, shared out among its rows: `m + (R / (Q R_q)) (s_q - m)`.

        Added up within queries, as clusters are, these have the mean over queries as mean, and the covariance over
        queries as covariance, to the last factor.
        """
        num_rows = len(self.query_R)
        num_rows_Q = np.bincount(self.query_R)
        share_R = 1.0 / (len(num_rows_Q) * num_rows_Q[self.query_R])
        mean_A = share_R @ self.scores_RA
        return mean_A + num_rows * share_R[:, None] * (self.scores_RA - mean_A)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: it is a mean of independent scores."""
        return None
