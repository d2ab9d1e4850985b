"""Power of the omnibus tests of means: repeated-measures ANOVA and one-way ANOVA, by the noncentral F."""

from dataclasses import dataclass

from scipy import optimize, special, stats

from assay.stats.power.mean_power import smallest_rows


@dataclass(frozen=True)
class AnovaDesign:
    """k arms with means that vary by Cohen's f: their standard deviation over that of the scores.

    Attributes:
        num_arms: Arms k.
        alpha: Error rate.
        paired: Whether all arms score the same rows.
        correlation: Correlation of two arms over rows, where paired.
        epsilon: Departure from sphericity, from 1 / (k - 1) to 1, where paired.
        design_effect: How much more variance clusters make.
    """

    num_arms: int
    alpha: float = 0.05
    paired: bool = True
    correlation: float = 0.0
    epsilon: float = 1.0
    design_effect: float = 1.0

    def power(self, rows: float, cohen_f: float) -> float:
        """Paired: lambda = n k f^2 eps / (1 - rho) on (k - 1) eps and (k - 1)(n - 1) eps degrees of freedom.

        Muller & Barton 1989 (JASA 84:549) as in G*Power (Faul et al. 2007). Unpaired: lambda = n k f^2 on k - 1 and
        k (n - 1), n rows in each arm (Cohen 1988, section 8).
        """
        noncentral = rows / self.design_effect * self.num_arms * cohen_f**2
        if self.paired:
            noncentral *= self.epsilon / (1 - self.correlation)
        return 1.0 - float(special.ncfdtr(*self._df(rows), noncentral, self.critical_at(rows)))

    def critical_at(self, rows: float) -> float:
        """What F must exceed with so many rows."""
        return float(stats.f.isf(self.alpha, *self._df(rows)))

    def _df(self, rows: float) -> tuple[float, float]:
        if self.paired:
            df_num = (self.num_arms - 1) * self.epsilon
            return df_num, df_num * (rows - 1)
        return self.num_arms - 1.0, self.num_arms * (rows - 1)

    def rows_for(self, cohen_f: float, *, power: float) -> float:
        """Rows (in each arm, if unpaired), as a real number."""
        return smallest_rows(lambda rows: self.power(rows, cohen_f) - power, fewest=2.0, effect=cohen_f)

    def effect_for(self, rows: float, *, power: float) -> float:
        """Cohen's f that is found on so many rows."""
        most = 0.01
        while self.power(rows, most) < power:
            most *= 2
        return float(optimize.brentq(lambda f: self.power(rows, f) - power, 1e-12, most, xtol=1e-14))


@dataclass(frozen=True)
class ScaledAnova:
    """An ANOVA in units of the score instead of Cohen's f.

    Attributes:
        design: The ANOVA.
        scale: Units of the score that are one f.
    """

    design: AnovaDesign
    scale: float

    def power(self, rows: float, effect: float) -> float:
        """The probability to find an effect with so many rows."""
        return self.design.power(rows, abs(effect) / self.scale)

    def rows_for(self, effect: float, *, power: float) -> float:
        """Rows that find an effect with a probability, as a real number."""
        return self.design.rows_for(abs(effect) / self.scale, power=power)

    def effect_for(self, rows: float, *, power: float) -> float:
        """The effect that so many rows find with a probability."""
        return self.design.effect_for(rows, power=power) * self.scale
