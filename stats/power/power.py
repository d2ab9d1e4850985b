"""How many rows resolve a difference, what difference so many rows resolve: asked before a GPU is rented.

Two of rows, effect and power are given, the third is answered. `answer` takes the words of a plan and of
`assay power`; `from_pilot` takes what it needs from scores that exist.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from assay.manifests.errors import InvalidInput
from assay.manifests.plan import Plan
from assay.stats.distributions.family_critical import Family
from assay.stats.power import pilot
from assay.stats.power.mean_power import MeanDesign, mde_paired_mean, rows_paired_mean, sd_difference_of_repeats
from assay.stats.power.omnibus_power import AnovaDesign
from assay.stats.power.proportion_power import PairedProportions, TwoProportions, discordant_of, midp_power
from assay.stats.power.question import Question, needed, one_of
from assay.stats.samples.samples import Samples

__all__ = ["PowerAnswer", "answer", "from_pilot", "mde_paired_mean", "rows_paired_mean", "sd_difference_of_repeats"]

_MOST_EXACT_ROWS = 1_000_000
_FEW_CLUSTERS = 30


@dataclass(frozen=True)
class PowerAnswer:
    """Rows, effect and power that belong together.

    Attributes:
        rows: Whole rows; in each arm, where arms have rows of their own.
        rows_exact: The same as a real number, before it was rounded up.
        rows_total: Rows to be scored in all arms together.
        effect: The true difference between two arms, in units of the score; its size, without a sign.
        power: The probability to find it.
        alpha: The error rate of the whole family, two-sided.
        critical: What the statistic of a comparison must exceed.
        arms: Arms.
        method: What was computed.
        assumptions: What it takes for granted, in words.
        clusters: Clusters that the rows come in, or None.
    """

    rows: int
    rows_exact: float
    rows_total: int
    effect: float
    power: float
    alpha: float
    critical: float
    arms: int
    method: str
    assumptions: tuple[str, ...]
    clusters: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under the names of the attributes."""
        return {
            "rows": self.rows,
            "rows_exact": self.rows_exact,
            "rows_total": self.rows_total,
            "clusters": self.clusters,
            "effect": self.effect,
            "power": self.power,
            "alpha": self.alpha,
            "critical": self.critical,
            "arms": self.arms,
            "method": self.method,
            "assumptions": list(self.assumptions),
        }


class _Solver(Protocol):
    def power(self, rows: float, effect: float) -> float: ...
    def rows_for(self, effect: float, *, power: float) -> float: ...
    def effect_for(self, rows: float, *, power: float) -> float: ...


def answer(
    *,
    design: Literal["paired", "unpaired"],
    scale: Literal["binary", "continuous", "count", "ordinal"] = "continuous",
    effect: float | None = None,
    rows: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    sd_difference: float | None = None,
    sd: float | None = None,
    correlation: float | None = None,
    discordant: float | None = None,
    rate_control: float | None = None,
    rate_variant: float | None = None,
    arms: int = 2,
    family: Family = "dunnett",
    family_correlation: float = 0.5,
    cluster_size: float | None = None,
    icc: float | None = None,
    omnibus: Literal["rm_anova", "oneway"] | None = None,
    epsilon: float = 1.0,
    strict: bool = False,
) -> PowerAnswer:
    """Rows for an effect, or the effect for a number of rows, or the power if both are given.

    Args:
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

    Raises:
        InvalidInput: Something is missing, out of bounds, or does not go together.
    """
    asked = Question(
        paired=one_of("design", design, ("paired", "unpaired")) == "paired",
        binary=one_of("scale", scale, ("binary", "continuous", "count", "ordinal")) == "binary",
        effect=effect,
        rows=rows,
        power=power,
        alpha=alpha,
        sd_difference=sd_difference,
        sd=sd,
        correlation=correlation,
        discordant=discordant,
        rate_control=rate_control,
        rate_variant=rate_variant,
        arms=arms,
        family=family,
        family_correlation=family_correlation,
        cluster_size=cluster_size,
        icc=icc,
        strict=strict,
    ).checked()
    if omnibus is not None:
        return _omnibus(asked, one_of("omnibus", omnibus, ("rm_anova", "oneway")), epsilon=epsilon)
    return _proportions(asked) if asked.binary else _means(asked)


