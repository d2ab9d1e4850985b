"""AUROCs of all arms on the same rows with their covariance: DeLong, and Obuchowski for rows in clusters.

Axes: R rows, A arms, M rows with label 1, N rows with label 0, G clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from stats import omnibus, posthoc, resampling
from stats.errors import SamplesError
from stats.finite import finite
from stats.moments import Floats, moments_of
from stats.results import Comparison, OmnibusTest

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Aurocs:
    """The area under the ROC curve of every arm.

    Attributes:
        arms: Names of the arms.
        estimate_A: AUROCs.
        covariance_AA: Their covariance; exactly 0 where it is rounding.
        num_positive: Rows with label 1.
        num_negative: Rows with label 0.
        df: Degrees of freedom of the covariance: inf, or clusters - 1.
    """

    arms: tuple[str, ...]
    estimate_A: Floats
    covariance_AA: Floats
    num_positive: int
    num_negative: int
    df: float

    def interval(self, arm: int, *, alpha: float) -> tuple[float, float]:
        """Interval of one arm's AUROC, symmetric on the logit scale, so that it stays within 0 and 1.

        Pepe 2003, section 5.2.4. An AUROC of 0 or 1 has no variance and is a point.
        """
        estimate, variance = float(self.estimate_A[arm]), float(self.covariance_AA[arm, arm])
        if variance == 0 or not 0 < estimate < 1:
            return estimate, estimate
        half = float(stats.t.isf(alpha / 2, self.df)) * np.sqrt(variance) / (estimate * (1 - estimate))
        return float(special.expit(special.logit(estimate) - half)), float(
            special.expit(special.logit(estimate) + half)
        )

    def omnibus(self, *, control: str) -> OmnibusTest:
        """Wald's chi-square test that all arms have the same AUROC."""
        at = self.arms.index(control)
        others = [index for index in range(len(self.arms)) if index != at]
        relative_AA = self.covariance_AA - self.covariance_AA[at] - self.covariance_AA[:, at, None]
        relative_AA = relative_AA + self.covariance_AA[at, at]
        relative_DD = np.where(np.abs(relative_AA) <= _ROUNDING**2, 0.0, relative_AA)[np.ix_(others, others)]
        return omnibus.wald(
            self.estimate_A[others] - self.estimate_A[at], relative_DD, test="delong", rounding=_ROUNDING
        )

    def comparisons(self, *, control: str, family: str, alpha: float) -> tuple[Comparison, ...]:
        """The family by single-step max-T with the covariance of the AUROCs, and simultaneous intervals."""
        pairs = resampling.pairs_named(self.arms, control=control, family=family)
        found = posthoc.max_t(
            self.estimate_A,
            self.covariance_AA,
            df=self.df,
            arms=self.arms,
            pairs=pairs,
            alpha=alpha,
            lone_method="delong",
            rounding=_ROUNDING,
        ).comparisons
        names = {"max_t": "delong_max_t"}
        return tuple(replace(each, method=names.get(each.method, each.method)) for each in found)


def aurocs(
    scores_RA: ArrayLike, labels_R: ArrayLike, *, arms: Sequence[str], clusters_R: NDArray[np.int64] | None = None
) -> Aurocs:
    """AUROCs and their covariance in O(n log n) for each arm.

    DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44:837) by midranks (Sun & Xu 2014, IEEE SPL 21:1389); with
    clusters, which may hold rows of both labels, Obuchowski 1997 (Biometrics 53:567).

    Args:
        scores_RA: Scores, larger for label 1; finite.
        labels_R: Labels 0 and 1.
        arms: Names of the arms.
        clusters_R: Number of the row's cluster, or None.

    Raises:
        SamplesError: A score is no number, a label neither 0 nor 1, or there are not two rows of each label.
    """
    values_RA = finite(scores_RA)
    positive_R = _positive(labels_R, len(values_RA))
    above_MA, below_NA = _placements(values_RA, positive_R)
    estimate_A = above_MA.mean(axis=0)
    if clusters_R is None:
        covariance_AA = _covariance(above_MA) / len(above_MA) + _covariance(below_NA) / len(below_NA)
        df = np.inf
    else:
        covariance_AA, num_clusters = _clustered(above_MA, below_NA, positive_R, clusters_R)
        df = float(num_clusters - 1)
    scale = np.abs(covariance_AA).max()
    return Aurocs(
        arms=tuple(arms),
        estimate_A=estimate_A,
        covariance_AA=np.where(np.abs(covariance_AA) <= 1e-15 * scale, 0.0, covariance_AA),
        num_positive=len(above_MA),
        num_negative=len(below_NA),
        df=df,
    )


