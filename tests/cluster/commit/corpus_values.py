"""One arm's corpus metric from its predictions, computed as the table of metrics is: score table by score table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from assay.cluster.commit import corpus_statistic
from assay.cluster.commit.corpus_statistic import LabelledRows
from assay.manifests import Column, Metric
from assay.stats.corpus.corpus_value import CorpusValue


def corpus_value(
    metric: Metric,
    prediction: np.ndarray,
    probabilities: np.ndarray | None,
    labels: np.ndarray,
    *,
    label: Column,
    queries: np.ndarray | None = None,
    threshold: float | None = None,
    piece: int = 7,
) -> CorpusValue:
    """The metric's value, or the reason why it has none."""
    columns: dict[str, Any] = {"prediction": pa.array(prediction)}
    if probabilities is not None:
        flat = pa.array(probabilities.reshape(-1))
        columns["probabilities"] = pa.FixedSizeListArray.from_arrays(flat, probabilities.shape[1])
    table, source = pa.table(columns), corpus_statistic.source_of(metric)
    pieces = [table.slice(first, piece) for first in range(0, len(labels), piece)]
    cut = metric.threshold if threshold is None else threshold
    answers = [corpus_statistic.answers_of(source, each, threshold=cut, label=label) for each in pieces]
    return value_of(metric, LabelledRows(label, labels, queries), answers)


def value_of(metric: Metric, rows: LabelledRows, pieces: Sequence[corpus_statistic.Answers]) -> CorpusValue:
    """The value of one arm with these answers."""
    statistic = corpus_statistic.statistic_of(metric, rows, [corpus_statistic.joined(pieces)])
    if isinstance(statistic, str):
        return CorpusValue(None, statistic)
    return CorpusValue(float(statistic.mean())) if isinstance(statistic, np.ndarray) else statistic.values()[0]
