"""Corpus metrics as row scores: metrics of all rows together, such as AUROC or F1, are analysed like means.

Axes: R rows, A arms.

Every row gets its jackknife pseudo-value (jackknife.py). The omnibus test, the family with its intervals, clusters
(summed within), segments, guardrails and power then work as for any score, and any number of workers gives the same
bits. For AUROC the pseudo-values are DeLong's components, scaled so that the covariance is exactly DeLong's. Each
family of metrics has its own file in this folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus.corpus_value import CorpusValue
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import Samples, renumbered

NUM_REPLICATES = 4_000
"""Number of replicates of the bootstrap that checks a corpus metric."""
MOST_COUNTS = 40_000_000
"""Largest size of a bootstrap (such as cells of the joint table x replicates); larger ones are skipped as too slow."""


class CorpusStatistic(Protocol):
    """A metric of all rows together, with the arms' predictions on the same rows."""

    @property
    def bounded(self) -> bool:
        """Whether the metric lies between 0 and 1."""
        ...

    def subset(self, rows_R: NDArray[Any]) -> "CorpusStatistic":
        """The statistic of some rows only, by mask or by ascending index."""
        ...

    def values(self) -> tuple[CorpusValue, ...]:
        """The metric of each arm, or the reason why it has none. There is at least one row."""
        ...

    def pseudo_values(self) -> Floats:
        """R x A, with the metric as mean; NaN if an arm's metric is undefined on these rows or without one of them."""
        ...

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:
        """A paired bootstrap of all arms as a second method; None if there is none or it would take too long."""
        ...


@dataclass(frozen=True, eq=False)
class OnAnsweredRows:
    """A statistic of some of the rows: those that every arm has answered. The others have no pseudo-values.

    Attributes:
        statistic: The statistic of these rows.
        answered_R: Whether every arm has answered the row, for all rows; at least one is true.
    """

    statistic: CorpusStatistic
    answered_R: NDArray[np.bool_]

    @property
    def bounded(self) -> bool:
        """See `CorpusStatistic`."""
        return self.statistic.bounded

    def subset(self, rows_R: NDArray[Any]) -> CorpusStatistic:
        """See `CorpusStatistic`."""
        chosen_R = np.zeros(len(self.answered_R), dtype=bool)
        chosen_R[rows_R] = True
        inside = self.statistic.subset(chosen_R[self.answered_R])
        answered_R = self.answered_R[chosen_R]
        return inside if answered_R.all() else OnAnsweredRows(inside, answered_R)

    def values(self) -> tuple[CorpusValue, ...]:
        """See `CorpusStatistic`."""
        return self.statistic.values()

    def pseudo_values(self) -> Floats:
        """See `CorpusStatistic`; NaN also for the other rows."""
        values_RA = self.statistic.pseudo_values()
        spread_RA = np.full((len(self.answered_R), values_RA.shape[1]), np.nan)
        spread_RA[self.answered_R] = values_RA
        return spread_RA

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: a second method is only applied to complete rows."""
        return None


@dataclass(frozen=True, eq=False)
class CorpusSamples(Samples):
    """Samples whose scores are pseudo-values; a subset of rows recomputes them from the predictions on those rows.

    Attributes:
        statistic: The metric, with the arms' predictions.
    """

    statistic: CorpusStatistic | None = None

    def subset(self, rows_R: NDArray[Any]) -> Samples:
        """The samples of some rows only, by mask or by ascending index."""
        assert self.statistic is not None
        return corpus_samples(
            self.statistic.subset(rows_R),
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
    """Builds samples of a corpus metric.

    Args:
        statistic: The metric, with the arms' predictions.
        arms: Names of the arms.
        row_ids: Ids of the rows, ascending.
        segments_R: The segment of each row, or None.
        clusters_R: The number of each row's cluster, or None.
    """
    scores_RA = statistic.pseudo_values() if len(row_ids) else np.empty((0, len(arms)))
    answered_RA = scores_RA[statistic.answered_R] if isinstance(statistic, OnAnsweredRows) else scores_RA
    undefined = [arm for arm, scores_R in zip(arms, answered_RA.T, strict=True) if not np.isfinite(scores_R).all()]
    names = ", ".join(f"'{arm}'" for arm in undefined[:3]) + ", …" * (len(undefined) > 3)
    return CorpusSamples(
        arms=tuple(arms),
        kept_RA=np.full(scores_RA.shape, np.nan) if undefined else scores_RA,
        row_ids=row_ids,
        segments_R=segments_R,
        clusters_R=clusters_R,
        corpus="bounded" if statistic.bounded else "unbounded",
        undefined=f"the metric of {names} is undefined on these rows, or without one of them: too few rows of a class"
        if undefined
        else None,
        statistic=statistic,
    )
