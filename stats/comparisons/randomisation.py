"""Randomisation tests: sign flips of the rows' differences.

Axes: R rows, A arms, B flips, P pairs (arm, reference), X values of a row. Keys of clusters instead of rows flip whole
clusters.
"""

from collections.abc import Sequence

import numpy as np

from assay.manifests.comparison import Comparison
from assay.stats.comparisons import bootstrap, degenerate
from assay.stats.comparisons.family import pairs_named
from assay.stats.moments.bootstrap_weights import Keys, signs
from assay.stats.moments.moments import Floats

_EXACT_NUM_BLOCKS = 20
_BLOCK_NUM_REPLICATES = 512


def sign_flip_max_t(
    scores_RA: Floats,
    *,
    arms: Sequence[str],
    control: str,
    family: str,
    alpha: float,
    keys_R: Keys,
    num_replicates: int = 9_999,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Sign-flip max-T, for few rows or heavy tails, where the t distribution does not hold.

    Under the null the differences of a row are equally likely with all their signs reversed (Fisher 1935; Winkler et
    al. 2014, NeuroImage 92:381). A flip reverses a whole row and so preserves the dependence between comparisons; the
    largest |t| of the family in each flip gives the adjusted p-values (Westfall & Young 1993, single-step). With few
    rows all 2^n flips are enumerated and the p-values are exact. The critical value of the intervals comes from flips
    of the differences centred on their means.

    Args:
        scores_RA: Rows x arms, finite.
        arms: Names of the columns.
        control: Name of the control.
        family: `dunnett` or `tukey`.
        alpha: Family-wise error rate, two-sided.
        keys_R: Keys of the rows, or of their clusters.
        num_replicates: Number of random flips, if there are too many to enumerate.
        seed: Seed of the random flips.

    Raises:
        InvalidInput: The control is not an arm, or there are fewer than two arms.
        SamplesError: The number of keys differs from the number of rows.
    """
    pairs = pairs_named(arms, control=control, family=family)
    num_rows = len(scores_RA)
    bootstrap.check_keys(keys_R, num_rows)
    keys_R, totals_RA, weights_R = _by_key(scores_RA, keys_R, control=list(arms).index(control))
    exact = len(keys_R) <= _EXACT_NUM_BLOCKS and 2 ** (len(keys_R) - 1) <= num_replicates
    method = "sign_flip_max_t_exact" if exact else "sign_flip_max_t"
    if len(keys_R) < 2:
        return tuple(
            degenerate.untestable(
                arms[i],
                arms[j],
                method=method,
                reason="a sign-flip test needs at least two rows or clusters",
                estimate=float((totals_RA[:, i] - totals_RA[:, j]).sum() / num_rows),
            )
            for i, j in pairs
        )
    arm_P, reference_P = np.array(pairs, dtype=np.intp).T
    differences_RP = totals_RA[:, arm_P] - totals_RA[:, reference_P]
    rounding = 8 * np.finfo(np.float64).eps * float(np.abs(scores_RA).max())
    estimate_P = differences_RP.sum(axis=0) / num_rows
    centred_RP = differences_RP - weights_R[:, None] * estimate_P
    std_error_P = _std_error(centred_RP.sum(axis=0), (centred_RP**2).sum(axis=0), len(keys_R), num_rows)
    constant_P = np.abs(centred_RP).max(axis=0) <= rounding * weights_R.max()
    std_error_P[constant_P] = 0.0
    flipped_BP, centred_BP = _flipped(
        differences_RP, centred_RP, keys_R, num_rows=num_rows, num_replicates=num_replicates, exact=exact, seed=seed
    )
    flipped_BP[:, constant_P] = 0.0
    centred_BP[:, constant_P] = 0.0
    names = [(arms[i], arms[j]) for i, j in pairs]
    rows_vary_P = np.ptp(scores_RA[:, arm_P] - scores_RA[:, reference_P], axis=0) > 4 * rounding
    return bootstrap.simulated_max_t(
        bootstrap.PairEstimates(names, estimate_P, std_error_P, rounding, rows_vary_P),
        flipped_BP,
        critical=bootstrap.upper_quantile(centred_BP.max(axis=1), alpha),
        method=method,
        exact=exact,
    )


def _by_key(scores_RA: Floats, keys_R: Keys, *, control: int) -> tuple[Keys, Floats, Floats]:
    """The distinct keys, the differences from the control summed over each key's rows, and the number of these rows."""
    differences_RA = scores_RA - scores_RA[:, control : control + 1]
    different, place_R, counts = np.unique(keys_R, return_inverse=True, return_counts=True)
    if len(different) == len(keys_R):
        return keys_R, differences_RA, np.ones(len(keys_R))
    columns = [np.bincount(place_R, weights=column_R).astype(np.float64) for column_R in differences_RA.T]
    totals = np.stack(columns, axis=1)
    return different, totals, counts.astype(np.float64)


def _flipped(
    differences_RP: Floats,
    centred_RP: Floats,
    keys_R: Keys,
    *,
    num_rows: int,
    num_replicates: int,
    exact: bool,
    seed: int,
) -> tuple[Floats, Floats]:
    """|t| of the differences and of the centred differences in every flip, B x P each."""
    both_RP = np.concatenate([differences_RP, centred_RP], axis=1)
    num_blocks = len(keys_R)
    if exact:  # the first row keeps its sign, because reversing all signs changes no |t|
        patterns = np.arange(2 ** (num_blocks - 1))
        sums_BP = np.empty((len(patterns), both_RP.shape[1]))
        for start in range(0, len(patterns), _BLOCK_NUM_REPLICATES):
            chunk = patterns[start : start + _BLOCK_NUM_REPLICATES, None]
            signs_BR = 1.0 - 2.0 * ((chunk << 1) >> np.arange(num_blocks) & 1)
            sums_BP[start : start + len(chunk)] = signs_BR @ both_RP
    else:
        sums_BP = _signed_sums(both_RP, keys_R, num_replicates=num_replicates, seed=seed)
    std_error_BP = _std_error(sums_BP, (both_RP**2).sum(axis=0), num_blocks, num_rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        t_BP = np.abs(sums_BP / num_rows) / std_error_BP
    t_BP = np.nan_to_num(t_BP, nan=0.0, posinf=np.inf)
    return t_BP[:, : differences_RP.shape[1]], t_BP[:, differences_RP.shape[1] :]


def _signed_sums(values_RX: Floats, keys_R: Keys, *, num_replicates: int, seed: int) -> Floats:
    """Sums over rows of their values, each with the sign of the row's key in the replicate."""
    sums_BX = np.zeros((num_replicates, values_RX.shape[1]))
    for first, count, rows in bootstrap.blocks(len(keys_R), num_replicates):
        signs_BR = signs(keys_R[rows], first=first, num_replicates=count, seed=seed)
        sums_BX[first : first + count] += signs_BR.astype(np.float64) @ values_RX[rows]
    return sums_BX


def _std_error(sums_P: Floats, squares_P: Floats, num_blocks: int, num_rows: int) -> Floats:
    """Standard error of a mean over rows from block totals, whose sum of squares does not depend on their signs."""
    spread_P = np.maximum(squares_P - sums_P**2 / num_blocks, 0.0)
    return np.sqrt(spread_P * num_blocks / (num_blocks - 1)) / num_rows
