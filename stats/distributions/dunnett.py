"""Dunnett's distribution: the largest |t| of several arms against one shared control.

Axes: V distinct loadings, Z nodes of the shared normal, S nodes of the shared standard error.

With `corr(t_i, t_j) = l_i l_j` the rectangle of the multivariate t is a double integral for any number of variants
(Dunnett 1955, JASA 50:1096; Dunnett & Sobel 1955, Biometrika 42:258):

    P(max |T| > c) = E_s E_z[ 1 - prod_i (1 - a_i) ],
    a_i = Phi(-(c s - l_i z) / sqrt(1 - l_i^2)) + Phi(-(c s + l_i z) / sqrt(1 - l_i^2))

with z standard normal and s = sqrt(chi2_df / df). `scipy.stats.dunnett` integrates the same rectangle by quasi-Monte
Carlo, which takes 39 s for 50 variants and gives slightly different results for every seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]

NORMAL_REACH = 9.0
"""A standard normal variable exceeds this in absolute value with probability 2e-19."""
_LARGE_DF = 20
TINY_P = 1e-12
"""Unadjusted p-values below this are beyond the precision of the nodes; there the bound is as good as exact."""


@dataclass(frozen=True)
class DunnettDistribution:
    """The null distribution of the largest |t| of variants against a shared control.

    Attributes:
        loadings: `l_i` of each variant, in [0, 1); for group sizes, `sqrt(n_i / (n_i + n_control))`.
        df: Degrees of freedom of the shared standard error; inf for a normal limit.
    """

    loadings: tuple[float, ...]
    df: float

    @classmethod
    def of_sizes(cls, num_rows: Sequence[int], *, num_rows_control: int, df: float) -> "DunnettDistribution":
        """The distribution for unpaired arms with equal variances."""
        return cls(tuple(float(np.sqrt(n / (n + num_rows_control))) for n in num_rows), df)

    @classmethod
    def of_correlation(cls, correlation: float, *, num_variants: int, df: float) -> "DunnettDistribution":
        """The distribution for equally correlated comparisons; 0.5 if arms are equally noisy and equally correlated."""
        return cls((float(np.sqrt(correlation)),) * num_variants, df)

    def p_adjusted(self, statistic: float) -> float:
        """P(max |T| >= |statistic|). It lies between the unadjusted p-value and the Sidak bound."""
        c = abs(statistic)
        unadjusted = float(2 * stats.t.sf(c, self.df))
        if len(self.loadings) == 1 or unadjusted >= 1:
            return unadjusted
        sidak = float(-np.expm1(len(self.loadings) * np.log1p(-unadjusted)))
        if unadjusted < TINY_P:
            return sidak
        return min(max(self._exceeds(c), unadjusted), sidak)

    def critical(self, alpha: float) -> float:
        """The value that the largest |T| exceeds with probability alpha."""
        unadjusted = float(stats.t.isf(alpha / 2, self.df))
        if len(self.loadings) == 1:
            return unadjusted
        bonferroni = float(stats.t.isf(alpha / 2 / len(self.loadings), self.df))
        return float(
            optimize.brentq(lambda c: self.p_adjusted(c) - alpha, unadjusted, bonferroni, xtol=1e-12, rtol=1e-12)
        )

    @cached_property
    def _shared_normal(self) -> tuple[Floats, Floats]:
        # Loadings near 1 give steps of width sqrt(1 - l^2) in z and need more nodes.
        sharpest = float(np.sqrt(1 - max(self.loadings) ** 2))
        num_nodes = int(np.clip(128 * 0.5 / max(sharpest, 1e-3), 128, 4096))
        z_Z, weight_Z = legendre(num_nodes, -NORMAL_REACH, NORMAL_REACH)
        weight_Z = weight_Z * np.exp(-(z_Z**2) / 2)
        return z_Z, weight_Z / weight_Z.sum()

    def _exceeds(self, c: float) -> float:
        z_Z, weight_Z = self._shared_normal
        s_S, weight_S = shared_error(self.df)
        log_inside_SZ = np.zeros((len(s_S), len(z_Z)))
        loadings_V, counts_V = np.unique(np.array(self.loadings), return_counts=True)
        for loading, count in zip(loadings_V, counts_V, strict=True):
            rest = np.sqrt(1 - loading**2)
            upper_SZ = special.ndtr((loading * z_Z - c * s_S[:, None]) / rest)
            lower_SZ = special.ndtr((-loading * z_Z - c * s_S[:, None]) / rest)
            with np.errstate(divide="ignore"):
                log_inside_SZ += count * np.log1p(-np.minimum(upper_SZ + lower_SZ, 1.0))
        return float(weight_S @ (-np.expm1(log_inside_SZ)) @ weight_Z)


@lru_cache(maxsize=64)
def shared_error(df: float) -> tuple[Floats, Floats]:
    """Nodes and weights of `sqrt(chi2_df / df)`, the estimation error that all standard errors of a family share.

    Args:
        df: Degrees of freedom; inf if the standard error is known.
    """
    if np.isinf(df):
        return np.ones(1), np.ones(1)
    low, high = float(stats.chi2.ppf(1e-17, df)), float(stats.chi2.isf(1e-17, df))
    s_S, weight_S = legendre(64 if df >= _LARGE_DF else 512, math.sqrt(low / df), math.sqrt(high / df))
    log_density_S = (df - 1) * np.log(s_S) - df * s_S**2 / 2
    weight_S = weight_S * np.exp(log_density_S - log_density_S.max())
    return s_S, weight_S / weight_S.sum()


def legendre(num_nodes: int, low: float, high: float) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss-Legendre quadrature on an interval."""
    nodes, weights = _roots(num_nodes)
    return (high - low) / 2 * nodes + (high + low) / 2, (high - low) / 2 * weights


@lru_cache(maxsize=16)
def _roots(num_nodes: int) -> tuple[Floats, Floats]:
    return special.roots_legendre(num_nodes)
