"""Arm metrics: what the rows of one arm in the ledger amount to: its metrics, its confusion matrix and its histogram."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from assay.evaluator import list_columns
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.metrics import corpus, operating_point
from assay.evaluator.metrics.corpus import CorpusValue
from assay.evaluator.storage import Store
from assay.manifests import Metric
from assay.manifests.run import Run

NUM_BINS = 20
"""Bins of equal width of a histogram."""
MOST_CELLS = 2_500
"""Cells of a confusion matrix that are kept, the fullest: all of 50 classes. The rest are added up in one."""

Row = dict[str, object]


@dataclass(frozen=True)
class ArmMetrics:
    """Rows of three of the ledger's tables, of one arm.

    Attributes:
        metrics: A row a metric. If rows were scored several times, `pass_values` has its value in each pass and
            `repeat_std` their standard deviation: how far one pass is from another by chance.
        confusions: A row for each label and prediction that occur together; none of values. Beyond `MOST_CELLS` the
            last row has neither and stands for all others.
        histograms: A row for each bin of the probability of the predicted class, with how many of its rows are
            predicted rightly, if the ledger has probabilities; or of the values, over the range of the labels, so
            that the same bins hold every arm: the first and the last bin are open.
    """

    metrics: list[Row]
    confusions: list[Row]
    histograms: list[Row]


def of_arm(
    run: Run, arm: str, receipts: Sequence[UnitReceipt], store: Store, *, thresholds: dict[str, CorpusValue]
) -> ArmMetrics:
    """Reads the arm's rows once, unit by unit; means of scores come from its units' sums.

    Args:
        run: The run.
        arm: The arm's name.
        receipts: Of all its units, in order.
        store: The ledger.
        thresholds: Of each metric with an operating point.
    """
    suite = run.experiment.suite
    counters = {
        metric.name: corpus.CorpusMetric(metric, label=run.label, chosen=thresholds.get(metric.name))
        for metric in suite.metrics
        if metric.row_measure is None
    }
    outcomes = _Outcomes()
    for table in reader.score_tables(store, [receipt.file for receipt in receipts], arm):
        outcomes.update(table)
        has_probabilities = "probabilities" in table.column_names
        rows = {
            "prediction": table["prediction"].to_numpy(),
            "probabilities": list_columns.matrix(table["probabilities"]) if has_probabilities else None,
            "labels": table["label"].to_numpy(),
            "queries": table["cluster"].to_numpy() if "cluster" in table.column_names else None,
        }
        for counter in counters.values():
            counter.update(**rows)
    num_rows = sum(receipt.num_rows for receipt in receipts)
    metrics: list[Row] = []
    for metric in suite.metrics:
        of_passes: list[float] | None = None
        if metric.row_measure is not None:
            found = CorpusValue(sum(receipt.facts["score_sums"][metric.name] for receipt in receipts) / num_rows)
            if suite.repeats > 1:
                sums_UP = np.array([receipt.facts["repeat_sums"][metric.name] for receipt in receipts])
                of_passes = (sums_UP.sum(axis=0) / num_rows).tolist()
        else:
            found = counters[metric.name].compute()
        threshold = thresholds[metric.name].value if metric.operating_point is not None else metric.threshold
        metrics.append(
            {
                "arm": arm,
                "metric": metric.name,
                "measure": metric.measure,
                "direction": metric.direction,
                "threshold": threshold,
                "value": found.value,
                "not_testable": found.reason,
                "num_rows": num_rows,
                "pass_values": of_passes,
                "repeat_std": None if of_passes is None else float(np.std(of_passes, ddof=1)),
            }
        )
    return ArmMetrics(metrics, outcomes.confusions(arm), outcomes.histograms(arm))


def thresholds(run: Run, control: Sequence[LedgerFile], store: Store) -> dict[str, CorpusValue]:
    """The threshold of each metric with an operating point, chosen on the control's rows.

    Args:
        run: The run.
        control: Files that hold the control's scores, among others.
        store: The ledger.
    """
    metrics = [metric for metric in run.experiment.suite.metrics if metric.operating_point is not None]
    return {metric.name: threshold(run, control, store, metric) for metric in metrics}


def threshold(run: Run, control: Sequence[LedgerFile], store: Store, metric: Metric) -> CorpusValue:
    """The threshold of one metric: its own, or that of its operating point on the control's rows; see `thresholds`."""
    if metric.operating_point is None:
        return CorpusValue(metric.threshold)
    tables = reader.score_tables(store, control, run.experiment.suite.plan.control, ["label", "probabilities"])
    rows = pa.concat_tables(list(tables))
    found = operating_point.threshold(
        metric.operating_point,
        second_R=list_columns.matrix(rows["probabilities"])[:, 1],
        positive_R=rows["label"].to_numpy() == (run.label.classes or (0, 1))[1],
    )
    return CorpusValue(None, found) if isinstance(found, str) else CorpusValue(found)