def from_pilot(
    samples: Samples, plan: Plan, *, effect: float | None = None, rows: float | None = None, power: float = 0.8
) -> PowerAnswer:
    """The same, with variation, discordance and clusters taken from pilot scores and words from the plan.

    The comparison that needs most rows decides. Rows without a score in one of its arms are left out of a comparison,
    with their number among the assumptions. With neither effect nor rows the answer is what the pilot's own rows
    could have seen.

    Args:
        samples: The pilot's scores.
        plan: Design, scale, control, family and alpha.
        effect: The true difference to be found, in units of the score.
        rows: Rows to be scored.
        power: The probability to find the effect.

    Raises:
        InvalidInput: No pair of arms varies, or there are too few rows.
    """
    hardest = pilot.hardest_comparison(samples, plan)
    if effect is None and rows is None:
        rows = hardest.num_rows
    found = answer(
        design=plan.design,
        scale=plan.scale,
        effect=effect,
        rows=rows,
        power=power,
        alpha=plan.alpha,
        arms=len(samples.arms),
        family=plan.family,
        sd_difference=hardest.sd_difference,
        sd=hardest.sd,
        discordant=hardest.discordant,
        rate_control=hardest.rate_control,
        cluster_size=hardest.cluster_size,
        icc=hardest.icc,
    )
    return replace(found, assumptions=(*found.assumptions, *hardest.notes))


def _means(asked: Question) -> PowerAnswer:
    design = MeanDesign(
        sd=asked.sd_of_comparison,
        num_samples=1 if asked.paired else 2,
        num_arms=asked.arms,
        family=asked.family,
        alpha=asked.alpha,
        cluster_size=asked.cluster_size or 1.0,
        design_effect=asked.design_effect,
        correlation=asked.family_correlation,
        both_tails=asked.strict,
    )
    test = "paired t-test" if asked.paired else "two-sample t-test"
    said = [
        f"standard deviation {'of the differences ' if asked.paired else 'within each arm '}{design.sd:g}",
        "differences are near enough to normal that t holds",
    ]
    return _answered(asked, design, method=f"{test}, noncentral t", assumptions=said, critical_at=design.critical_at)


def _proportions(asked: Question) -> PowerAnswer:
    critical = asked.normal_critical()
    if not asked.paired:
        rate = needed("rate_control", asked.rate_control, "the control's share of ones")
        if asked.effect is not None and not 0 <= rate + asked.effect <= 1:
            raise InvalidInput(
                "the variant's share of ones would lie outside 0 to 1",
                field="effect",
                value=asked.effect,
                bound=f"{-rate:g} to {1 - rate:g}",
            )
        two = TwoProportions(critical, rate, design_effect=asked.design_effect)
        said = [f"the control's share of ones is {rate:g}"]
        return _answered(asked, two, method="two proportions, normal approximation", assumptions=said)
    discordant, said = asked.discordant, []
    if discordant is None and asked.rate_control is not None and asked.correlation is not None:
        said.append(f"the control's share of ones is {asked.rate_control:g}, arms correlate by {asked.correlation:g}")
        if asked.effect is not None:
            discordant = discordant_of(
                asked.rate_control, asked.rate_control + asked.effect, correlation=asked.correlation
            )
    elif discordant is None:
        raise InvalidInput(
            "a paired comparison of proportions needs to know on how many rows the arms differ",
            field="discordant",
            remedy="give --discordant, or --rate-control, --rate-variant and --correlation, or a pilot",
        )
    if asked.effect is not None and discordant is not None and abs(asked.effect) > discordant:
        raise InvalidInput(
            "the difference cannot be larger than the share of rows that differ",
            field="effect",
            value=asked.effect,
            bound=f"at most discordant = {discordant:g}",
        )
    paired = PairedProportions(
        critical,
        discordant=discordant,
        rate=asked.rate_control,
        correlation=asked.correlation,
        design_effect=asked.design_effect,
    )
    found = _answered(asked, paired, method="McNemar, Connor 1987", assumptions=said)
    share = paired.discordant_at(found.effect)
    notes = [f"arms differ on {share:.4g} of the rows"]
    if found.rows <= _MOST_EXACT_ROWS and asked.design_effect == 1:
        alpha = math.erfc(critical / math.sqrt(2))  # two-sided level of one comparison
        exact = midp_power(found.rows, discordant=share, effect=found.effect, alpha=alpha)
        notes.append(f"exact power of the mid-p test on {found.rows} rows: {exact:.4f}")
    return replace(found, assumptions=(*found.assumptions, *notes))


