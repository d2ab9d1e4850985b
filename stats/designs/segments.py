"""Segments: whether differences between arms depend on the segment, and each segment by itself; always exploratory.

Axes: R rows, A arms, D arms without the control, S segments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from assay.manifests.comparison import Comparison, OmnibusTest, Segment
from assay.stats.distributions import multiplicity
from assay.stats.distributions.max_t import Pair
from assay.stats.errors import SamplesError
from assay.stats.moments.arm_means import ArmMeans
from assay.stats.moments.clusters import MIN_CLUSTERS
from assay.stats.moments.moments import Floats
from assay.stats.omnibus import omnibus_result, wald
from assay.stats.samples.samples import Samples

MIN_ROWS = 30
"""A segment with fewer rows (in its smallest arm) is shown without comparisons."""
MAX_SEGMENTS = 1000
"""A column with more distinct values is an id rather than a segment."""

Compare = Callable[[ArmMeans, Samples, Pair], Comparison]


@dataclass(frozen=True)
class BySegment:
    """The interaction of arm and segment, and the segments in the order of their names."""

    interaction: OmnibusTest | None
    segments: tuple[Segment, ...]


def segments_of(
    samples: Samples,
    *,
    names: Sequence[str],
    pairs: Sequence[Pair],
    measure: Callable[[Samples], ArmMeans],
    compare: Compare,
) -> BySegment:
    """Compares arms within each segment, with Benjamini-Hochberg p-values over all segments and pairs.

    Args:
        samples: Complete scores with `segments_R`.
        names: All segments, including those left without rows by the rule for missing scores.
        pairs: The plan's family.
        measure: Computes the arms' means on a subset of rows.
        compare: Makes one comparison with its own interval.

    Raises:
        SamplesError: There are more than `MAX_SEGMENTS` segments.
    """
    assert samples.segments_R is not None
    if len(names) > MAX_SEGMENTS:
        raise SamplesError(
            "the segment column has too many distinct values",
            field="columns.segment",
            value=len(names),
            bound=f"at most {MAX_SEGMENTS} segments",
            remedy="name a column that groups rows",
        )
    segments: list[Segment] = []
    usable: list[ArmMeans] = []
    own_RA = samples.kept_RA.copy()
    for name in names:
        inside = samples.subset(samples.segments_R == name)
        own_RA[samples.segments_R == name] = inside.kept_RA  # for a corpus metric: the segment's own pseudo-values
        num_rows, reason = _size(inside)
        if reason is not None:
            segments.append(Segment(segment=name, num_rows=num_rows, comparisons=(), not_testable=reason))
            continue
        arms = measure(inside)
        usable.append(arms)
        segments.append(
            Segment(segment=name, num_rows=num_rows, comparisons=tuple(compare(arms, inside, pair) for pair in pairs))
        )
    samples = replace(samples, kept_RA=own_RA)
    interaction = (
        _interaction(samples, usable, [s.segment for s in segments if s.not_testable is None]) if pairs else None
    )
    return BySegment(interaction, _adjusted(segments))


def _size(inside: Samples) -> tuple[int, str | None]:
    if inside.undefined is not None:
        return inside.num_rows, inside.undefined
    num_rows_A = (~np.isnan(inside.kept_RA)).sum(axis=0)
    smallest = int(num_rows_A.min()) if inside.num_rows else 0
    if smallest < MIN_ROWS:
        return inside.num_rows, f"{smallest} rows; comparisons need at least {MIN_ROWS}"
    if inside.clusters_R is not None:
        num_clusters = int(inside.clusters_R.max()) + 1
        if num_clusters < MIN_CLUSTERS:
            return inside.num_rows, f"{num_clusters} clusters; comparisons need at least {MIN_CLUSTERS}"
    return inside.num_rows, None


def _adjusted(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    p_values = [comparison.p_value for segment in segments for comparison in segment.comparisons]
    adjusted = iter(multiplicity.adjust(p_values, method="bh"))
    return tuple(
        segment.model_copy(
            update={
                "comparisons": tuple(
                    comparison.model_copy(update={"p_adjusted": next(adjusted), "method": f"{comparison.method}_bh"})
                    for comparison in segment.comparisons
                )
            }
        )
        for segment in segments
    )


def _untestable(reason: str) -> OmnibusTest:
    return omnibus_result.untestable("interaction", reason)


def _interaction(samples: Samples, usable: Sequence[ArmMeans], names: Sequence[str]) -> OmnibusTest:
    """Tests whether the vector of mean differences is the same in all segments.

    Each segment has its own covariance, so this is the Welch-James test (Johansen 1980, Biometrika 67:85), which for
    one difference is Welch's test. With clusters, which may cross segments, it is a Wald test on cluster totals.
    """
    if len(usable) < 2:
        return _untestable(f"an interaction needs two segments that are large enough; there is {len(usable)}")
    others = [index for index in range(len(samples.arms)) if index != usable[0].control]
    covariance_SDD = np.stack([arms.relative_covariance_AA[np.ix_(others, others)] for arms in usable])
    variance_SD = np.diagonal(covariance_SDD, axis1=1, axis2=2)
    varying = np.flatnonzero(variance_SD.max(axis=0) > 0)
    mean_SD = np.stack([arms.mean_A[others] for arms in usable])[:, varying]
    covariance_SDD = covariance_SDD[:, varying][:, :, varying]
    if not len(varying):
        return _untestable("the arms do not differ in any segment")
    if any(_is_singular(covariance_DD) for covariance_DD in covariance_SDD):
        return _untestable("in some segment, differences between arms do not vary independently of each other")
    if samples.clusters_R is not None:
        return _cluster_wald(samples, usable[0].control, [others[index] for index in varying], names)
    return _welch_james(mean_SD, covariance_SDD, np.array([arms.df for arms in usable]))


def _is_singular(covariance_DD: Floats) -> bool:
    scale_D = np.sqrt(np.diag(covariance_DD))
    if (scale_D == 0).any():
        return True
    return bool(np.linalg.eigvalsh(covariance_DD / np.outer(scale_D, scale_D)).min() < 1e-10)


def _welch_james(mean_SD: Floats, covariance_SDD: Floats, df_S: Floats) -> OmnibusTest:
    # In units of the largest standard error of each difference, so that inverses stay within the range of float64.
    scale_D = np.sqrt(np.diagonal(covariance_SDD, axis1=1, axis2=2).max(axis=0))
    mean_SD, covariance_SDD = mean_SD / scale_D, covariance_SDD / np.outer(scale_D, scale_D)
    weight_SDD = np.linalg.inv(covariance_SDD)
    total_DD = weight_SDD.sum(axis=0)
    common_D = np.linalg.solve(total_DD, np.einsum("sij,sj->i", weight_SDD, mean_SD))
    away_SD = mean_SD - common_D
    statistic = float(np.einsum("si,sij,sj->", away_SD, weight_SDD, away_SD))
    num_segments, num_differences = mean_SD.shape
    rank = num_differences * (num_segments - 1)
    share_SDD = np.eye(num_differences) - np.linalg.solve(total_DD, weight_SDD)
    traces_S = np.trace(share_SDD @ share_SDD, axis1=1, axis2=2) + np.trace(share_SDD, axis1=1, axis2=2) ** 2
    correction = float((traces_S / df_S).sum() / 2)
    f_statistic = statistic / (rank + 2 * correction - 6 * correction / (rank + 2))
    df_denominator = rank * (rank + 2) / (3 * correction)
    return OmnibusTest(
        test="interaction_welch_james",
        statistic=f_statistic,
        df_numerator=rank,
        df_denominator=df_denominator,
        p_value=float(stats.f.sf(f_statistic, rank, df_denominator)),
    )


def _cluster_wald(samples: Samples, control: int, arms: Sequence[int], names: Sequence[str]) -> OmnibusTest:
    """F-test with F = W (G - q) / (q (G - 1)) and W from the CR1 covariance of all segments' means together."""
    assert samples.segments_R is not None
    assert samples.clusters_R is not None
    num_clusters = int(samples.clusters_R.max()) + 1
    difference_RD = samples.scores_RA[:, arms] - samples.scores_RA[:, [control]]
    if np.isnan(difference_RD).any():
        return _untestable("interactions with clusters are only available for paired arms")
    means: list[Floats] = []
    totals = []
    for name in names:
        inside_R = samples.segments_R == name
        mean_D: Floats = difference_RD[inside_R].mean(axis=0)
        means.append(mean_D)
        for column in range(len(arms)):
            away_R = (difference_RD[inside_R, column] - mean_D[column]) / inside_R.sum()
            totals.append(np.bincount(samples.clusters_R[inside_R], weights=away_R, minlength=num_clusters))
    rank = (len(names) - 1) * len(arms)
    if rank >= num_clusters:
        return _untestable(f"{num_clusters} clusters are too few for {rank} differences between segments")
    contrast_QM = np.kron(np.diff(np.eye(len(names)), axis=0), np.eye(len(arms)))
    effect_Q = contrast_QM @ np.concatenate(means)
    away_QG = contrast_QM @ np.stack(totals)
    covariance_QQ = away_QG @ away_QG.T * (num_clusters / (num_clusters - 1))
    if _is_singular(covariance_QQ):
        return _untestable("the covariance of the segments' means is singular")
    return wald.cluster_wald(
        effect_Q, covariance_QQ, num_clusters=num_clusters, rounding=0.0, test="interaction_cluster_wald"
    )
