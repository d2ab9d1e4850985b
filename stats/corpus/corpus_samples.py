"""Corpus metrics as scores of rows: numbers of all rows together, such as AUROC or F1, go the way of all means.

Axes: R rows, A arms.

Every row gets its jackknife pseudo-value (jackknife). So the omnibus test, the family with its intervals, clusters (by
adding up within them), segments, guardrails and power are those of any score, and the same bits come from any number
of workers. For AUROC the pseudo-values are DeLong's components, scaled so that the covariance is DeLong's to the last
factor. Each family of metrics is a file beside this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import Samples, renumbered

NUM_REPLICATES = 4_000
"""Replicates of the bootstrap that checks a corpus metric."""
MOST_COUNTS = 40_000_000
"""Cells of the joint table x replicates: beyond this a bootstrap takes longer than it tells."""


class CorpusStatistic(Protocol):
    """One metric of all rows together: what the arms predicted for the same rows, and what the metric makes of it."""

    @property
    def bounded(self) -> bool:
        """Whether the metric lies between 0 and 1."""
        ...

    def taken(self, rows_R: NDArray[Any]) -> "CorpusStatistic":
        """Only some rows, by mask or by ascending index."""
        ...

    def pseudo_values(self) -> Floats:
        """R x A, with the metric as mean; NaN for an arm whose metric is undefined on these rows or without one."""
        ...

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:
        """A paired bootstrap of all arms, as a second look; None where there is none, or it would take too long."""
        ...


@dataclass(frozen=True, eq=False)
class CorpusSamples(Samples):
    """Samples whose scores are pseudo-values; taking some rows computes them again from what the arms predicted for those.

    Attributes:
        statistic: The metric, with what the arms predicted for the rows.
    """

    statistic: CorpusStatistic | None = None

    def taken(self, rows_R: NDArray[Any]) -> Samples:
        """Only some rows, by mask or by ascending index."""
        assert self.statistic is not None
        return corpus_samples(
            self.statistic.taken(rows_R),
            arms=self.arms,
            row_ids=self.row_ids[rows_R],
            segments_R=None if self.segments_R is None else self.segments_R[rows_R],
            clusters_R=None if self.clusters_R is None else renumbered(self.clusters_R[rows_R]),
        )


def corpus_samples(
    statistic: CorpusStatistic,
    *,
    arms: Sequence[str],
    row_ids: NDArray[Any],
    segments_R: NDArray[Any] | None = None,
    clusters_R: NDArray[np.int64] | None = None,
) -> CorpusSamples:
    """Samples of a corpus metric.

    Args:
        statistic: The metric, with what the arms predicted for the rows.
        arms: Names of the arms.
        row_ids: Ids of the rows, ascending.
        segments_R: The segment of each row.
        clusters_R: Number of the row's cluster.
    """
    scores_RA = statistic.pseudo_values() if len(row_ids) else np.empty((0, len(arms)))
    undefined = [arm for arm, scores_R in zip(arms, scores_RA.T, strict=True) if not np.isfinite(scores_R).all()]
    named = ", ".join(f"'{arm}'" for arm in undefined[:3]) + ", …" * (len(undefined) > 3)
    return CorpusSamples(
        arms=tuple(arms),
        kept_RA=np.full(scores_RA.shape, np.nan) if undefined else scores_RA,
        row_ids=row_ids,
        segments_R=segments_R,
        clusters_R=clusters_R,
        corpus="bounded" if statistic.bounded else "unbounded",
        undefined=f"the metric of {named} is undefined on these rows, or without one of them: too few rows of a class"
        if undefined
        else None,
        statistic=statistic,
    )