def _placements(values_RA: Floats, positive_R: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Share of label-0 rows below each label-1 row, and of label-1 rows above each label-0 row; ties count half."""
    positive_MA, negative_NA = values_RA[positive_R], values_RA[~positive_R]
    rank_RA = stats.rankdata(values_RA, axis=0)
    above_MA = (rank_RA[positive_R] - stats.rankdata(positive_MA, axis=0)) / len(negative_NA)
    below_NA = 1.0 - (rank_RA[~positive_R] - stats.rankdata(negative_NA, axis=0)) / len(positive_MA)
    return above_MA, below_NA


def _covariance(values_RA: Floats) -> Floats:
    """In plain sums: no threaded library decides the order of addition."""
    return moments_of(values_RA, arms=tuple(map(str, range(values_RA.shape[1]))), control=0).covariance_AA


def _clustered(
    above_MA: Floats, below_NA: Floats, positive_R: NDArray[np.bool_], clusters_R: NDArray[np.int64]
) -> tuple[Floats, int]:
    estimate_A = above_MA.mean(axis=0)
    place_R = np.unique(clusters_R, return_inverse=True)[1]
    num_clusters = int(place_R.max()) + 1
    totals = []
    for values_A, rows_R in ((above_MA, positive_R), (below_NA, ~positive_R)):
        deviation = values_A - estimate_A
        totals.append(
            np.stack(
                [np.bincount(place_R[rows_R], weights=column, minlength=num_clusters) for column in deviation.T], axis=1
            )
            / len(values_A)
        )
    counts = [len(np.unique(place_R[rows_R])) for rows_R in (positive_R, ~positive_R)]
    if min(counts) < 2 or num_clusters < omnibus.MIN_NUM_CLUSTERS:
        raise SamplesError(
            "too few clusters for a cluster-robust covariance",
            field="columns.cluster",
            value=num_clusters,
            bound=f"at least {omnibus.MIN_NUM_CLUSTERS}, and 2 with rows of each label",
        )
    positive_GA, negative_GA = totals
    cross_AA = positive_GA.T @ negative_GA * num_clusters / (num_clusters - 1)
    covariance_AA = (
        positive_GA.T @ positive_GA * counts[0] / (counts[0] - 1)
        + negative_GA.T @ negative_GA * counts[1] / (counts[1] - 1)
        + cross_AA
        + cross_AA.T
    )
    return covariance_AA, num_clusters


def _positive(labels_R: ArrayLike, num_rows: int) -> NDArray[np.bool_]:
    labels = np.asarray(labels_R)
    if labels.shape != (num_rows,):
        raise SamplesError("labels and scores differ in number", field="label", value=len(labels), bound=str(num_rows))
    other_R = (labels != 0) & (labels != 1)
    if other_R.any():
        raise SamplesError(
            "a label is neither 0 nor 1",
            place=f"row {int(np.argmax(other_R))} (counted from 0)",
            field="label",
            value=str(labels[np.argmax(other_R)]),
            bound="0 or 1",
        )
    positive_R = labels == 1
    fewest = int(min(positive_R.sum(), (~positive_R).sum()))
    if fewest < 2:
        raise SamplesError(
            "an AUROC with a variance needs two rows of each label", field="label", value=fewest, bound="2 or more"
        )
    return positive_R