class _Outcomes:
    """Counts cells and probabilities as rows come; keeps values and labels, whose range is known at the end."""

    def __init__(self) -> None:
        self._cells: Counter[tuple[Any, Any]] = Counter()
        self._bins: np.ndarray | None = None
        self._values: list[tuple[np.ndarray, np.ndarray]] = []

    def update(self, table: pa.Table) -> None:
        prediction, labels = table["prediction"].to_numpy(), table["label"].to_numpy()
        if prediction.dtype.kind == "f":
            self._values.append((prediction, labels.astype(np.float64)))
            return
        cells = table.group_by(["label", "prediction"]).aggregate([([], "count_all")])
        columns = (cells[name].to_pylist() for name in ("label", "prediction", "count_all"))
        self._cells.update({(label, said): count for label, said, count in zip(*columns, strict=True)})
        if "probabilities" in table.column_names:
            likeliest = list_columns.matrix(table["probabilities"]).max(axis=1)
            bins = np.minimum((likeliest * NUM_BINS).astype(np.int64), NUM_BINS - 1)
            found = [np.bincount(each, minlength=NUM_BINS) for each in (bins, bins[prediction == labels])]
            self._bins = np.stack(found) + (0 if self._bins is None else self._bins)

    def confusions(self, arm: str) -> list[Row]:
        # of equal counts in the order of their names, whatever the order of the rows
        fullest = sorted(self._cells.items(), key=lambda cell: (-cell[1], *map(str, cell[0])))
        kept, rest = fullest[:MOST_CELLS], sum(count for _, count in fullest[MOST_CELLS:])
        rows: list[Row] = [
            {"arm": arm, "label": str(label), "prediction": str(said), "num_rows": count}
            for (label, said), count in kept
        ]
        return rows + [{"arm": arm, "label": None, "prediction": None, "num_rows": rest}] * bool(rest)

    def histograms(self, arm: str) -> list[Row]:
        if self._values:
            values, labels = (np.concatenate(each) for each in zip(*self._values, strict=True))
            low, high = labels.min(), labels.max()
            edges = np.linspace(low, high if high > low else low + 1, NUM_BINS + 1)
            counts = np.bincount(np.searchsorted(edges[1:-1], values, side="right"), minlength=NUM_BINS)
            bounds = [None, *edges[1:-1].tolist(), None]
            return _bins(arm, "value", bounds, counts.tolist(), [None] * NUM_BINS)
        if self._bins is None:
            return []
        bounds = np.linspace(0, 1, NUM_BINS + 1).tolist()
        return _bins(arm, "probability", bounds, *self._bins.tolist())


def _bins(arm: str, of: str, bounds: list[float | None], num_rows: list[int], num_correct: list[Any]) -> list[Row]:
    return [
        {"arm": arm, "of": of, "low": low, "high": high, "num_rows": rows, "num_correct": correct}
        for low, high, rows, correct in zip(bounds[:-1], bounds[1:], num_rows, num_correct, strict=True)
    ]
