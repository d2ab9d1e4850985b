"""Repeats: rows that were scored several times, under a seed each time, into one score a row.

Axes: P repeats, R rows.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX


def averaged(repeats: Sequence[pa.Table]) -> pa.Table:
    """The first repeat with each row's mean scores over all of them.

    Equal scores have exactly their own value as mean, and the order of repeats does not matter to the mean of 0s and 1s.

    Args:
        repeats: The same rows, scored anew each time; of the later ones their scores are enough.
    """
    table = repeats[0]
    for name in score_columns(table) if len(repeats) > 1 else ():
        scores_PR = np.stack([each[name].to_numpy() for each in repeats])
        lowest_R = scores_PR.min(axis=0)
        mean_R = lowest_R + (scores_PR - lowest_R).mean(axis=0)
        table = table.set_column(table.column_names.index(name), name, pa.array(mean_R))
    return table


def sums(repeats: Sequence[pa.Table]) -> dict[str, list[float]]:
    """The sum of each metric's scores in each repeat."""
    return {
        name.removeprefix(SCORE_COLUMN_PREFIX): [float(each[name].to_numpy().sum()) for each in repeats]
        for name in score_columns(repeats[0])
    }


def score_columns(table: pa.Table) -> list[str]:
    """The names of the columns that hold scores."""
    return [name for name in table.column_names if name.startswith(SCORE_COLUMN_PREFIX)]
