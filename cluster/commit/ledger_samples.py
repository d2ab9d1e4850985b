"""The samples of one metric, on identical rows of every arm, from the columns of a run's scores."""

import numpy as np
import pyarrow as pa

from assay.cluster.commit import arm_metrics, corpus_statistic
from assay.cluster.commit.corpus_statistic import LabelledRows
from assay.evaluator.ledger.run_scores import RunScores
from assay.manifests import Metric, PlanColumns
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX
from assay.stats.corpus.corpus_samples import CorpusStatistic, corpus_samples
from assay.stats.samples.samples import Samples


def samples_of(scores: RunScores, metric: Metric, *, columns: PlanColumns) -> Samples:
    """The scores of one metric, rows x arms; for a corpus metric, its pseudo-values.

    Args:
        scores: The scores of the arms to compare, with `columns_of(metric, columns=columns)` kept.
        metric: The metric.
        columns: The plan's segment and cluster columns.

    Raises:
        DamageError: The arms do not have the same rows, or scores of a binary metric are not 0 or 1.
    """
    run, arms, rows = scores.run, scores.arms, scores.rows()
    grouping = {
        "segments_R": rows[SEGMENT_COLUMN_PREFIX + columns.segment].to_numpy() if columns.segment else None,
        "clusters_R": np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1] if columns.cluster else None,
    }
    row_ids = rows["row_index"].to_numpy()
    if metric.scores_rows:
        statistic = scores.scores_RA(SCORE_COLUMN_PREFIX + metric.name)
    else:
        statistic = _statistic(metric, scores, rows)
    if isinstance(statistic, np.ndarray):
        return Samples(arms, statistic, row_ids, **grouping, num_repeats=run.experiment.suite.repeats)
    if isinstance(statistic, str):  # the reason why the metric is undefined
        nothing_RA = np.full((len(row_ids), len(arms)), np.nan)
        return Samples(arms, nothing_RA, row_ids, **grouping, corpus="unbounded", undefined=statistic)
    return corpus_samples(statistic, arms=arms, row_ids=row_ids, **grouping)


def columns_of(metric: Metric, *, columns: PlanColumns) -> list[str]:
    """The columns of the table `scores` that `samples_of` needs."""
    segment = [SEGMENT_COLUMN_PREFIX + columns.segment] if columns.segment else []
    groups = [*segment, "cluster"] if columns.cluster else segment
    if metric.scores_rows:
        return [SCORE_COLUMN_PREFIX + metric.name, *groups]
    return ["label", *corpus_statistic.columns_of(metric), *groups]


def _statistic(metric: Metric, scores: RunScores, rows: pa.Table) -> np.ndarray | CorpusStatistic | str:
    """Row scores, or the inputs of a corpus metric, or the reason why the metric is undefined."""
    run, arms, names = scores.run, scores.arms, corpus_statistic.columns_of(metric)
    tables = [pa.Table.from_arrays([scores.predictions(arm, name) for name in names], names) for arm in arms]
    control = tables[arms.index(run.experiment.suite.plan.control)].append_column("label", rows["label"])
    threshold = arm_metrics.threshold(run, metric, control=control)
    if threshold.reason:
        return threshold.reason
    source = corpus_statistic.source_of(metric)
    queries_R = rows["cluster"].to_numpy() if "cluster" in rows.column_names else None
    return corpus_statistic.statistic_of(
        metric,
        LabelledRows(run.label, rows["label"].to_numpy(), queries_R),
        [corpus_statistic.answers_of(source, table, threshold=threshold.value, label=run.label) for table in tables],
    )