def _omnibus(asked: Question, test: str, *, epsilon: float) -> PowerAnswer:
    if asked.paired != (test == "rm_anova"):
        raise InvalidInput(
            "this test is for the other design",
            field="omnibus",
            value=test,
            bound="rm_anova if paired, oneway if unpaired",
        )
    if asked.binary:
        raise InvalidInput(
            "the omnibus power is one of means", field="scale", value="binary", remedy="ask for the comparisons' power"
        )
    if not 1 / (asked.arms - 1) <= epsilon <= 1:
        raise InvalidInput(
            "not an epsilon", field="epsilon", value=epsilon, bound=f"1 / (arms - 1) = {1 / (asked.arms - 1):g} to 1"
        )
    sd = asked.sd_of_comparison
    # Largest difference d, the rest half-way: the means' variance is d^2 / (2 k); with 2 (1 - rho) sd^2 the variance
    # of a difference, k f^2 / (1 - rho) = (d / sd_difference)^2.
    scale = sd * math.sqrt(asked.arms * (1 if asked.paired else 2))
    design = AnovaDesign(
        asked.arms, alpha=asked.alpha, paired=asked.paired, epsilon=epsilon, design_effect=asked.design_effect
    )
    said = [
        "the effect is the largest difference between two arms, all others half-way between them",
        f"standard deviation {'of the differences ' if asked.paired else 'within each arm '}{sd:g}",
    ]
    if asked.paired:
        said.append(f"sphericity epsilon {epsilon:g}")
    return _answered(
        asked,
        _Scaled(design, scale),
        method=f"{test}, noncentral F",
        assumptions=said,
        critical_at=design.critical_at,
        adjusted=False,
    )


@dataclass(frozen=True)
class _Scaled:
    """An ANOVA in units of the score instead of Cohen's f."""

    design: AnovaDesign
    scale: float

    def power(self, rows: float, effect: float) -> float:
        return self.design.power(rows, abs(effect) / self.scale)

    def rows_for(self, effect: float, *, power: float) -> float:
        return self.design.rows_for(abs(effect) / self.scale, power=power)

    def effect_for(self, rows: float, *, power: float) -> float:
        return self.design.effect_for(rows, power=power) * self.scale


def _answered(
    asked: Question,
    solver: _Solver,
    *,
    method: str,
    assumptions: list[str],
    critical_at: Callable[[float], float] | None = None,
    adjusted: bool = True,
) -> PowerAnswer:
    power, effect, rows = asked.power, asked.effect, asked.rows
    if rows is None:
        assert effect is not None
        rows = solver.rows_for(effect, power=power)
    elif effect is None:
        effect = solver.effect_for(rows, power=power)
    else:
        power = solver.power(rows, effect)
    whole = math.ceil(rows - 1e-9 * rows)
    said = [*asked.common_assumptions(adjusted=adjusted), *assumptions]
    clusters = None
    if asked.cluster_size is not None:
        clusters = math.ceil(whole / asked.cluster_size - 1e-9)
        if clusters < _FEW_CLUSTERS:
            said.append(f"{clusters} clusters are few: cluster-robust errors are unreliable below {_FEW_CLUSTERS}")
    return PowerAnswer(
        rows=whole,
        rows_exact=float(rows),
        rows_total=whole * asked.arms,
        effect=abs(effect),
        power=power,
        alpha=asked.alpha,
        critical=critical_at(rows) if critical_at else asked.normal_critical(),
        arms=asked.arms,
        method=method,
        assumptions=tuple(said),
        clusters=clusters,
    )
