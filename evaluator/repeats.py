"""Repeats: averages the scores of rows that were scored several times, each time under another seed.

Axes: P repeats, R rows.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from assay.manifests.ledger_layout import SCORE_COLUMN_PREFIX


def averaged(repeats: Sequence[pa.Table]) -> pa.Table:
    """The table of the first repeat, with each score replaced by its mean over all repeats.

    The mean of equal scores is exactly that score, and the mean of 0s and 1s does not depend on the order of repeats.

    Args:
        repeats: One table per repeat, with the same rows. Tables after the first need only the score columns.
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
    """The names of the score columns."""
    return [name for name in table.column_names if name.startswith(SCORE_COLUMN_PREFIX)]
