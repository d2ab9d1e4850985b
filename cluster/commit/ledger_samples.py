"""The samples of one metric, on identical rows of every arm, from the columns of a run's scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from assay.cluster.commit import arm_metrics, corpus_statistic
from assay.cluster.commit.corpus_statistic import LabelledRows
from assay.evaluator.ledger.run_scores import RunScores
from assay.manifests import Metric, Plan, PlanColumns
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX
from assay.stats.corpus.corpus_samples import CorpusStatistic, OnAnsweredRows, corpus_samples
from assay.stats.samples.samples import Samples

_NO_COMMON_ROW = "no row has an answer of every arm"


def samples_of(scores: RunScores, metric: Metric, plan: Plan, *, arms: Sequence[str]) -> Samples:
    """The scores of one metric, rows x arms; for a corpus metric, its pseudo-values. NaN where a row has no answer.

    A corpus metric is computed on the rows that every arm has answered if the plan's rule is `listwise`. It has no
    worst score of a row, so it is undefined if answers are missing and the rule is `worst`.

    Args:
        scores: The scores of these arms and perhaps of others, with `columns_of(metric, columns=plan.columns)` kept.
        metric: The metric.
        plan: The plan, for the segment and cluster columns and the rule for missing scores.
        arms: The arms to compare.

    Raises:
        DamageError: The arms do not have the same rows, or scores of a binary metric are not 0 or 1.
    """
    run, rows, columns = scores.run, scores.rows(), plan.columns
    grouping = {
        "segments_R": rows[SEGMENT_COLUMN_PREFIX + columns.segment].to_numpy() if columns.segment else None,
        "clusters_R": np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1] if columns.cluster else None,
    }
    row_ids = rows["row_index"].to_numpy()
    if metric.scores_rows:
        places = [scores.arms.index(arm) for arm in arms]
        scores_RA = scores.scores_RA(SCORE_COLUMN_PREFIX + metric.name)
        statistic = scores_RA if places == list(range(len(scores.arms))) else scores_RA[:, places]
    else:
        statistic = _statistic(metric, scores, rows, plan, arms)
    if isinstance(statistic, np.ndarray):
        repeats = run.experiment.suite.repeats
        samples = Samples(tuple(arms), statistic, row_ids, **grouping, num_repeats=repeats)
        return _undefined_if_nothing_is_left(samples, plan)
    if isinstance(statistic, str):  # the reason why the metric is undefined
        nothing_RA = np.full((len(row_ids), len(arms)), np.nan)
        return Samples(tuple(arms), nothing_RA, row_ids, **grouping, corpus="unbounded", undefined=statistic)
    return corpus_samples(statistic, arms=tuple(arms), row_ids=row_ids, **grouping)


def _undefined_if_nothing_is_left(samples: Samples, plan: Plan) -> Samples:
    if samples.are_bits or plan.missing != "listwise":
        return samples
    if np.isnan(samples.scores_RA).any(axis=1).all():
        return replace(samples, undefined=_NO_COMMON_ROW)
    return samples


def columns_of(metric: Metric, *, columns: PlanColumns) -> list[str]:
    """The columns of the table `scores` that `samples_of` needs."""
    segment = [SEGMENT_COLUMN_PREFIX + columns.segment] if columns.segment else []
    groups = [*segment, "cluster"] if columns.cluster else segment
    if metric.scores_rows:
        return [SCORE_COLUMN_PREFIX + metric.name, *groups]
    return ["label", *corpus_statistic.columns_of(metric), *groups]


def _statistic(
    metric: Metric, scores: RunScores, rows: pa.Table, plan: Plan, arms: Sequence[str]
) -> np.ndarray | CorpusStatistic | str:
    """Row scores, or the inputs of a corpus metric, or the reason why the metric is undefined."""
    run, names = scores.run, corpus_statistic.columns_of(metric)
    tables = [pa.Table.from_arrays([scores.predictions(arm, name) for name in names], names) for arm in arms]
    control = tables[arms.index(run.experiment.suite.plan.control)].append_column("label", rows["label"])
    threshold = arm_metrics.threshold(run, metric, control=control.drop_null())
    if threshold.reason:
        return threshold.reason
    source = corpus_statistic.source_of(metric)

    def of(tables: Sequence[pa.Table], rows: pa.Table) -> np.ndarray | CorpusStatistic | str:
        return corpus_statistic.statistic_of(
            metric,
            LabelledRows(
                run.label,
                rows["label"].to_numpy(),
                rows["cluster"].to_numpy() if "cluster" in rows.column_names else None,
            ),
            [
                corpus_statistic.answers_of(source, table, threshold=threshold.value, label=run.label)
                for table in tables
            ],
        )

    answered_RA = np.stack([table.column(0).is_valid().to_numpy() for table in tables], axis=1)
    if answered_RA.all():
        return of(tables, rows)
    if metric.definition.level == "row":
        return _row_scores(of, tables, rows, answered_RA)
    if plan.missing == "worst":
        return f"rows without an answer have no worst {metric.name}; set 'missing: listwise' in the plan"
    common_R: np.ndarray = np.logical_and.reduce(answered_RA, axis=1)
    if not common_R.any():
        return _NO_COMMON_ROW
    mask: Any = pa.array(common_R)
    statistic = of([table.filter(mask) for table in tables], rows.filter(mask))
    assert not isinstance(statistic, np.ndarray)
    return statistic if isinstance(statistic, str) else OnAnsweredRows(statistic, common_R)


def _row_scores(
    of: Callable[[Sequence[pa.Table], pa.Table], Any],
    tables: Sequence[pa.Table],
    rows: pa.Table,
    answered_RA: np.ndarray,
) -> np.ndarray:
    scores_RA = np.full(answered_RA.shape, np.nan)
    for arm, table in enumerate(tables):
        mask: Any = pa.array(answered_RA[:, arm])
        scores_RA[answered_RA[:, arm], arm] = of([table.filter(mask)], rows.filter(mask))[:, 0]
    return scores_RA
