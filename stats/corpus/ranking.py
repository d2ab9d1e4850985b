"""Rankings: one score per query. A query is a group of rows that a variant ranks by its output values.

Axes: R rows, Q queries in the order in which they first occur.
"""

from dataclasses import dataclass

import numpy as np

from assay.manifests.metric import Metric


@dataclass(frozen=True)
class Queries:
    """The scores of all queries.

    Attributes:
        scores_Q: The score of each query, between 0 and 1.
        query_R: The index of each row's query.
    """

    scores_Q: np.ndarray
    query_R: np.ndarray


def queries(metric: Metric, values_R: np.ndarray, labels_R: np.ndarray, names_R: np.ndarray) -> Queries | str:
    """Scores each query.

    `ndcg`: the discounted cumulative gain of the labels among the first k rows (linear gain, discount log2(rank + 1))
    divided by that of the best order, as in scikit-learn's `ndcg_score`. Rows with equal values share the discounts of
    their ranks. It is 0 if no label is above 0. `mrr`: 1 / the rank of the first row with a label above 0; its mean is
    the mean reciprocal rank. `hit_rate`: 1 if that rank is at most k, else 0. For both, rows with a label above 0 are
    ranked last among rows with equal values, so that a variant does not gain by giving rows the same value; both are 0
    if no label is above 0.

    Args:
        metric: The metric: its measure and its k.
        values_R: The variant's values; higher values are ranked first.
        labels_R: The relevance of each row, at least 0.
        names_R: The name of each row's query.

    Returns:
        The scores, or the reason why there are none.
    """
    if (labels_R < 0).any():
        return f"labels of ranked rows are relevances and must be at least 0; got {labels_R[labels_R < 0][0]:g}"
    _, first_Q, query_R = np.unique(names_R, return_index=True, return_inverse=True)
    query_R = first_Q.argsort().argsort()[query_R]
    if metric.measure == "ndcg":
        best_Q = _gain(labels_R, labels_R, query_R, metric.k)
        gain_Q = _gain(values_R, labels_R, query_R, metric.k)
        return Queries(np.divide(gain_Q, best_Q, out=np.zeros_like(best_Q), where=best_Q > 0), query_R)
    rank_Q = _first_rank(values_R, labels_R > 0, query_R)
    return Queries(1.0 / rank_Q if metric.measure == "mrr" else (rank_Q <= (metric.k or 0)).astype(np.float64), query_R)


def _gain(values_R: np.ndarray, labels_R: np.ndarray, query_R: np.ndarray, k: int | None) -> np.ndarray:
    """The discounted cumulative gain of each query, averaged over all orders of rows with equal values.

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
    """The rank of each query's first relevant row, after all irrelevant rows with equal values; infinite if none."""
    best_Q = np.full(int(query_R.max()) + 1, -np.inf)
    np.maximum.at(best_Q, query_R[relevant_R], values_R[relevant_R])
    ahead_R = ~relevant_R & (values_R >= best_Q[query_R])
    rank_Q = 1.0 + np.bincount(query_R[ahead_R], minlength=len(best_Q))
    return np.where(np.isneginf(best_Q), np.inf, rank_Q)
