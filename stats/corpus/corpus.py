"""Corpus metrics as scores of rows: numbers of all rows together, such as AUROC or F1, go the way of all means.

Axes: R rows, A arms, K classes, S sums of one arm (joint_table), B replicates.

Every row gets its jackknife pseudo-value, recentred: `T + (n - 1) (mean_r T_without_r - T_without_r)`. Their mean is
the metric T, and their covariance over n is the jackknife's covariance of the arms' metrics (Tukey 1958, Ann. Math.
Stat. 29:614; Arvesen 1969, Ann. Math. Stat. 40:2076), which is not too small on average (Efron & Stein 1981, Ann.
Stat. 9:586). So the omnibus test, the family with its intervals, clusters (by adding up within them), segments,
guardrails and power are those of any score, and the same bits come from any number of workers. For AUROC the
pseudo-values are DeLong's components, scaled so that the covariance is DeLong's to the last factor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from assay.stats.comparisons import bootstrap
from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.corpus import auroc, average_precision, joint_table
from assay.stats.corpus.joint_table import ClassMetric
from assay.stats.moments.bootstrap_weights import Keys
from assay.stats.moments.moments import Floats
from assay.stats.samples.samples import Samples, renumbered

_NUM_REPLICATES = 4_000
_MOST_COUNTS = 40_000_000
"""Cells of the joint table x replicates: beyond this a bootstrap takes longer than it tells."""
_BLOCK_NUM_SUMS = 4_000_000

CLASS_METRICS: dict[str, ClassMetric] = {
    "precision": joint_table.precision,
    "recall": joint_table.recall,
    "f1": joint_table.f1,
    "balanced_accuracy": joint_table.balanced_accuracy,
    "macro_f1": joint_table.macro_f1,
    "matthews": joint_table.matthews,
}


class Answers(Protocol):
    """What the arms said of the same rows, and what one metric makes of it."""

    @property
    def bounded(self) -> bool:
        """Whether the metric lies between 0 and 1."""
        ...

    def taken(self, rows_R: NDArray[Any]) -> "Answers":
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
    """Samples whose scores are pseudo-values; taking some rows makes them anew from what the arms said of those.

    Attributes:
        answers: What the arms said.
    """

    answers: Answers | None = None

    def taken(self, rows_R: NDArray[Any]) -> Samples:
        """Only some rows, by mask or by ascending index."""
        assert self.answers is not None
        return corpus_samples(
            self.answers.taken(rows_R),
            arms=self.arms,
            row_ids=self.row_ids[rows_R],
            segments_R=None if self.segments_R is None else self.segments_R[rows_R],
            clusters_R=None if self.clusters_R is None else renumbered(self.clusters_R[rows_R]),
        )


def corpus_samples(
    answers: Answers,
    *,
    arms: Sequence[str],
    row_ids: NDArray[Any],
    segments_R: NDArray[Any] | None = None,
    clusters_R: NDArray[np.int64] | None = None,
) -> CorpusSamples:
    """Samples of a corpus metric.

    Args:
        answers: What the arms said of the rows.
        arms: Names of the arms.
        row_ids: Ids of the rows, ascending.
        segments_R: The segment of each row.
        clusters_R: Number of the row's cluster.
    """
    scores_RA = answers.pseudo_values() if len(row_ids) else np.empty((0, len(arms)))
    undefined = [arm for arm, scores_R in zip(arms, scores_RA.T, strict=True) if not np.isfinite(scores_R).all()]
    named = ", ".join(f"'{arm}'" for arm in undefined[:3]) + ", …" * (len(undefined) > 3)
    return CorpusSamples(
        arms=tuple(arms),
        kept_RA=np.full(scores_RA.shape, np.nan) if undefined else scores_RA,
        row_ids=row_ids,
        segments_R=segments_R,
        clusters_R=clusters_R,
        corpus="bounded" if answers.bounded else "unbounded",
        undefined=f"the metric of {named} is undefined on these rows, or without one of them: too few rows of a class"
        if undefined
        else None,
        answers=answers,
    )


@dataclass(frozen=True, eq=False)
class Classes:
    """Predicted classes, for metrics that count hits.

    Attributes:
        metric: One of `CLASS_METRICS`.
        classes: Names or numbers of the classes, the positive one last.
        labels_R: The number of each row's class, int32.
        predictions_RA: The number of each arm's class of each row.
    """

    metric: str
    classes: tuple[Any, ...]
    labels_R: NDArray[np.int32]
    predictions_RA: NDArray[np.int32]

    @property
    def bounded(self) -> bool:
        """All but Matthews' coefficient lie between 0 and 1."""
        return self.metric != "matthews"

    def taken(self, rows_R: NDArray[Any]) -> "Classes":
        """Only some rows."""
        return Classes(self.metric, self.classes, self.labels_R[rows_R], self.predictions_RA[rows_R])

    def pseudo_values(self) -> Floats:
        """From the metric without a row of each kind that there is: rows with one label and one prediction are equal."""
        num_classes = len(self.classes)
        scores_RA = np.empty(self.predictions_RA.shape)
        for arm, predictions_R in enumerate(self.predictions_RA.T):
            code_R = self.labels_R.astype(np.int64) * num_classes + predictions_R
            codes_C, place_R, counts_C = np.unique(code_R, return_inverse=True, return_counts=True)
            without_C = self._without(codes_C, counts_C)
            scores_RA[:, arm] = _pseudo_values(self._metric_of(codes_C, counts_C), without_C, counts_C)[place_R]
        return scores_RA

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:
        """Multinomial counts of the joint table; with clusters, weights of the clusters."""
        arms = tuple(map(str, range(self.predictions_RA.shape[1])))
        numbers = range(len(self.classes))
        if clusters_R is None:
            table = joint_table.joint_table(self.labels_R, self.predictions_RA, arms=arms, classes=numbers)
            if len(table.counts_C) * _NUM_REPLICATES > _MOST_COUNTS:
                return None
            return table.bootstrap(CLASS_METRICS[self.metric], num_replicates=_NUM_REPLICATES)
        num_sums = len(arms) * (3 * len(self.classes) + 1)
        if len(self.labels_R) * num_sums > _MOST_COUNTS:
            return None
        one_hot = np.eye(len(self.classes))
        sums_RAS = joint_table.sums_of(one_hot[self.labels_R][:, None], one_hot[self.predictions_RA])
        return bootstrap.bootstrap_sums(
            sums_RAS, CLASS_METRICS[self.metric], keys_R=keys_R, num_replicates=_NUM_REPLICATES
        )

    def _sums_of(self, codes_C: NDArray[np.int64]) -> Floats:
        one_hot = np.eye(len(self.classes))
        return joint_table.sums_of(one_hot[codes_C // len(self.classes)], one_hot[codes_C % len(self.classes)])

    def _total(self, codes_C: NDArray[np.int64], counts_C: NDArray[np.int64]) -> Floats:
        label_C, predicted_C = np.divmod(codes_C, len(self.classes))
        num_classes = len(self.classes)
        predicted_K = np.bincount(predicted_C, weights=counts_C, minlength=num_classes)
        label_K = np.bincount(label_C, weights=counts_C, minlength=num_classes)
        hits_K = np.bincount(label_C, weights=counts_C * (label_C == predicted_C), minlength=num_classes)
        return np.concatenate([hits_K, predicted_K, label_K, [counts_C.sum()]])

    def _metric_of(self, codes_C: NDArray[np.int64], counts_C: NDArray[np.int64]) -> float:
        with np.errstate(all="ignore"):
            return float(CLASS_METRICS[self.metric](self._total(codes_C, counts_C)))

    def _without(self, codes_C: NDArray[np.int64], counts_C: NDArray[np.int64]) -> Floats:
        total_S = self._total(codes_C, counts_C)
        block = max(1, _BLOCK_NUM_SUMS // len(total_S))
        with np.errstate(all="ignore"):
            return np.concatenate(
                [
                    CLASS_METRICS[self.metric](total_S - self._sums_of(codes_C[first : first + block]))
                    for first in range(0, len(codes_C), block)
                ]
            )


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scores that rank rows, for AUROC and average precision: of one class against the rest, or the mean over several.

    Attributes:
        scores_KRA: For each class that is told from the rest: the arms' scores of the rows.
        positive_KR: Whether the row is of that class.
        metric: Which of the two.
    """

    scores_KRA: Floats
    positive_KR: NDArray[np.bool_]
    metric: Literal["auroc", "average_precision"] = "auroc"
    bounded: bool = True

    def taken(self, rows_R: NDArray[Any]) -> "Ranked":
        """Only some rows."""
        return replace(self, scores_KRA=self.scores_KRA[:, rows_R], positive_KR=self.positive_KR[:, rows_R])

    def pseudo_values(self) -> Floats:
        """DeLong's components, or the jackknife's of average precision, averaged over the classes."""
        module = auroc if self.metric == "auroc" else average_precision
        of_classes = [
            module.pseudo_values(scores_RA, positive_R)
            for scores_RA, positive_R in zip(self.scores_KRA, self.positive_KR, strict=True)
        ]
        return np.mean(of_classes, axis=0)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: DeLong's covariance is that of a U-statistic, not an approximation that a bootstrap would check.

        Average precision is no function of sums: every replicate would have to rank all rows anew.
        """
        return None


@dataclass(frozen=True, eq=False)
class Confidences:
    """Confidence in the predicted class, for the expected calibration error over bins of equal width.

    Attributes:
        num_bins: Bins, closed above.
        hits_RA: Whether the predicted class is the true one.
        confidences_RA: Its probability.
    """

    num_bins: int
    hits_RA: NDArray[np.bool_]
    confidences_RA: Floats
    bounded: bool = True

    def taken(self, rows_R: NDArray[Any]) -> "Confidences":
        """Only some rows."""
        return Confidences(self.num_bins, self.hits_RA[rows_R], self.confidences_RA[rows_R])

    def pseudo_values(self) -> Floats:
        """The sum over bins of |hits - confidence| without a row changes in that row's bin alone."""
        scores_RA = np.empty(self.confidences_RA.shape)
        num_rows, num_arms = self.confidences_RA.shape
        for arm in range(num_arms):
            gap_R, bin_R = self._gaps(arm)
            gap_K = np.bincount(bin_R, weights=gap_R, minlength=self.num_bins)
            total = float(np.abs(gap_K).sum())
            with np.errstate(all="ignore"):
                without_R = (total - np.abs(gap_K[bin_R]) + np.abs(gap_K[bin_R] - gap_R)) / (num_rows - 1)
            scores_RA[:, arm] = _pseudo_values(total / num_rows, without_R, np.ones(num_rows, dtype=np.int64))
        return scores_RA

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """Weighs the rows' gaps: a bin's sum of gaps is all that the metric is made of."""
        num_rows, num_arms = self.confidences_RA.shape
        if num_rows * num_arms * self.num_bins > _MOST_COUNTS:
            return None
        sums_RAS = np.zeros((num_rows, num_arms, self.num_bins + 1))
        sums_RAS[:, :, -1] = 1.0
        for arm in range(num_arms):
            gap_R, bin_R = self._gaps(arm)
            sums_RAS[np.arange(num_rows), arm, bin_R] = gap_R
        return bootstrap.bootstrap_sums(sums_RAS, _calibration_error, keys_R=keys_R, num_replicates=_NUM_REPLICATES)

    def _gaps(self, arm: int) -> tuple[Floats, NDArray[np.int64]]:
        edges = np.linspace(0, 1, self.num_bins + 1)[1:-1]
        return self.hits_RA[:, arm] - self.confidences_RA[:, arm], np.searchsorted(edges, self.confidences_RA[:, arm])


def _calibration_error(sums: Floats) -> Floats:
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of predicted values, for their root mean square.

    Attributes:
        errors_RA: Predicted minus true value.
    """

    errors_RA: Floats
    bounded: bool = False

    def taken(self, rows_R: NDArray[Any]) -> "Errors":
        """Only some rows."""
        return Errors(self.errors_RA[rows_R])

    def pseudo_values(self) -> Floats:
        """From the sum of squares without each row."""
        num_rows = len(self.errors_RA)
        square_RA = self.errors_RA**2
        total_A = square_RA.sum(axis=0)
        with np.errstate(all="ignore"):
            without_RA = np.sqrt(np.maximum(total_A - square_RA, 0.0) / (num_rows - 1))
        return _pseudo_values(np.sqrt(total_A / num_rows), without_RA, np.ones((num_rows, 1), dtype=np.int64))

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """Weighs the rows' squares."""
        if self.errors_RA.size * 2 > _MOST_COUNTS:
            return None
        sums_RAS = np.stack([self.errors_RA**2, np.ones_like(self.errors_RA)], axis=2)
        root: Callable[[Floats], Floats] = lambda sums: np.sqrt(sums[..., 0] / sums[..., 1])  # noqa: E731
        return bootstrap.bootstrap_sums(sums_RAS, root, keys_R=keys_R, num_replicates=_NUM_REPLICATES)


@dataclass(frozen=True, eq=False)
class Explained:
    """Errors of predicted values and the labels, for the share of the labels' variance that is explained: R2.

    Attributes:
        errors_RA: Predicted minus true value.
        labels_R: The true value.
    """

    errors_RA: Floats
    labels_R: Floats
    bounded: bool = False

    def taken(self, rows_R: NDArray[Any]) -> "Explained":
        """Only some rows."""
        return Explained(self.errors_RA[rows_R], self.labels_R[rows_R])

    def pseudo_values(self) -> Floats:
        """From both sums of squares without each row; NaN where the labels, all or all but one, are equal."""
        num_rows = len(self.labels_R)
        if len(np.unique(self.labels_R)) < 2 or np.unique(self.labels_R, return_counts=True)[1].max() >= num_rows - 1:
            return np.full(self.errors_RA.shape, np.nan)
        square_RA = self.errors_RA**2
        total_A = square_RA.sum(axis=0)
        deviation_R = self.labels_R - self.labels_R.mean()
        spread = (deviation_R**2).sum()
        # the mean without a row is another one: Welford's update, backwards
        without_R = spread - deviation_R**2 * num_rows / (num_rows - 1)
        without_RA = 1.0 - (total_A - square_RA) / without_R[:, None]
        return _pseudo_values(1.0 - total_A / spread, without_RA, np.ones((num_rows, 1), dtype=np.int64))

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """Weighs the rows' squares and their labels' deviations from the mean of all."""
        if self.errors_RA.size * 4 > _MOST_COUNTS:
            return None
        deviation_RA = np.broadcast_to((self.labels_R - self.labels_R.mean())[:, None], self.errors_RA.shape)
        columns = [self.errors_RA**2, deviation_RA**2, deviation_RA, np.ones_like(self.errors_RA)]
        return bootstrap.bootstrap_sums(
            np.stack(columns, axis=2), _explained, keys_R=keys_R, num_replicates=_NUM_REPLICATES
        )


def _explained(sums: Floats) -> Floats:
    return 1.0 - sums[..., 0] / (sums[..., 1] - sums[..., 2] ** 2 / sums[..., 3])


@dataclass(frozen=True, eq=False)
class QueryScores:
    """Scores of queries, each of which is a cluster of rows: their mean, every query weighing the same.

    Attributes:
        scores_RA: The score of the row's query, the same for each row of it.
        query_R: The number of the row's query.
    """

    scores_RA: Floats
    query_R: NDArray[np.int64]
    bounded: bool = True

    def taken(self, rows_R: NDArray[Any]) -> "QueryScores":
        """Only some rows; a query that has one of them keeps its whole score."""
        return QueryScores(self.scores_RA[rows_R], renumbered(self.query_R[rows_R]))

    def pseudo_values(self) -> Floats:
        """Each query's deviation from the mean, shared out among its rows: `m + (R / (Q R_q)) (s_q - m)`.

        Added up within queries, as clusters are, these have the mean over queries as mean, and the covariance over
        queries as covariance, to the last factor.
        """
        num_rows = len(self.query_R)
        num_rows_Q = np.bincount(self.query_R)
        share_R = 1.0 / (len(num_rows_Q) * num_rows_Q[self.query_R])
        mean_A = share_R @ self.scores_RA
        return mean_A + num_rows * share_R[:, None] * (self.scores_RA - mean_A)

    def replicates(self, clusters_R: NDArray[np.int64] | None, keys_R: Keys) -> Replicates | None:  # noqa: ARG002
        """None: it is a mean of independent scores."""
        return None


def _pseudo_values(estimate: float | Floats, without: Floats, counts: NDArray[np.int64]) -> Floats:
    """Recentred pseudo-values of rows, or of kinds of rows that occur `counts` times (first axis)."""
    num_rows = int(counts.sum())
    mean = (without * counts).sum(axis=0) / num_rows
    return estimate + (num_rows - 1) * (mean - without)
