"""The max-T distribution: the largest |t| of a family of comparisons that share arms.

Axes: A arms, P pairs, Q dimensions (the rank of the differences), U directions.

With T = Z / sqrt(chi2_df / df) and Z = L u r (u uniform on the sphere in Q dimensions, r^2 ~ chi2_Q independent of
u), the largest |T| is r / sqrt(chi2_df / df) times m(u), the largest |contrast| of L u. r^2 / Q over chi2_df / df is
F(Q, df), so that

    P(max |T| > c) = E_u[ P(F(Q, df) > c^2 / (Q m(u)^2)) ]

so only the direction is simulated; the radius is exact (Deak 1980, Numer. Math. 35:249; Genz & Bretz 2009, Lecture
Notes in Statistics 195, section 4.1). The directions are a scrambled Sobol set with a fixed seed, so the same family
gives the same bits. All work is in arm space, so a singular correlation matrix (as all pairs have) needs no special
treatment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats
from scipy.stats import qmc

Floats = NDArray[np.float64]
Pair = tuple[int, int]
"""Indices of an arm and its reference."""

_SEED = 20_080_615
_NUM_NODES = 1024
_CHUNK_NUM_DIRECTIONS = 4096
_RANK_TOLERANCE = 1e-10
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def pair_variances(covariance_AA: Floats, pairs: Sequence[Pair]) -> Floats:
    """Variances of `x_i - x_j` for every pair (i, j); exactly 0 where the remainder is rounding error."""
    arm_P, reference_P = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    variance_A = np.diag(covariance_AA)
    variance_P = variance_A[arm_P] + variance_A[reference_P] - 2 * covariance_AA[arm_P, reference_P]
    rounding_P = _ROUNDING * np.maximum(variance_A[arm_P], variance_A[reference_P])
    return np.where(variance_P <= rounding_P, 0.0, variance_P)


@dataclass(frozen=True, eq=False)
class MaxT:
    """The null distribution of the largest |t| over a family.

    Attributes:
        num_pairs: Number of comparisons in the family with a variance above 0.
        rank: The number of dimensions Q that they span.
        df: Degrees of freedom of the standard errors; inf for a normal limit.
        nodes: Values of m(u), binned.
        weights: The share of directions in each bin.
    """

    num_pairs: int
    rank: int
    df: float
    nodes: Floats
    weights: Floats

    def p_adjusted(self, statistic: float) -> float:
        """P(max |T| >= |statistic|), the single-step adjusted p-value.

        It lies between the unadjusted p-value and the Sidak bound (Sidak 1967, JASA 62:626). The estimate is clipped to
        these bounds, which matters far out in the tail, where few directions contribute.
        """
        unadjusted = float(2 * stats.t.sf(abs(statistic), self.df))
        if self.num_pairs == 1:
            return unadjusted
        sidak = float(-np.expm1(self.num_pairs * np.log1p(-unadjusted))) if unadjusted < 1 else 1.0
        return min(max(self._exceeds(abs(statistic)), unadjusted), sidak)

    def critical(self, alpha: float) -> float:
        """The value that the largest |T| exceeds with probability alpha."""
        unadjusted = float(stats.t.isf(alpha / 2, self.df))
        if self.num_pairs == 1:
            return unadjusted
        bonferroni = float(stats.t.isf(alpha / 2 / self.num_pairs, self.df))
        if self.p_adjusted(unadjusted) <= alpha:
            return unadjusted
        return float(optimize.brentq(lambda c: self.p_adjusted(c) - alpha, unadjusted, bonferroni, xtol=1e-10))

    def _exceeds(self, c: float) -> float:
        if c == 0.0:
            return 1.0
        ratio = c * c / (self.rank * self.nodes**2)
        if np.isinf(self.df):
            tail = special.gammaincc(self.rank / 2, ratio * self.rank / 2)
        else:
            tail = special.betainc(self.df / 2, self.rank / 2, self.df / (self.df + self.rank * ratio))
        return float((self.weights * tail).sum())


def max_t_of(covariance_AA: Floats, pairs: Sequence[Pair], *, df: float) -> MaxT:
    """The distribution for pairs of arms.

    Args:
        covariance_AA: Covariance of the arms' means, or of their differences from any one arm, up to a factor.
        pairs: The comparisons. Those without variance are left out.
        df: Degrees of freedom of the standard errors.
    """
    variance_P = pair_variances(covariance_AA, pairs)
    varying = [pair for pair, variance in zip(pairs, variance_P, strict=True) if variance > 0]
    if not varying:
        return MaxT(0, 0, df, np.zeros(1), np.ones(1))
    arm_P, reference_P = np.array(varying, dtype=np.intp).T
    scale_P = 1 / np.sqrt(variance_P[variance_P > 0])
    factor_AQ = _factor(covariance_AA, varying)
    rank = factor_AQ.shape[1]
    if rank == 1 or len(varying) == 1:
        return MaxT(len(varying), 1, df, np.ones(1), np.ones(1))
    largest_U = np.concatenate(
        [
            np.abs((arms_AU[arm_P] - arms_AU[reference_P]) * scale_P[:, None]).max(axis=0)
            for arms_AU in (np.einsum("aq,qu->au", factor_AQ, chunk_QU) for chunk_QU in _directions(rank))
        ]
    )
    nodes, weights = _binned(largest_U)
    return MaxT(len(varying), rank, df, nodes, weights)


@lru_cache(maxsize=2)
def _directions(rank: int) -> tuple[Floats, ...]:
    """Points on the sphere, in chunks: few enough for memory, enough for critical values accurate to 0.002.

    The points depend on the rank only; the two most recent sets are cached (at most 40 MB each).
    """
    log2_num = next((log2 for log2, largest in ((16, 4), (18, 10), (17, 24), (16, 64)) if rank <= largest), 14)
    points_UQ = qmc.Sobol(rank, scramble=True, rng=np.random.default_rng(_SEED)).random_base2(log2_num)
    # A scrambled Sobol point can be 0, where the normal quantile is infinite.
    normal_UQ = special.ndtri(np.clip(points_UQ, 1e-16, 1 - 1e-16))
    normal_UQ /= np.sqrt((normal_UQ**2).sum(axis=1, keepdims=True))
    chunks = np.split(normal_UQ, range(_CHUNK_NUM_DIRECTIONS, len(normal_UQ), _CHUNK_NUM_DIRECTIONS))
    transposed = tuple(np.ascontiguousarray(chunk_UQ.T) for chunk_UQ in chunks)
    for chunk_QU in transposed:
        chunk_QU.flags.writeable = False
    return transposed


def _binned(largest_U: Floats) -> tuple[Floats, Floats]:
    """Equal bins of m(u), each at its mean; the tail is smooth in m, so the error is of second order in the width."""
    low, high = float(largest_U.min()), float(largest_U.max())
    if high - low < 1e-12:
        return np.array([high]), np.ones(1)
    bin_U = np.minimum(((largest_U - low) * (_NUM_NODES / (high - low))).astype(np.intp), _NUM_NODES - 1)
    counts = np.bincount(bin_U, minlength=_NUM_NODES)
    sums = np.bincount(bin_U, weights=largest_U, minlength=_NUM_NODES)
    used = counts > 0
    return sums[used] / counts[used], counts[used] / len(largest_U)


def _factor(covariance_AA: Floats, pairs: Sequence[Pair]) -> Floats:
    """L with L L' = covariance of the compared arms, relative to the first pair's reference; A x Q.

    Cholesky decomposition with diagonal pivoting (Higham 1990), which yields the rank, in plain sums: no threaded
    library determines the order of addition.
    """
    taking_part = sorted({arm for pair in pairs for arm in pair})
    base = pairs[0][1]
    relative_AA = covariance_AA - covariance_AA[base] - covariance_AA[:, base, None] + covariance_AA[base, base]
    scale_A = np.sqrt(np.maximum(np.diag(relative_AA), 0.0))
    usable_A = np.isin(np.arange(len(scale_A)), taking_part) & (
        np.diag(relative_AA) > _ROUNDING * (np.diag(covariance_AA) + covariance_AA[base, base])
    )
    safe_A = np.where(usable_A, scale_A, 1.0)
    rest_AA = np.where(np.outer(usable_A, usable_A), relative_AA / np.outer(safe_A, safe_A), 0.0)
    columns: list[Floats] = []
    while len(columns) < int(usable_A.sum()):
        # The first of the (nearly) largest, so that rounding does not choose between equals.
        pivot = int(np.argmax(np.diag(rest_AA) >= (1 - 1e-6) * np.diag(rest_AA).max()))
        if rest_AA[pivot, pivot] <= _RANK_TOLERANCE:
            break
        column_A = rest_AA[:, pivot] / np.sqrt(rest_AA[pivot, pivot])
        columns.append(column_A * safe_A)
        rest_AA = rest_AA - np.outer(column_A, column_A)
    return np.stack(columns, axis=1)
