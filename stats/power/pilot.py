"""Estimates from pilot scores the variation that a larger run will have.

Axes: R rows, A arms, G clusters, N scores of one comparison.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assay.manifests.plan import Plan
from assay.stats.comparisons.family import pairs_of
from assay.stats.errors import SamplesError
from assay.stats.moments.score_range import refuse_other_than_01
from assay.stats.power.design_effect import design_effect_of
from assay.stats.samples.samples import Samples

Floats = NDArray[np.float64]

_NOT_BINARY = "a score on the scale 'binary' must be 0 or 1"


@dataclass(frozen=True)
class PilotComparison:
    """The variation of one comparison; attributes that do not apply are None.

    Attributes:
        num_rows: Number of rows it was estimated from; of the smaller arm, if unpaired.
        difficulty: Variance of a difference per row; the comparison with the largest value needs the most rows.
        sd_difference: Paired means: standard deviation of the differences.
        sd: Unpaired means: standard deviation within an arm.
        discordant: Paired proportions: share of rows on which the arms differ.
        rate_control: Unpaired proportions: the reference's share of ones.
        cluster_size: Effective cluster size, as it enters the variance.
        icc: Intraclass correlation.
        notes: Where the numbers come from, as text.
    """

    num_rows: int
    difficulty: float
    sd_difference: float | None = None
    sd: float | None = None
    discordant: float | None = None
    rate_control: float | None = None
    cluster_size: float | None = None
    icc: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def design_effect(self) -> float:
        """The factor by which clusters inflate the variance."""
        return design_effect_of(self.cluster_size, self.icc)


def hardest_comparison(samples: Samples, plan: Plan) -> PilotComparison:
    """The comparison of the plan's family that needs the most rows.

    Args:
        samples: The pilot's scores. Rows without a score in an arm of a comparison are left out of it and counted.
        plan: Design, scale, control and family.

    Raises:
        SamplesError: There is only one arm, a comparison has too few rows, or no difference between arms varies.
    """
    pairs = pairs_of(len(samples.arms), control=samples.index(plan.control), family=plan.family)
    if not pairs:
        raise SamplesError("a pilot needs at least two arms", field="arm", bound="2 or more arms")
    measure = _paired if plan.design == "paired" else _unpaired
    hardest = max((measure(samples, plan, pair) for pair in pairs), key=lambda comparison: comparison.difficulty)
    if hardest.difficulty <= 0:
        raise SamplesError(
            "no difference between two arms varies in the pilot",
            field="score",
            remedy="use a pilot with more rows, or give the standard deviation or discordant share directly",
        )
    return hardest


def _paired(samples: Samples, plan: Plan, pair: tuple[int, int]) -> PilotComparison:
    arm_R, reference_R = samples.scores_R(pair[0]), samples.scores_R(pair[1])
    both_R = ~(np.isnan(arm_R) | np.isnan(reference_R))
    difference_N = arm_R[both_R] - reference_R[both_R]
    notes = [f"from the pilot: {_names(samples, pair)}, {len(difference_N)} rows"]
    _refuse_few(len(difference_N), samples, pair)
    if missing := int((~both_R).sum()):
        notes.append(f"{missing} of the pilot's rows lack a score in one of the two arms and were left out")
    comparison = PilotComparison(len(difference_N), 0.0, notes=tuple(notes))
    if samples.clusters_R is not None:
        comparison = _with_clusters(comparison, difference_N, samples.clusters_R[both_R])
    if plan.scale == "binary":
        for side_R in (arm_R, reference_R):
            refuse_other_than_01(side_R[both_R], message=_NOT_BINARY, place=_names(samples, pair))
        discordant = float((difference_N != 0).mean())
        return replace(comparison, discordant=discordant, difficulty=discordant * comparison.design_effect)
    sd = float(difference_N.std(ddof=1))
    if sd <= 1e-14 * float(np.abs(np.concatenate([arm_R[both_R], reference_R[both_R]])).max()):
        sd = 0.0  # rounding of a constant difference
    return replace(comparison, sd_difference=sd, difficulty=sd**2 * comparison.design_effect)


def _unpaired(samples: Samples, plan: Plan, pair: tuple[int, int]) -> PilotComparison:
    sides = [samples.scores_R(index) for index in pair]
    kept = [~np.isnan(side_R) for side_R in sides]
    values = [side_R[kept_R] for side_R, kept_R in zip(sides, kept, strict=True)]
    num_rows = min(map(len, values))
    _refuse_few(num_rows, samples, pair)
    counts = " and ".join(str(len(side_N)) for side_N in values)
    comparison = PilotComparison(num_rows, 0.0, notes=(f"from the pilot: {_names(samples, pair)}, {counts} rows",))
    if samples.clusters_R is not None:
        residual_N = np.concatenate([side_N - side_N.mean() for side_N in values])
        # a cluster counts separately in each arm, because rows of different arms also differ by the arm
        numbers_N = np.concatenate([2 * samples.clusters_R[kept_R] + at for at, kept_R in enumerate(kept)])
        comparison = _with_clusters(comparison, residual_N, numbers_N)
    if plan.scale == "binary":
        for side_N in values:
            refuse_other_than_01(side_N, message=_NOT_BINARY, place=_names(samples, pair))
        rate = float(values[1].mean())
        return replace(comparison, rate_control=rate, difficulty=rate * (1 - rate) * comparison.design_effect)
    variance = sum(float(side_N.var(ddof=1)) for side_N in values) / 2
    return replace(comparison, sd=math.sqrt(variance), difficulty=variance * comparison.design_effect)


def _with_clusters(comparison: PilotComparison, values_N: Floats, clusters_N: NDArray[np.int64]) -> PilotComparison:
    """Adds the intraclass correlation by analysis of variance (Donner & Koval 1980, Biometrics 36:19), at least 0.

    Clusters of different sizes m inflate the variance as if all had `sum m^2 / sum m` rows (Kish 1965).
    """
    place_N = np.unique(clusters_N, return_inverse=True)[1]
    sizes_G = np.bincount(place_N).astype(np.float64)
    size = float((sizes_G**2).sum() / sizes_G.sum())
    num_rows, num_clusters = len(values_N), len(sizes_G)
    if num_clusters < 2 or num_rows == num_clusters:
        return replace(comparison, cluster_size=size, icc=0.0)
    means_G = np.bincount(place_N, weights=values_N) / sizes_G
    between = float((sizes_G * (means_G - values_N.mean()) ** 2).sum()) / (num_clusters - 1)
    within = float(((values_N - means_G[place_N]) ** 2).sum()) / (num_rows - num_clusters)
    typical = (num_rows - size) / (num_clusters - 1)
    below = between + (typical - 1) * within
    icc = min(1.0, max(0.0, (between - within) / below)) if below > 0 else 0.0
    return replace(comparison, cluster_size=size, icc=icc)


def _names(samples: Samples, pair: tuple[int, int]) -> str:
    return f"'{samples.arms[pair[0]]}' against '{samples.arms[pair[1]]}'"


def _refuse_few(num_rows: int, samples: Samples, pair: tuple[int, int]) -> None:
    if num_rows < 2:
        raise SamplesError(
            "the pilot has too few rows", place=_names(samples, pair), field="row", value=num_rows, bound="2 or more"
        )
