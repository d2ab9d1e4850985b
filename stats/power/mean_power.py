"""Power of comparisons of means: paired or two samples, with or without clusters."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scipy import optimize, stats

from assay.manifests.errors import InvalidInput
from assay.stats.distributions.family_critical import Family, critical_value

MOST_ROWS = 1e12
"""An effect that needs more rows counts as too small to detect."""

_NORMAL_DF = 1e6


@dataclass(frozen=True)
class MeanDesign:
    """How a difference of two means is measured.

    The standard error of the difference is `sd * sqrt(samples * design_effect / rows)`. Its degrees of freedom are
    `rows / cluster_size - 1` if paired, and that times the number of arms for two samples.

    Attributes:
        sd: Standard deviation of the differences (paired), or of scores within an arm (two samples).
        num_samples: 1 if paired; 2 for two samples, with rows counted per arm.
        num_arms: Number of arms in the family.
        family: `dunnett` or `tukey`.
        alpha: Family-wise error rate, two-sided.
        cluster_size: Rows per cluster.
        design_effect: `1 + (cluster_size - 1) * icc` (Kish 1965): the factor by which clusters inflate the variance.
        correlation: Correlation of two comparisons with the control.
        both_tails: Whether a significant difference in the wrong direction counts as detected; R's `strict`.
    """

    sd: float
    num_samples: int = 1
    num_arms: int = 2
    family: Family = "dunnett"
    alpha: float = 0.05
    cluster_size: float = 1.0
    design_effect: float = 1.0
    correlation: float = 0.5
    both_tails: bool = False

    def std_error(self, rows: float) -> float:
        """Standard error of the difference with this many rows (per arm, for two samples)."""
        return self.sd * math.sqrt(self.num_samples * self.design_effect / rows)

    def df(self, rows: float) -> float:
        """Degrees of freedom: those of R's `power.t.test` for two arms, of the pooled variance for more."""
        samples = 1 if self.num_samples == 1 else self.num_arms
        return samples * (rows / self.cluster_size - 1)

    def critical_at(self, rows: float) -> float:
        """The value that |t| must exceed with this many rows."""
        df = self.df(rows)
        return _critical(self.num_arms, self.family, math.inf if df > _NORMAL_DF else df, self.alpha, self.correlation)

    def power(self, rows: float, effect: float) -> float:
        """Probability that a comparison with this true difference exceeds the critical value (noncentral t)."""
        critical, df = self.critical_at(rows), self.df(rows)
        noncentral = abs(effect) / self.std_error(rows)
        if df > _NORMAL_DF:
            right = float(stats.norm.sf(critical - noncentral))
            wrong = float(stats.norm.cdf(-critical - noncentral))
        else:
            right = float(stats.nct.sf(critical, df, noncentral))
            wrong = float(stats.nct.cdf(-critical, df, noncentral)) if self.both_tails else 0.0
        return right + wrong if self.both_tails else right

    @property
    def fewest_rows(self) -> float:
        """The fewest rows that allow a test: two, or five clusters."""
        return 2.0 if self.cluster_size == 1 else 5.0 * self.cluster_size

    def rows_for(self, effect: float, *, power: float) -> float:
        """The number of rows, as a real number, that detects a true difference of this size with this probability.

        Raises:
            InvalidInput: It is more than `MOST_ROWS`.
        """
        return smallest_rows(lambda rows: self.power(rows, effect) - power, fewest=self.fewest_rows, effect=effect)

    def effect_for(self, rows: float, *, power: float) -> float:
        """The true difference that this many rows detect with this probability.

        Raises:
            InvalidInput: There are fewer than `fewest_rows` rows.
        """
        if rows < self.fewest_rows:
            raise InvalidInput(
                "too few rows for a test", field="rows", value=rows, bound=f"at least {self.fewest_rows:g}"
            )
        unit = self.std_error(rows)
        most = unit
        while self.power(rows, most) < power:
            most *= 2
        return float(optimize.brentq(lambda effect: self.power(rows, effect) - power, 0.0, most, xtol=1e-14 * most))


def smallest_rows(excess: Callable[[float], float], *, fewest: float, effect: float) -> float:
    """The number of rows at which an increasing function becomes 0, at least `fewest`.

    Raises:
        InvalidInput: The function is below 0 up to `MOST_ROWS`.
    """
    if excess(fewest) >= 0:
        return fewest
    most = fewest
    while excess(most) < 0:
        most *= 4
        if most > MOST_ROWS:
            raise InvalidInput(
                "the effect is too small to detect",
                field="effect",
                value=effect,
                bound=f"an effect detectable with at most {MOST_ROWS:g} rows",
                remedy="give a larger effect or less power",
            )
    log_rows = optimize.brentq(
        lambda value: excess(math.exp(value)), math.log(max(most / 4, fewest)), math.log(most), xtol=1e-13, rtol=1e-13
    )
    return math.exp(float(log_rows))


@lru_cache(maxsize=4096)
def _critical(num_arms: int, family: Family, df: float, alpha: float, correlation: float) -> float:
    return critical_value(num_arms=num_arms, family=family, df=df, alpha=alpha, correlation=correlation)
