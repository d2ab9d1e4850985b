"""Power of comparisons of proportions, paired (McNemar) and unpaired."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from assay.manifests.errors import InvalidInput
from assay.stats.power.mean_power import smallest_rows


@dataclass(frozen=True)
class PairedProportions:
    """Two arms with scores of 0 or 1 on the same rows.

    Power is Connor's (1987, Biometrics 43:207): `Phi((|d| sqrt(n) - z sqrt(p)) / sqrt(p - d^2))` with p the share of
    discordant rows and d the difference. Unlike Miettinen (1968, Biometrics 24:339), it treats the number of discordant
    rows as known; `midp_power` is exact.

    Attributes:
        critical: The value that |z| must exceed.
        discordant: Share of rows on which the arms differ; None derives it from rate and correlation.
        rate: The control's share of ones, if `discordant` is None.
        correlation: Correlation of the two arms' scores over rows, if `discordant` is None.
        design_effect: The factor by which clusters inflate the variance.
    """

    critical: float
    discordant: float | None = None
    rate: float | None = None
    correlation: float | None = None
    design_effect: float = 1.0

    def discordant_at(self, effect: float) -> float:
        """The share of discordant rows, given the true difference."""
        if self.discordant is not None:
            return self.discordant
        assert self.rate is not None
        assert self.correlation is not None
        return discordant_of(self.rate, self.rate + effect, correlation=self.correlation)

    def power(self, rows: float, effect: float) -> float:
        """Probability that a comparison with this true difference exceeds the critical value."""
        share = self.discordant_at(effect)
        spread = share - effect**2
        gap = abs(effect) * math.sqrt(rows / self.design_effect) - self.critical * math.sqrt(share)
        if spread <= 0:  # all rows are discordant in one direction: nothing is random
            return 1.0 if gap > 0 else 0.0
        return float(stats.norm.cdf(gap / math.sqrt(spread)))

    def rows_for(self, effect: float, *, power: float) -> float:
        """Rows, as a real number, that detect a true difference with this probability."""
        return smallest_rows(lambda rows: self.power(rows, effect) - power, fewest=1.0, effect=effect)

    def effect_for(self, rows: float, *, power: float) -> float:
        """The true difference, as a gain, that this many rows detect with this probability."""
        most = self._largest_effect()
        return _solved(lambda effect: self.power(rows, effect) - power, most, rows=rows)

    def _largest_effect(self) -> float:
        if self.discordant is not None:
            return self.discordant
        assert self.rate is not None
        assert self.correlation is not None
        # Not every correlation is possible at every pair of rates: take the largest gain that this one allows.
        gains = np.linspace(0, 1 - self.rate, 20_001)[1:-1]
        low, high = _correlation_bounds(self.rate, self.rate + gains)
        possible = gains[(low <= self.correlation) & (self.correlation <= high)]
        if not len(possible):
            raise InvalidInput(
                "no gain is possible with this rate and correlation",
                field="correlation",
                value=self.correlation,
                remedy="give the share of discordant rows instead",
            )
        return float(possible.max())


@dataclass(frozen=True)
class TwoProportions:
    """Two unpaired arms with scores of 0 or 1 and the same number of rows.

    Power is that of R's `power.prop.test`: `Phi((sqrt(n) |d| - z sqrt(2 p q)) / sqrt(p1 q1 + p2 q2))`, p the mean of
    both shares (Fleiss, Levin & Paik 2003, section 4.1).

    Attributes:
        critical: The value that |z| must exceed.
        rate: The control's share of ones.
        design_effect: The factor by which clusters inflate the variance.
    """

    critical: float
    rate: float
    design_effect: float = 1.0

    def power(self, rows: float, effect: float) -> float:
        """Probability that a comparison with this true difference exceeds the critical value."""
        other = self.rate + effect
        pooled = (self.rate + other) / 2
        spread = self.rate * (1 - self.rate) + other * (1 - other)
        gap = math.sqrt(rows / self.design_effect) * abs(effect)
        gap -= self.critical * math.sqrt(2 * pooled * (1 - pooled))
        if spread <= 0:
            return 1.0 if gap > 0 else 0.0
        return float(stats.norm.cdf(gap / math.sqrt(spread)))

    def rows_for(self, effect: float, *, power: float) -> float:
        """Rows per arm, as a real number, that detect a true difference with this probability."""
        return smallest_rows(lambda rows: self.power(rows, effect) - power, fewest=1.0, effect=effect)

    def effect_for(self, rows: float, *, power: float) -> float:
        """The true difference, as a gain, that this many rows per arm detect with this probability."""
        return _solved(lambda effect: self.power(rows, effect) - power, 1.0 - self.rate, rows=rows)


def discordant_of(rate_control: float, rate_variant: float, *, correlation: float) -> float:
    """The share of rows on which two arms differ: `p + q - 2 (p q + r sqrt(p (1 - p) q (1 - q)))`.

    Args:
        rate_control: The control's share of ones p.
        rate_variant: The variant's share of ones q.
        correlation: Correlation r of the two arms' scores over rows.

    Raises:
        InvalidInput: Two arms with these rates cannot have this correlation.
    """
    low, high = (float(bound) for bound in _correlation_bounds(rate_control, np.array(rate_variant)))
    if not low - 1e-12 <= correlation <= high + 1e-12:
        raise InvalidInput(
            f"two arms with rates {rate_control:g} and {rate_variant:g} cannot have this correlation",
            field="correlation",
            value=correlation,
            bound=f"{low:.4f} to {high:.4f}",
        )
    spread = math.sqrt(rate_control * (1 - rate_control) * rate_variant * (1 - rate_variant))
    both = rate_control * rate_variant + correlation * spread
    return rate_control + rate_variant - 2 * both


def midp_power(num_rows: int, *, discordant: float, effect: float, alpha: float) -> float:
    """Exact power of McNemar's mid-p test, summed over the possible numbers of discordant rows.

    Args:
        num_rows: Number of rows.
        discordant: Share of rows on which the arms differ.
        effect: The true difference, at most `discordant`.
        alpha: Error rate of the comparison, two-sided.
    """
    spread = 9 * math.sqrt(num_rows * discordant * (1 - discordant)) + 9
    first = max(1, math.floor(num_rows * discordant - spread))
    last = min(num_rows, math.ceil(num_rows * discordant + spread))
    numbers_M = np.arange(first, last + 1)
    # The largest value of the smaller count that is significant: mid-p = 2 P(X <= c) - P(X = c), which increases in c.
    count_M = stats.binom.ppf(alpha / 2, numbers_M, 0.5) + 1
    for _ in range(3):
        midp_M = 2 * stats.binom.cdf(count_M, numbers_M, 0.5) - stats.binom.pmf(count_M, numbers_M, 0.5)
        count_M = np.where((midp_M >= alpha) | (2 * count_M >= numbers_M), count_M - 1, count_M)
    for_arm = min(1.0, (discordant + abs(effect)) / (2 * discordant))
    significant_M = stats.binom.sf(numbers_M - count_M - 1, numbers_M, for_arm)
    return float((stats.binom.pmf(numbers_M, num_rows, discordant) * significant_M).sum())


def _correlation_bounds(rate: float, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest correlations that 0/1 variables with these means can have (Frechet's bounds)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(rate * (1 - rate) * other * (1 - other))
        low = (np.maximum(0.0, rate + other - 1) - rate * other) / spread
        high = (np.minimum(rate, other) - rate * other) / spread
    return np.nan_to_num(low), np.nan_to_num(high)


def _solved(excess: Callable[[float], float], most: float, *, rows: float) -> float:
    if excess(most) < 0:
        raise InvalidInput(
            "no possible effect can be detected with so few rows",
            field="rows",
            value=rows,
            bound=f"effects up to {most:g} at this power",
            remedy="score more rows",
        )
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-14))
