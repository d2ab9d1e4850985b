"""The input of a power analysis, validated; every error names the value, its bound and the remedy."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from assay.manifests.errors import InvalidInput
from assay.stats.distributions.family_critical import Family, critical_value
from assay.stats.power.design_effect import design_effect_of

_APPLICABLE = {
    (True, False): ("sd_difference", "sd", "correlation"),
    (True, True): ("discordant", "rate_control", "rate_variant", "correlation"),
    (False, False): ("sd",),
    (False, True): ("rate_control", "rate_variant"),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """The input of a power analysis: the effect, the rows, or both.

    Attributes:
        design: `paired`: all arms score the same rows. `unpaired`: each arm scores its own rows.
        scale: `binary` compares proportions; all other scales compare means.
        effect: The true difference between two arms, in units of the score (for proportions, 0.02 is two percentage
            points). With `omnibus`: the largest difference, with all other arms half-way between (the hardest case).
        rows: Number of rows; per arm, if unpaired.
        power: The probability of detecting the effect.
        alpha: The error rate of the whole family, two-sided.
        sd_difference: Paired: standard deviation of the rows' differences.
        sd: Standard deviation of scores within an arm; unpaired, or paired together with `correlation`.
        correlation: Paired: correlation of two arms' scores over rows.
        discordant: Paired binary: share of rows on which two arms differ.
        rate_control: Binary: the control's share of ones.
        rate_variant: Binary: the variant's share of ones; the effect is then the difference.
        arms: Number of arms. Two arms are a single comparison, which is not adjusted.
        family: `dunnett` or `tukey`; determines the critical value.
        family_correlation: Correlation of two comparisons with the control.
        cluster_size: Rows per cluster, on average.
        icc: Intraclass correlation of the differences, if paired; of the scores, if unpaired.
        omnibus: Compute the power of this omnibus test instead of a comparison's.
        epsilon: Departure from sphericity for `rm_anova`.
        strict: Whether a significant difference in the wrong direction counts as detected, as in R's `strict = TRUE`.
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
        """The validated question, with the effect filled in from the rates.

        Raises:
            InvalidInput: A value is missing or out of bounds, or two values contradict each other.
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
                raise InvalidInput("not a valid standard deviation", field=field, value=value, bound="above 0")
        if self.arms != int(self.arms) or self.arms < 2:
            raise InvalidInput(
                "not a valid number of arms", field="arms", value=self.arms, bound="a whole number, 2 or more"
            )
        _one_of("family", self.family, ("dunnett", "tukey"))
        if self.rows is not None and not (self.rows >= 1 and math.isfinite(self.rows)):
            raise InvalidInput("not a valid number of rows", field="rows", value=self.rows, bound="1 or more")
        if (self.cluster_size is None) != (self.icc is None):
            raise InvalidInput(
                "clusters need both their size and their intraclass correlation",
                field="cluster_size, icc",
                value=f"{self.cluster_size}, {self.icc}",
                remedy="give both --cluster-size and --icc, or a pilot with a cluster column",
            )
        if self.cluster_size is not None and not (self.cluster_size >= 1 and math.isfinite(self.cluster_size)):
            raise InvalidInput(
                "not a valid cluster size", field="cluster_size", value=self.cluster_size, bound="1 or more"
            )
        self._check_applicable()
        question = self._with_effect_of_rates()
        if question.effect is None and question.rows is None:
            raise InvalidInput(
                "neither effect nor rows are given",
                field="effect, rows",
                remedy="give --effect to get the rows needed, or --rows to get the effect that they can detect",
            )
        if question.effect is not None and not (question.effect != 0 and math.isfinite(question.effect)):
            raise InvalidInput(
                "an effect of 0 cannot be detected", field="effect", value=question.effect, bound="not 0"
            )
        if self.omnibus is not None:
            self._check_omnibus(self.omnibus)
        return question

    def _check_omnibus(self, test: str) -> None:
        _one_of("omnibus", test, ("rm_anova", "oneway"))
        if self.paired != (test == "rm_anova"):
            raise InvalidInput(
                "this test does not fit the design",
                field="omnibus",
                value=test,
                bound="rm_anova if paired, oneway if unpaired",
            )
        if self.binary:
            raise InvalidInput(
                "omnibus power is only available for means",
                field="scale",
                value="binary",
                remedy="leave --omnibus out to get the power of comparisons",
            )
        least = 1 / (self.arms - 1)
        if not least <= self.epsilon <= 1:
            bound = f"1 / (arms - 1) = {least:g} to 1"
            raise InvalidInput("not a valid sphericity epsilon", field="epsilon", value=self.epsilon, bound=bound)

    def _check_applicable(self) -> None:
        applicable = _APPLICABLE[self.paired, self.binary]
        for field in ("sd_difference", "sd", "correlation", "discordant", "rate_control", "rate_variant"):
            value = getattr(self, field)
            if value is not None and field not in applicable:
                raise InvalidInput(
                    f"not applicable to {'a paired' if self.paired else 'an unpaired'} comparison of "
                    + ("proportions" if self.binary else "means"),
                    field=field,
                    value=value,
                    bound=", ".join(applicable),
                    remedy="leave it out, or correct --design and --scale",
                )

    def _with_effect_of_rates(self) -> "Question":
        if self.rate_control is None or self.rate_variant is None:
            return self
        effect = round(self.rate_variant - self.rate_control, 12)
        if self.effect is not None and not math.isclose(abs(self.effect), abs(effect), abs_tol=1e-9):
            raise InvalidInput(
                "the effect is not the difference between the rates",
                field="effect",
                value=self.effect,
                bound=f"{abs(effect):g}",
                remedy="leave out the effect or one of the rates",
            )
        return replace(self, effect=effect)

    @property
    def design_effect(self) -> float:
        """The factor by which clusters inflate the variance."""
        return design_effect_of(self.cluster_size, self.icc)

    def normal_critical(self) -> float:
        """The value that |z| of a comparison must exceed."""
        return critical_value(
            num_arms=self.arms,
            family=self.family,
            df=math.inf,
            alpha=self.alpha,
            correlation=self.family_correlation,
        )

    def common_assumptions(self, *, adjusted: bool) -> list[str]:
        """The assumptions of every answer, as text; `adjusted` if it is about a comparison within a family."""
        adjusted = adjusted and self.arms > 2
        assumptions = [
            f"two-sided, alpha {self.alpha:g}"
            + (f" for the whole family of {self.arms} arms ({self.family})" if adjusted else "")
        ]
        if adjusted and self.family == "dunnett":
            assumptions.append(f"comparisons with the control have correlation {self.family_correlation:g}")
        if not self.paired:
            assumptions.append("rows are counted per arm; all arms have the same number")
        if self.cluster_size is not None:
            assumptions.append(
                f"clusters of {self.cluster_size:.4g} rows (weighted by their size) with an intraclass correlation of "
                f"{self.icc:.3g}, so {self.design_effect:.4g} times the variance of independent rows"
            )
        return assumptions

    @property
    def sd_of_comparison(self) -> float:
        """Standard deviation of the differences, if paired; of scores within an arm, if unpaired.

        Raises:
            InvalidInput: It was not given.
        """
        if not self.paired:
            return needed("sd", self.sd, "the standard deviation of scores within an arm")
        if self.sd_difference is not None:
            return self.sd_difference
        if self.sd is None or self.correlation is None:
            raise InvalidInput(
                "a paired comparison of means needs the standard deviation of the differences",
                field="sd_difference",
                remedy="give --sd-difference, or --sd and --correlation, or a pilot",
            )
        if self.correlation == 1:
            raise InvalidInput(
                "with correlation 1, differences do not vary and need no test",
                field="correlation",
                value=1,
                bound="below 1",
            )
        return self.sd * math.sqrt(2 * (1 - self.correlation))


def needed(field: str, value: float | None, what: str) -> float:
    """The value.

    Raises:
        InvalidInput: It is None.
    """
    if value is None:
        raise InvalidInput(f"{what} is required", field=field, remedy=f"give --{field.replace('_', '-')}, or a pilot")
    return value


def _within(field: str, value: float | None, low: float, high: float, *, closed: bool = False) -> None:
    if value is None:
        return
    if not (low <= value <= high if closed else low < value < high):
        bound = f"{low} to {high}" if closed else f"above {low}, below {high}"
        raise InvalidInput("out of range", field=field, value=value, bound=bound)


def _one_of(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInput(f"unknown {field}", field=field, value=value, bound=", ".join(choices))
