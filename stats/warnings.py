"""Warnings: what a reader should know before trusting an analysis."""

from collections.abc import Iterator, Sequence

import numpy as np

from assay.manifests.analysis import Analysis
from assay.stats.designs import second_methods
from assay.stats.distributions.max_t import Pair
from assay.stats.moments.clusters import FEW_CLUSTERS
from assay.stats.samples.samples import Samples

UNEQUAL_CLUSTERS = 0.5
"""Coefficient of variation of cluster sizes above which cluster-robust errors are doubtful."""
FEW_EXPECTED = 5
"""Rows of each outcome that every arm needs for a normal approximation of unpaired proportions."""


def of(analysis: Analysis, samples: Samples, *, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The warnings of an analysis.

    Args:
        analysis: The analysis, complete except for its warnings.
        samples: The scores from which it was computed, after the rule for missing scores.
        pairs: The family's pairs.
    """
    return (
        *_repeats(analysis),
        *_missing(analysis),
        *_clusters(samples),
        *_degenerate(analysis),
        *_tails(analysis, samples, pairs),
        *_checks(analysis),
        *_counts(analysis, samples),
        *_exploratory(analysis),
    )


def _repeats(analysis: Analysis) -> Iterator[str]:
    if analysis.num_repeats > 1:
        yield (
            f"each row has {analysis.num_repeats} repeats in each arm; they were averaged first, so "
            f"n is the number of rows, {analysis.num_rows}"
        )
        if analysis.scale == "binary":
            yield "averages of binary scores are not 0 or 1, so they were compared as continuous scores"


def _missing(analysis: Analysis) -> Iterator[str]:
    missing = analysis.missing
    if missing is None:
        return
    counts = ", ".join(f"{arm.arm} {arm.num_missing}" for arm in missing.arms if arm.num_missing)
    if missing.rule == "listwise":
        yield (
            f"{missing.num_rows_left_out} of {missing.num_rows_given} rows lack a score in some arm and were left "
            f"out of every arm (missing: {counts})"
            if analysis.design == "paired"
            else f"{missing.num_rows_left_out} of {missing.num_rows_given} lines have no score and were left out "
            f"(missing: {counts})"
        )
    else:
        yield f"missing scores were replaced by the worst score, {missing.worst_score:g} (missing: {counts})"
    for arm in missing.arms:
        if arm.p_value is not None and arm.p_value <= analysis.alpha:
            yield (
                f"arm '{arm.arm}' lacks scores on different rows than the control (p = {arm.p_value:.2g}): "
                "scores are not missing at random"
            )


def _clusters(samples: Samples) -> Iterator[str]:
    if samples.clusters_R is None:
        return
    sizes_G = np.bincount(samples.clusters_R)
    if len(sizes_G) < FEW_CLUSTERS:
        yield (
            f"{len(sizes_G)} clusters, fewer than {FEW_CLUSTERS}: cluster-robust errors are unreliable; "
            "collect more clusters"
        )
    if sizes_G.std() > UNEQUAL_CLUSTERS * sizes_G.mean():
        yield (
            f"clusters have between {sizes_G.min()} and {sizes_G.max()} rows: with very unequal clusters, intervals "
            "can be too narrow"
        )


def _degenerate(analysis: Analysis) -> Iterator[str]:
    for each in analysis.comparisons:
        if each.degenerate == "identical":
            yield f"'{each.arm}' and '{each.reference}' have the same score on every row: no difference observed"
        elif each.degenerate == "constant_difference":
            yield f"'{each.arm}' and '{each.reference}' differ by the same amount on every row: nothing to test"


def _tails(analysis: Analysis, samples: Samples, pairs: Sequence[Pair]) -> Iterator[str]:
    if analysis.design != "paired" or analysis.scale == "binary" or samples.num_rows < second_methods.FEW_ROWS:
        return
    for arm, reference in pairs:
        if samples.arms[reference] != analysis.control:
            continue
        share = second_methods.heaviest_share(samples, (arm, reference))
        if share > second_methods.HEAVY_SHARE:
            yield (
                f"one row accounts for {share:.0%} of the variance of '{samples.arms[arm]}' - "
                f"'{samples.arms[reference]}': the mean depends on few rows"
            )


def _checks(analysis: Analysis) -> Iterator[str]:
    for check in analysis.checks:
        if not check.agrees:
            method = analysis.comparisons[0].method
            yield f"{check.method} disagrees with {method} on which comparisons are significant ({check.reason})"


def _counts(analysis: Analysis, samples: Samples) -> Iterator[str]:
    if analysis.design != "unpaired" or analysis.scale != "binary":
        return
    ones_A = np.nansum(samples.scores_RA, axis=0)
    zeros_A = (~np.isnan(samples.scores_RA)).sum(axis=0) - ones_A
    for arm, fewest in zip(samples.arms, np.minimum(ones_A, zeros_A).tolist(), strict=True):
        if fewest < FEW_EXPECTED:
            yield f"arm '{arm}' has {fewest:.0f} rows of the rarer outcome: p-values are approximate"


def _exploratory(analysis: Analysis) -> Iterator[str]:
    if analysis.exploratory:
        yield "exploratory: this is not the plan that was recorded before the scores, so nothing can be promoted"
