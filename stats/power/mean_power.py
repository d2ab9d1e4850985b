"""Power of comparisons of means: paired, two samples, rows in clusters; rows for an effect and effects for rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scipy import optimize, stats

from assay.manifests.errors import InvalidInput
from assay.stats.distributions.family_critical import Family, critical_value

MOST_ROWS = 1e12
"""Beyond this many rows the answer is that the effect is too small to be seen."""

_NORMAL_DF = 1e6


@dataclass(frozen=True)
class MeanDesign:
    """How a difference of two means is measured.

    The standard error of the difference is `sd * sqrt(samples * design_effect / rows)`, its degrees of freedom
    `samples_df * (blocks - 1)` where blocks are rows, or clusters of `cluster_size` rows.

    Attributes:
        sd: Standard deviation: of the differences (paired), of scores within an arm (two samples).
        num_samples: 1 paired; 2 two samples, with rows counted in each arm.
        num_arms: Arms in the family.
        family: `dunnett` or `tukey`.
        alpha: Family-wise error rate, two-sided.
        cluster_size: Rows in a cluster.
        design_effect: `1 + (cluster_size - 1) * icc` (Kish 1965): how much more variance clusters make.
        correlation: Of two comparisons with the control.
        both_tails: Whether a significant difference in the wrong direction counts as found; R's `strict`.
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
        """Standard error of the difference with so many rows (in each arm, if samples are two)."""
        return self.sd * math.sqrt(self.num_samples * self.design_effect / rows)

    def df(self, rows: float) -> float:
        """Degrees of freedom: those of R's `power.t.test` for two arms, and of the pooled variance for more."""
        samples = 1 if self.num_samples == 1 else self.num_arms
        return samples * (rows / self.cluster_size - 1)

    def critical_at(self, rows: float) -> float:
        """What |t| must exceed with so many rows."""
        df = self.df(rows)
        return _critical(self.num_arms, self.family, math.inf if df > _NORMAL_DF else df, self.alpha, self.correlation)

    def power(self, rows: float, effect: float) -> float:
        """Probability that one comparison with this true difference exceeds the critical value: noncentral t."""
        critical, df = self.critical_at(rows), self.df(rows)
        noncentral = abs(effect) / self.std_error(rows)
        if df > _NORMAL_DF:
            found = float(stats.norm.sf(critical - noncentral))
            wrong = float(stats.norm.cdf(-critical - noncentral))
        else:
            found = float(stats.nct.sf(critical, df, noncentral))
            wrong = float(stats.nct.cdf(-critical, df, noncentral)) if self.both_tails else 0.0
        return found + wrong if self.both_tails else found

    @property
    def fewest_rows(self) -> float:
        """The fewest rows that any test can be made with: two, or five clusters."""
        return 2.0 if self.cluster_size == 1 else 5.0 * self.cluster_size

    def rows_for(self, effect: float, *, power: float) -> float:
        """Rows, as a real number, with which a true difference of this size is found with this probability."""
        return smallest_rows(lambda rows: self.power(rows, effect) - power, fewest=self.fewest_rows, effect=effect)

    def effect_for(self, rows: float, *, power: float) -> float:
        """The true difference that is found with this probability on so many rows."""
        if rows < self.fewest_rows:
            raise InvalidInput(
                "too few rows for any test", field="rows", value=rows, bound=f"at least {self.fewest_rows:g}"
            )
        unit = self.std_error(rows)
        most = unit
        while self.power(rows, most) < power:
            most *= 2
        return float(optimize.brentq(lambda effect: self.power(rows, effect) - power, 0.0, most, xtol=1e-14 * most))


def smallest_rows(excess: Callable[[float], float], *, fewest: float, effect: float) -> float:
    """Where a function of rows that grows becomes 0, at least `fewest`.

    Raises:
        InvalidInput: It stays below 0 up to `MOST_ROWS`.
    """
    if excess(fewest) >= 0:
        return fewest
    most = fewest
    while excess(most) < 0:
        most *= 4
        if most > MOST_ROWS:
            raise InvalidInput(
                "no number of rows resolves this effect",
                field="effect",
                value=effect,
                bound=f"resolvable within {MOST_ROWS:g} rows",
                remedy="ask for a larger effect or less power",
            )
    log_rows = optimize.brentq(
        lambda value: excess(math.exp(value)), math.log(max(most / 4, fewest)), math.log(most), xtol=1e-13, rtol=1e-13
    )
    return math.exp(float(log_rows))


@lru_cache(maxsize=4096)
def _critical(num_arms: int, family: Family, df: float, alpha: float, correlation: float) -> float:
    return critical_value(num_arms=num_arms, family=family, df=df, alpha=alpha, correlation=correlation)
