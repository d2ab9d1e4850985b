"""Computes one arm's metrics, confusion matrix and histogram from its rows in the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from assay.cluster.commit import corpus_statistic
from assay.cluster.commit.corpus_statistic import Answers, LabelledRows, Source
from assay.evaluator import list_columns
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.metrics import operating_point
from assay.evaluator.results import is_answered
from assay.manifests import Metric
from assay.manifests.run import Run
from assay.stats.corpus.corpus_value import CorpusValue

NUM_BINS = 20
"""Number of bins of a histogram, of equal width."""
MOST_CELLS = 2_500
"""How many cells of a confusion matrix are kept (all of 50 classes), the largest first; the rest are summed up."""
_ROWS_COUNTED_AT_ONCE = 65_536  # a unit may have few rows, and each count has a fixed cost

Row = dict[str, object]
_Need = tuple[Source, float | None]
"""What a metric is computed from, and the threshold at which it predicts classes."""


@dataclass(frozen=True)
class ArmMetrics:
    """One arm's rows of three of the ledger's tables.

    Attributes:
        metrics: One row per metric. If rows were scored in several repeats, `repeat_values` has the metric's value in
            each repeat and `repeat_std` their standard deviation.
        confusions: One row per pair of label and prediction that occurs, and per label the rows without an answer;
            empty for predicted values. Beyond `MOST_CELLS`, a last row with neither label nor prediction counts all
            other pairs.
        histograms: One row per bin, with the sum of what is in it. With probabilities: bins of the predicted class's
            probability, each with its number of correct predictions. With predicted values: bins of the values over the range of the labels, so
            that every arm has the same bins; the first and the last bin are unbounded.
    """

    metrics: list[Row]
    confusions: list[Row]
    histograms: list[Row]


def of_arm(
    run: Run,
    arm: str,
    receipts: Sequence[UnitReceipt],
    tables: Iterable[pa.Table],
    *,
    thresholds: dict[str, CorpusValue],
) -> ArmMetrics:
    """Goes through the arm's rows once, unit by unit; means of row scores come from the sums in its receipts.

    Args:
        run: The run.
        arm: The arm's name.
        receipts: The receipts of all its units, in order.
        tables: The scores of its units, with all columns.
        thresholds: The threshold of each metric with an operating point, by the metric's name.
    """
    suite = run.experiment.suite
    chosen = {metric.name: thresholds.get(metric.name, CorpusValue(metric.threshold)) for metric in suite.metrics}
    collected = _Collected(run, suite.metrics, chosen)
    outcomes = _Outcomes()
    for table in tables:
        answered = _answered(table)
        outcomes.update(table, answered)
        collected.update(answered)
    num_rows = sum(receipt.num_rows for receipt in receipts)
    num_unanswered = sum(receipt.num_unanswered for receipt in receipts)
    num_answered = num_rows - num_unanswered
    metrics: list[Row] = []
    for metric in suite.metrics:
        repeat_values: list[float] | None = None
        if not num_answered:
            result = CorpusValue(None, "no row has an answer")
        elif metric.scores_rows:
            result = CorpusValue(sum(receipt.facts.score_sums[metric.name] for receipt in receipts) / num_answered)
            if suite.repeats > 1:
                sums_UP = np.array([receipt.facts.repeat_sums[metric.name] for receipt in receipts])
                repeat_values = (sums_UP.sum(axis=0) / num_answered).tolist()
        else:
            result = collected.value(metric)
        metrics.append(
            {
                "arm": arm,
                "metric": metric.name,
                "measure": metric.measure,
                "direction": metric.direction,
                "threshold": chosen[metric.name].value,
                "value": result.value,
                "not_testable": result.reason,
                "num_rows": num_rows,
                "num_unanswered": num_unanswered,
                "repeat_values": repeat_values,
                "repeat_std": None if repeat_values is None else float(np.std(repeat_values, ddof=1)),
            }
        )
    return ArmMetrics(metrics, outcomes.confusions(arm), outcomes.histograms(arm))


def thresholds(run: Run, control: Iterable[pa.Table]) -> dict[str, CorpusValue]:
    """The threshold of each metric with an operating point, chosen on the control's rows.

    Args:
        run: The run.
        control: The scores of the control's units; they are read only if there is such a metric.
    """
    metrics = [metric for metric in run.experiment.suite.metrics if metric.operating_point is not None]
    if not metrics:
        return {}
    rows = pa.concat_tables([_answered(table).select(["label", "probabilities"]) for table in control])
    return {metric.name: threshold(run, metric, control=rows) for metric in metrics}


def threshold(run: Run, metric: Metric, *, control: pa.Table) -> CorpusValue:
    """The threshold of one metric: the fixed one, or that of its operating point on the control's rows.

    Args:
        run: The run.
        metric: The metric.
        control: The control's `label` and, if the metric has an operating point, `probabilities`.
    """
    if metric.operating_point is None:
        return CorpusValue(metric.threshold)
    threshold_or_reason = operating_point.threshold(
        metric.operating_point,
        second_R=list_columns.matrix(control["probabilities"])[:, 1],
        positive_R=control["label"].to_numpy() == (run.label.classes or (0, 1))[1],
    )
    if isinstance(threshold_or_reason, str):
        return CorpusValue(None, threshold_or_reason)
    return CorpusValue(threshold_or_reason)


def _answered(table: pa.Table) -> pa.Table:
    """The rows that the arm has answered."""
    answered_R = is_answered(table)
    return table if answered_R.all() else table.filter(pa.array(answered_R))


class _Collected:
    """Collects, table by table, what the metrics without row scores are computed from: only what each of them needs."""

    def __init__(self, run: Run, metrics: Sequence[Metric], chosen: Mapping[str, CorpusValue]) -> None:
        wanted = [metric for metric in metrics if not metric.scores_rows and not chosen[metric.name].reason]
        self._label, self._chosen = run.label, chosen
        self._pieces: dict[_Need, list[Answers]] = {self._need(metric): [] for metric in wanted}
        self._of_queries = any(metric.of_queries for metric in wanted)
        self._labels: list[np.ndarray] = []
        self._queries: list[np.ndarray] = []

    def update(self, table: pa.Table) -> None:
        if not self._pieces:
            return
        self._labels.append(table["label"].to_numpy())
        if self._of_queries:
            self._queries.append(table["cluster"].to_numpy())
        for (source, threshold), pieces in self._pieces.items():
            pieces.append(corpus_statistic.answers_of(source, table, threshold=threshold, label=self._label))

    def value(self, metric: Metric) -> CorpusValue:
        """The metric over all rows."""
        if self._chosen[metric.name].reason:
            return self._chosen[metric.name]
        queries_R = np.concatenate(self._queries) if self._queries else None
        rows = LabelledRows(self._label, np.concatenate(self._labels), queries_R)
        answers = corpus_statistic.joined(self._pieces[self._need(metric)])
        statistic = corpus_statistic.statistic_of(metric, rows, [answers])
        if isinstance(statistic, str):
            return CorpusValue(None, statistic)
        return CorpusValue(float(statistic.mean())) if isinstance(statistic, np.ndarray) else statistic.values()[0]

    def _need(self, metric: Metric) -> _Need:
        return corpus_statistic.source_of(metric), self._chosen[metric.name].value


class _Outcomes:
    """Counts confusions and probabilities batch by batch; keeps predicted values, whose bins depend on all labels."""

    def __init__(self) -> None:
        self._cells: Counter[tuple[Any, Any]] = Counter()
        self._uncounted: list[pa.Table] = []
        self._bins: np.ndarray | None = None
        self._values: list[tuple[np.ndarray, np.ndarray]] = []

    def update(self, table: pa.Table, answered: pa.Table) -> None:
        """Adds the rows of a unit; `answered` are those that have an answer."""
        are_values = pa.types.is_floating(table["prediction"].type)
        if not are_values:
            self._uncounted.append(table.select(["label", "prediction"]))
            if sum(map(len, self._uncounted)) >= _ROWS_COUNTED_AT_ONCE:
                self._count()
        prediction, labels = answered["prediction"].to_numpy(), answered["label"].to_numpy()
        if are_values:
            self._values.append((prediction, labels.astype(np.float64)))
        elif "probabilities" in answered.column_names and len(answered):
            confidence = list_columns.matrix(answered["probabilities"]).max(axis=1)
            bins = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
            hits = prediction == labels
            counts = [np.bincount(bins, weights=each, minlength=NUM_BINS) for each in (None, confidence, hits)]
            self._bins = np.stack(counts) + (0 if self._bins is None else self._bins)

    def confusions(self, arm: str) -> list[Row]:
        self._count()
        # Ties are broken by name, so that the order of the rows does not matter.
        largest_first = sorted(self._cells.items(), key=lambda cell: (-cell[1], *map(str, cell[0])))
        kept, rest = largest_first[:MOST_CELLS], sum(count for _, count in largest_first[MOST_CELLS:])
        rows: list[Row] = [
            {
                "arm": arm,
                "label": str(int(label) if isinstance(label, bool) else label),
                "prediction": None if predicted is None else str(predicted),
                "num_rows": count,
            }
            for (label, predicted), count in kept
        ]
        return rows + [{"arm": arm, "label": None, "prediction": None, "num_rows": rest}] * bool(rest)

    def _count(self) -> None:
        if not self._uncounted:
            return
        cells = pa.concat_tables(self._uncounted).group_by(["label", "prediction"]).aggregate([([], "count_all")])
        columns = (cells[name].to_pylist() for name in ("label", "prediction", "count_all"))
        self._cells.update({(label, predicted): count for label, predicted, count in zip(*columns, strict=True)})
        self._uncounted.clear()

    def histograms(self, arm: str) -> list[Row]:
        if self._values:
            values, labels = (np.concatenate(each) for each in zip(*self._values, strict=True))
            if not len(values):
                return []
            low, high = labels.min(), labels.max()
            edges = np.linspace(low, high if high > low else low + 1, NUM_BINS + 1)
            bins = np.searchsorted(edges[1:-1], values, side="right")
            counts, totals = (np.bincount(bins, weights=each, minlength=NUM_BINS) for each in (None, values))
            bounds = [None, *edges[1:-1].tolist(), None]
            return _bins(arm, "value", bounds, counts, totals, None)
        if self._bins is None:
            return []
        return _bins(arm, "probability", np.linspace(0, 1, NUM_BINS + 1).tolist(), *self._bins)


def _bins(
    arm: str,
    of: str,
    bounds: Sequence[float | None],
    num_rows: np.ndarray,
    totals: np.ndarray,
    num_correct: np.ndarray | None,
) -> list[Row]:
    return [
        {
            "arm": arm,
            "of": of,
            "low": bounds[place],
            "high": bounds[place + 1],
            "num_rows": int(num_rows[place]),
            "total": float(totals[place]),
            "num_correct": None if num_correct is None else int(num_correct[place]),
        }
        for place in range(len(num_rows))
    ]
