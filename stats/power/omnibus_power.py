"""Power of the omnibus tests of means, repeated-measures and one-way ANOVA, from the noncentral F."""

from dataclasses import dataclass

from scipy import optimize, special, stats

from assay.stats.power.mean_power import smallest_rows


@dataclass(frozen=True)
class AnovaDesign:
    """k arms whose means differ by Cohen's f: the standard deviation of the means over that of the scores.

    Attributes:
        num_arms: Number of arms k.
        alpha: Error rate.
        paired: Whether all arms score the same rows.
        correlation: Paired: correlation of two arms' scores over rows.
        epsilon: Paired: departure from sphericity, from 1 / (k - 1) to 1 (none).
        design_effect: The factor by which clusters inflate the variance.
    """

    num_arms: int
    alpha: float = 0.05
    paired: bool = True
    correlation: float = 0.0
    epsilon: float = 1.0
    design_effect: float = 1.0

    def power(self, rows: float, cohen_f: float) -> float:
        """The power on this many rows (per arm, if unpaired) for this Cohen's f.

        Paired: lambda = n k f^2 eps / (1 - rho) on (k - 1) eps and (k - 1)(n - 1) eps degrees of freedom.
        Muller & Barton 1989 (JASA 84:549) as in G*Power (Faul et al. 2007). Unpaired: lambda = n k f^2 on k - 1 and
        k (n - 1), with n rows per arm (Cohen 1988, section 8).
        """
        noncentral = rows / self.design_effect * self.num_arms * cohen_f**2
        if self.paired:
            noncentral *= self.epsilon / (1 - self.correlation)
        return 1.0 - float(special.ncfdtr(*self._df(rows), noncentral, self.critical_at(rows)))

    def critical_at(self, rows: float) -> float:
        """The value that F must exceed with this many rows."""
        return float(stats.f.isf(self.alpha, *self._df(rows)))

    def _df(self, rows: float) -> tuple[float, float]:
        if self.paired:
            df_numerator = (self.num_arms - 1) * self.epsilon
            return df_numerator, df_numerator * (rows - 1)
        return self.num_arms - 1.0, self.num_arms * (rows - 1)

    def rows_for(self, cohen_f: float, *, power: float) -> float:
        """Rows (per arm, if unpaired), as a real number, that detect this f with this probability."""
        return smallest_rows(lambda rows: self.power(rows, cohen_f) - power, fewest=2.0, effect=cohen_f)

    def effect_for(self, rows: float, *, power: float) -> float:
        """Cohen's f that this many rows detect with this probability."""
        most = 0.01
        while self.power(rows, most) < power:
            most *= 2
        return float(optimize.brentq(lambda f: self.power(rows, f) - power, 1e-12, most, xtol=1e-14))


@dataclass(frozen=True)
class ScaledAnova:
    """An ANOVA with effects in units of the score instead of Cohen's f.

    Attributes:
        design: The ANOVA.
        scale: Units of the score per unit of f.
    """

    design: AnovaDesign
    scale: float

    def power(self, rows: float, effect: float) -> float:
        """The probability of detecting an effect with this many rows."""
        return self.design.power(rows, abs(effect) / self.scale)

    def rows_for(self, effect: float, *, power: float) -> float:
        """Rows, as a real number, that detect an effect with this probability."""
        return self.design.rows_for(abs(effect) / self.scale, power=power)

    def effect_for(self, rows: float, *, power: float) -> float:
        """The effect that this many rows detect with this probability."""
        return self.design.effect_for(rows, power=power) * self.scale
