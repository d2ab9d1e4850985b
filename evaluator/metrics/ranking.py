"""Rankings: one score for each query, which is a group of rows that a variant ranks by its values.

Axes: R rows, Q queries, in the order in which they first occur.
"""

from dataclasses import dataclass

import numpy as np

from assay.manifests.metric import Metric


@dataclass(frozen=True)
class Queries:
    """The scores of queries.

    Attributes:
        scores_Q: Between 0 and 1.
        query_R: The number of each row's query.
    """

    scores_Q: np.ndarray
    query_R: np.ndarray


def queries(metric: Metric, values_R: np.ndarray, labels_R: np.ndarray, names_R: np.ndarray) -> Queries | str:
    """Scores each query.

    `ndcg`: the discounted cumulative gain of the labels (linear, discounted by log2(rank + 1)) among the first k over
    that of the best order, as scikit-learn's `ndcg_score`: rows of equal value share their places' discounts; 0 where
    no label is above 0. `mrr`: 1 / the rank of the first row with a label above 0, whose mean is the mean reciprocal
    rank. `hit_rate`: 1 if that rank is at most k. Of equal values the rows with a label above 0 are ranked last: a
    variant gains nothing by not telling rows apart. Both are 0 where no label is above 0.

    Args:
        metric: What is computed.
        values_R: The variant's values, higher first.
        labels_R: The relevance of each row, 0 or above.
        names_R: The name of each row's query.

    Returns:
        The scores; or in words why there are none.
    """
    if (labels_R < 0).any():
        return f"a label of a ranked row is its relevance, 0 or above; found {labels_R[labels_R < 0][0]:g}"
    _, first_Q, query_R = np.unique(names_R, return_index=True, return_inverse=True)
    query_R = first_Q.argsort().argsort()[query_R]
    if metric.measure == "ndcg":
        best_Q = _gain(labels_R, labels_R, query_R, metric.k)
        found_Q = _gain(values_R, labels_R, query_R, metric.k)
        return Queries(np.divide(found_Q, best_Q, out=np.zeros_like(best_Q), where=best_Q > 0), query_R)
    rank_Q = _first_rank(values_R, labels_R > 0, query_R)
    return Queries(1.0 / rank_Q if metric.measure == "mrr" else (rank_Q <= (metric.k or 0)).astype(np.float64), query_R)


def _gain(values_R: np.ndarray, labels_R: np.ndarray, query_R: np.ndarray, k: int | None) -> np.ndarray:
    """The discounted gain of each query, averaged over the orders of rows of equal value.

    McSherry and Najork 2008, Computing information retrieval performance measures efficiently in the presence of
    tied scores.
    """
    order = np.lexsort((-values_R, query_R))
    query, value, gain = query_R[order], values_R[order], labels_R[order].astype(np.float64)
    starts = np.r_[True, query[1:] != query[:-1]]
    place = np.arange(len(query)) - np.flatnonzero(starts)[np.cumsum(starts) - 1]
    discount = 1.0 / np.log2(place + 2.0)
    if k is not None:
        discount[place >= k] = 0.0
    tie = np.cumsum(starts | np.r_[True, value[1:] != value[:-1]]) - 1
    shared = np.bincount(tie, weights=discount) / np.bincount(tie)
    return np.bincount(query, weights=gain * shared[tie])


def _first_rank(values_R: np.ndarray, relevant_R: np.ndarray, query_R: np.ndarray) -> np.ndarray:
    """The rank of each query's first relevant row, behind all others of its value; infinite without one."""
    best_Q = np.full(int(query_R.max()) + 1, -np.inf)
    np.maximum.at(best_Q, query_R[relevant_R], values_R[relevant_R])
    ahead_R = ~relevant_R & (values_R >= best_Q[query_R])
    rank_Q = 1.0 + np.bincount(query_R[ahead_R], minlength=len(best_Q))
    return np.where(np.isneginf(best_Q), np.inf, rank_Q)
