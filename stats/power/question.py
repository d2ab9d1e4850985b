"""The question to the power calculation, checked: every refusal names the value, its bound and the remedy."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from assay.manifests.errors import InvalidInput
from assay.stats.distributions.family_critical import Family, critical_value
from assay.stats.power.design_effect import design_effect_of

_BELONGS = {
    (True, False): ("sd_difference", "sd", "correlation"),
    (True, True): ("discordant", "rate_control", "rate_variant", "correlation"),
    (False, False): ("sd",),
    (False, True): ("rate_control", "rate_variant"),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the power calculation is asked: rows, an effect, or the power if both are given.

    Attributes:
        design: `paired`: all arms score the same rows. `unpaired`: every arm has rows of its own.
        scale: `binary` compares proportions, everything else means.
        effect: The true difference between two arms, in units of the score (of proportions: 0.02 is two points).
            With `omnibus` it is the largest difference, all other arms half-way between (the hardest case).
        rows: Rows; in each arm, if unpaired.
        power: The probability to find the effect.
        alpha: The error rate of the whole family, two-sided.
        sd_difference: Paired: standard deviation of the rows' differences.
        sd: Standard deviation of scores within an arm; unpaired, or paired together with `correlation`.
        correlation: Paired: correlation of two arms' scores over rows.
        discordant: Paired binary: share of rows on which two arms differ.
        rate_control: Binary: the control's share of ones.
        rate_variant: Binary: the variant's share of ones; the effect is then the difference.
        arms: Arms; two are one comparison, which is not adjusted.
        family: `dunnett` or `tukey`: which critical value comparisons must exceed.
        family_correlation: Correlation of two comparisons with the control.
        cluster_size: Rows in a cluster, on average.
        icc: Intraclass correlation: of the differences, if paired; of the scores, if not.
        omnibus: The omnibus test's power instead of a comparison's.
        epsilon: Departure from sphericity for `rm_anova`.
        strict: Whether a significant difference in the wrong direction counts as found, as in R's `strict = TRUE`.
    """

    design: Literal["paired", "unpaired"]
    scale: Literal["binary", "continuous", "count", "ordinal"] = "continuous"
    effect: float | None = None
    rows: float | None = None
    power: float = 0.8
    alpha: float = 0.05
    sd_difference: float | None = None
    sd: float | None = None
    correlation: float | None = None
    discordant: float | None = None
    rate_control: float | None = None
    rate_variant: float | None = None
    arms: int = 2
    family: Family = "dunnett"
    family_correlation: float = 0.5
    cluster_size: float | None = None
    icc: float | None = None
    omnibus: Literal["rm_anova", "oneway"] | None = None
    epsilon: float = 1.0
    strict: bool = False

    @property
    def paired(self) -> bool:
        """Whether all arms score the same rows."""
        return self.design == "paired"

    @property
    def binary(self) -> bool:
        """Whether proportions are compared."""
        return self.scale == "binary"

    def checked(self) -> "Question":
        """Itself, its effect filled in from the rates.

        Raises:
            InvalidInput: Something is missing, out of bounds, or does not go together.
        """
        _one_of("design", self.design, ("paired", "unpaired"))
        _one_of("scale", self.scale, ("binary", "continuous", "count", "ordinal"))
        _within("power", self.power, 0, 1)
        _within("alpha", self.alpha, 0, 1)
        _within("discordant", self.discordant, 0, 1, closed=True)
        _within("rate_control", self.rate_control, 0, 1, closed=True)
        _within("rate_variant", self.rate_variant, 0, 1, closed=True)
        _within("correlation", self.correlation, -1, 1, closed=True)
        _within("icc", self.icc, 0, 1, closed=True)
        for field, value in (("sd_difference", self.sd_difference), ("sd", self.sd)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidInput("not a standard deviation", field=field, value=value, bound="above 0")
        if self.arms != int(self.arms) or self.arms < 2:
            raise InvalidInput("too few arms to compare", field="arms", value=self.arms, bound="a whole number from 2")
        _one_of("family", self.family, ("dunnett", "tukey"))
        if self.rows is not None and not (self.rows >= 1 and math.isfinite(self.rows)):
            raise InvalidInput("not a number of rows", field="rows", value=self.rows, bound="1 or more")
        if (self.cluster_size is None) != (self.icc is None):
            raise InvalidInput(
                "clusters need their size and their intraclass correlation",
                field="cluster_size, icc",
                value=f"{self.cluster_size}, {self.icc}",
                remedy="give both --cluster-size and --icc, or a pilot with a cluster column",
            )
        if self.cluster_size is not None and not (self.cluster_size >= 1 and math.isfinite(self.cluster_size)):
            raise InvalidInput("not a size of clusters", field="cluster_size", value=self.cluster_size, bound="from 1")
        self._refuse_what_does_not_belong()
        asked = self._with_effect_of_rates()
        if asked.effect is None and asked.rows is None:
            raise InvalidInput(
                "nothing to answer from",
                field="effect, rows",
                remedy="give --effect to learn the rows, or --rows to learn the effect",
            )
        if asked.effect is not None and not (asked.effect != 0 and math.isfinite(asked.effect)):
            raise InvalidInput(
                "no rows resolve an effect of nothing", field="effect", value=asked.effect, bound="not 0"
            )
        if self.omnibus is not None:
            self._check_omnibus(self.omnibus)
        return asked

    def _check_omnibus(self, test: str) -> None:
        _one_of("omnibus", test, ("rm_anova", "oneway"))
        if self.paired != (test == "rm_anova"):
            raise InvalidInput(
                "this test is for the other design",
                field="omnibus",
                value=test,
                bound="rm_anova if paired, oneway if unpaired",
            )
        if self.binary:
            raise InvalidInput(
                "the omnibus power is one of means",
                field="scale",
                value="binary",
                remedy="ask for the comparisons' power",
            )
        least = 1 / (self.arms - 1)
        if not least <= self.epsilon <= 1:
            bound = f"1 / (arms - 1) = {least:g} to 1"
            raise InvalidInput("not an epsilon", field="epsilon", value=self.epsilon, bound=bound)

    def _refuse_what_does_not_belong(self) -> None:
        belong = _BELONGS[self.paired, self.binary]
        for field in ("sd_difference", "sd", "correlation", "discordant", "rate_control", "rate_variant"):
            value = getattr(self, field)
            if value is not None and field not in belong:
                raise InvalidInput(
                    f"this says nothing of a{' paired' if self.paired else 'n unpaired'} comparison of "
                    + ("proportions" if self.binary else "means"),
                    field=field,
                    value=value,
                    bound=", ".join(belong),
                    remedy="leave it out, or check design and scale",
                )

    def _with_effect_of_rates(self) -> "Question":
        if self.rate_control is None or self.rate_variant is None:
            return self
        effect = round(self.rate_variant - self.rate_control, 12)
        if self.effect is not None and not math.isclose(abs(self.effect), abs(effect), abs_tol=1e-9):
            raise InvalidInput(
                "the effect is not the difference of the rates",
                field="effect",
                value=self.effect,
                bound=f"{abs(effect):g}",
                remedy="leave one of them out",
            )
        return replace(self, effect=effect)

    @property
    def design_effect(self) -> float:
        """How much more variance clusters make."""
        return design_effect_of(self.cluster_size, self.icc)

    def normal_critical(self) -> float:
        """What |z| of a comparison must exceed."""
        return critical_value(
            num_arms=self.arms,
            family=self.family,
            df=math.inf,
            alpha=self.alpha,
            correlation=self.family_correlation,
        )

    def common_assumptions(self, *, adjusted: bool) -> list[str]:
        """What every answer takes for granted; `adjusted` where it is about one comparison of a family."""
        adjusted = adjusted and self.arms > 2
        said = [
            f"two-sided, alpha {self.alpha:g}"
            + (f" for the whole family of {self.arms} arms ({self.family})" if adjusted else "")
        ]
        if adjusted and self.family == "dunnett":
            said.append(f"comparisons with the control correlate by {self.family_correlation:g}")
        if not self.paired:
            said.append("rows are counted in each arm; all arms have as many")
        if self.cluster_size is not None:
            said.append(
                f"clusters of {self.cluster_size:g} rows with intraclass correlation {self.icc:g} "
                f"multiply the variance by {self.design_effect:.4g}"
            )
        return said

    @property
    def sd_of_comparison(self) -> float:
        """Standard deviation of the differences, if paired; of the scores within an arm, if not.

        Raises:
            InvalidInput: It was not given.
        """
        if not self.paired:
            return needed("sd", self.sd, "the standard deviation of scores within an arm")
        if self.sd_difference is not None:
            return self.sd_difference
        if self.sd is None or self.correlation is None:
            raise InvalidInput(
                "a paired comparison of means needs to know how its differences vary",
                field="sd_difference",
                remedy="give --sd-difference, or --sd and --correlation, or a pilot",
            )
        if self.correlation == 1:
            raise InvalidInput(
                "differences that do not vary need no test", field="correlation", value=1, bound="below 1"
            )
        return self.sd * math.sqrt(2 * (1 - self.correlation))


def needed(field: str, value: float | None, what: str) -> float:
    """The value, or an error that says what it is."""
    if value is None:
        raise InvalidInput(f"{what} is needed", field=field, remedy=f"give --{field.replace('_', '-')}, or a pilot")
    return value


def _within(field: str, value: float | None, low: float, high: float, *, closed: bool = False) -> None:
    if value is None:
        return
    if not (low <= value <= high if closed else low < value < high):
        words = f"{low} to {high}" if closed else f"above {low}, below {high}"
        raise InvalidInput("out of bounds", field=field, value=value, bound=words)


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(f"no such {field}", field=field, value=value, bound=", ".join(known))
