"""Repeats: averages the scores of rows that were scored several times, each time under another seed.

Axes: P repeats, R rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.results import is_answered
from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX

_STATUS = ("status", "reason")
_OF_ANSWERS = ("prediction", "probabilities")


def averaged(repeats: Sequence[pa.Table]) -> pa.Table:
    """The table of the first repeat, with each score replaced by its mean over all repeats.

    The mean of equal scores is exactly that score, and the mean of 0s and 1s does not depend on the order of repeats.
    A row that has no answer in some repeat has none: its status is that of the first such repeat.

    Args:
        repeats: One table per repeat, with the same rows. Tables after the first need only the columns of
            `needed_columns`.
    """
    if len(repeats) == 1:
        return repeats[0]
    table = _with_statuses(repeats)
    is_missing_R = ~is_answered(table)
    mask = is_missing_R if is_missing_R.any() else None
    for name in score_columns(table):
        scores_PR = np.stack([each[name].to_numpy() for each in repeats])
        lowest_R = scores_PR.min(axis=0)
        mean_R = lowest_R + (scores_PR - lowest_R).mean(axis=0)
        table = table.set_column(table.column_names.index(name), name, pa.array(mean_R, mask=mask))
    return table


def _with_statuses(repeats: Sequence[pa.Table]) -> pa.Table:
    """The table of the first repeat, without answers to rows that have none in another repeat."""
    table = repeats[0]
    answered_PR = np.stack([is_answered(each) for each in repeats])
    lost_R = answered_PR[0] & ~answered_PR.all(axis=0)
    if not lost_R.any():
        return table
    lost: Any = pa.array(lost_R)
    if "status" not in table.column_names:
        place = table.column_names.index("label")
        table = table.add_column(place, "status", pa.chunked_array([pa.repeat("ok", len(table))]))
        table = table.add_column(place + 1, "reason", pa.chunked_array([pa.nulls(len(table), pa.string())]))
    lost_in = {place: int(np.argmin(answered_PR[:, place])) for place in np.flatnonzero(lost_R).tolist()}
    for name in _STATUS:
        values = [
            repeats[lost_in[place]][name][place].as_py() if place in lost_in else None for place in range(len(table))
        ]
        column = pc.if_else(lost, pa.array(values, pa.string()), table[name])
        table = table.set_column(table.column_names.index(name), name, column)
    for name in set(_OF_ANSWERS).intersection(table.column_names):
        kind: Any = table[name].type
        column = pc.if_else(lost, pa.scalar(None, kind), table[name])
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def sums(repeats: Sequence[pa.Table]) -> dict[str, list[float]]:
    """The sum of each metric's scores in each repeat, over the rows that have an answer in all of them."""
    is_answered_R = np.logical_and.reduce([is_answered(each) for each in repeats])
    return {
        name.removeprefix(SCORE_COLUMN_PREFIX): [float(each[name].to_numpy()[is_answered_R].sum()) for each in repeats]
        for name in score_columns(repeats[0])
    }


def score_columns(table: pa.Table) -> list[str]:
    """The names of the score columns."""
    return [name for name in table.column_names if name.startswith(SCORE_COLUMN_PREFIX)]


def needed_columns(table: pa.Table) -> list[str]:
    """The columns of a repeat that are combined with those of the first one."""
    return [*(name for name in _STATUS if name in table.column_names), *score_columns(table)]
