"""Reads the samples of one metric from the ledger, on identical rows of every arm, for the statistics."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from assay.cluster.commit import arm_metrics, corpus_statistic
from assay.cluster.commit.corpus_statistic import Answers, LabelledRows
from assay.cluster.errors import RunError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.storage import Store
from assay.manifests import Metric, PlanColumns
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX
from assay.manifests.run import Run
from assay.stats.corpus.corpus_samples import CorpusStatistic, corpus_samples
from assay.stats.samples.samples import Samples


def samples_of(
    store: Store,
    files: Sequence[LedgerFile],
    run: Run,
    metric: Metric,
    *,
    columns: PlanColumns,
    arms: Sequence[str],
) -> Samples:
    """The scores of one metric, rows x arms; for a corpus metric, its pseudo-values.

    Args:
        store: The ledger.
        files: The run's files.
        run: The run.
        metric: The metric.
        columns: The plan's segment and cluster columns.
        arms: The arms, all complete.

    Raises:
        RunError: The arms do not have the same rows, or scores of a binary metric are not 0 or 1.
    """
    groups = {
        "segments": SEGMENT_COLUMN_PREFIX + columns.segment if columns.segment else None,
        "clusters": "cluster" if columns.cluster else None,
    }
    named = "row_id" in reader.column_names(store, files, arms[0])
    shared = ["row_index", *["row_id"] * named, "label", *(name for name in groups.values() if name)]
    kept = [name for name in shared if name != "row_id" and (name != "label" or not metric.scores_rows)]
    own = [SCORE_COLUMN_PREFIX + metric.name] if metric.scores_rows else corpus_statistic.columns_of(metric)
    threshold = arm_metrics.threshold(run, files, store, metric)
    pieces: list[pa.Table] = []
    of_arms: list[list[Answers]] = [[] for _ in arms]
    # The scores take most of the memory. In addition, at most two score files are in memory at a time.
    num_rows = _num_rows(files, run, arms)
    are_bits = metric.is_binary and run.experiment.suite.repeats == 1
    dtype = np.bool_ if are_bits else np.float64
    scores_RA = np.empty((num_rows, len(arms)), dtype) if metric.scores_rows else None
    streams = [reader.score_tables(store, files, arm, [*shared, *own]) for arm in arms]
    stop = 0
    for first in streams[0]:
        rows = first.select(shared)
        pieces.append(first.select(kept))
        start, stop = stop, stop + len(first)
        for index, arm in enumerate(arms):
            table = first if index == 0 else next(streams[index])
            if not table.select(shared).equals(rows):
                raise _rows_differ(run, arm, arms)
            if scores_RA is None:
                if not threshold.reason:
                    source = corpus_statistic.source_of(metric)
                    answers = corpus_statistic.answers_of(source, table, threshold=threshold.value, label=run.label)
                    of_arms[index].append(answers)
            else:
                scores_R = table[own[0]].to_numpy()
                scores_RA[start:stop, index] = scores_R
                if are_bits and not np.array_equal(scores_RA[start:stop, index], scores_R):
                    raise RunError(f"run '{run.run_id}': scores of '{metric.name}' for arm '{arm}' are not all 0 or 1")
    rows = pa.concat_tables(pieces)
    grouping = {
        "segments_R": rows[groups["segments"]].to_numpy() if groups["segments"] else None,
        "clusters_R": np.unique(rows["cluster"].to_numpy(), return_inverse=True)[1] if groups["clusters"] else None,
    }
    row_ids = rows["row_index"].to_numpy()
    statistic = scores_RA if scores_RA is not None else threshold.reason or _statistic(metric, run, rows, of_arms)
    if isinstance(statistic, np.ndarray):
        return Samples(tuple(arms), statistic, row_ids, **grouping, num_repeats=run.experiment.suite.repeats)
    if isinstance(statistic, str):  # the reason why the metric is undefined
        nothing_RA = np.full((len(row_ids), len(arms)), np.nan)
        return Samples(tuple(arms), nothing_RA, row_ids, **grouping, corpus="unbounded", undefined=statistic)
    return corpus_samples(statistic, arms=arms, row_ids=row_ids, **grouping)


def _statistic(
    metric: Metric, run: Run, rows: pa.Table, of_arms: Sequence[Sequence[Answers]]
) -> np.ndarray | CorpusStatistic | str:
    queries_R = rows["cluster"].to_numpy() if "cluster" in rows.column_names else None
    labelled = LabelledRows(run.label, rows["label"].to_numpy(), queries_R)
    return corpus_statistic.statistic_of(metric, labelled, [corpus_statistic.joined(pieces) for pieces in of_arms])


def _num_rows(files: Sequence[LedgerFile], run: Run, arms: Sequence[str]) -> int:
    """The number of rows of every arm, checked to be the same file by file."""
    lengths = [[file.num_rows for file in reader.score_files(files, arm)] for arm in arms]
    for arm, lengths_of_arm in zip(arms, lengths, strict=True):
        if lengths_of_arm != lengths[0]:
            raise _rows_differ(run, arm, arms)
    return sum(lengths[0])


def _rows_differ(run: Run, arm: str, arms: Sequence[str]) -> RunError:
    return RunError(f"run '{run.run_id}': arm '{arm}' does not have the same rows as arm '{arms[0]}'")
