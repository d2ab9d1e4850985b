"""How many rows resolve a difference, what difference so many rows resolve: asked before a GPU is rented.

Two of rows, effect and power are given, the third is answered. `answer` takes a question; `from_pilot` takes what it
needs from scores that exist.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from assay.manifests.errors import InvalidInput
from assay.manifests.plan import Plan
from assay.stats.moments.clusters import FEW_CLUSTERS
from assay.stats.power import pilot
from assay.stats.power.mean_power import MeanDesign
from assay.stats.power.omnibus_power import AnovaDesign, ScaledAnova
from assay.stats.power.proportion_power import PairedProportions, TwoProportions, discordant_of, midp_power
from assay.stats.power.question import Question, needed
from assay.stats.samples.samples import Samples

_MOST_EXACT_ROWS = 1_000_000


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


def answer(question: Question) -> PowerAnswer:
    """Rows for an effect, or the effect for a number of rows, or the power if both are given.

    Raises:
        InvalidInput: Something is missing, out of bounds, or does not go together.
    """
    question = question.checked()
    if question.omnibus is not None:
        return _omnibus(question, question.omnibus)
    return _proportions(question) if question.binary else _means(question)


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
    question = Question(
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
    found = answer(question)
    return replace(found, assumptions=(*found.assumptions, *hardest.notes))


def _means(question: Question) -> PowerAnswer:
    design = MeanDesign(
        sd=question.sd_of_comparison,
        num_samples=1 if question.paired else 2,
        num_arms=question.arms,
        family=question.family,
        alpha=question.alpha,
        cluster_size=question.cluster_size or 1.0,
        design_effect=question.design_effect,
        correlation=question.family_correlation,
        both_tails=question.strict,
    )
    test = "paired t-test" if question.paired else "two-sample t-test"
    said = [
        f"standard deviation {'of the differences ' if question.paired else 'within each arm '}{design.sd:g}",
        "differences are near enough to normal that t holds",
    ]
    return _answered(question, design, method=f"{test}, noncentral t", assumptions=said, critical_at=design.critical_at)


def _proportions(question: Question) -> PowerAnswer:
    critical = question.normal_critical()
    if not question.paired:
        rate = needed("rate_control", question.rate_control, "the control's share of ones")
        if question.effect is not None and not 0 <= rate + question.effect <= 1:
            raise InvalidInput(
                "the variant's share of ones would lie outside 0 to 1",
                field="effect",
                value=question.effect,
                bound=f"{-rate:g} to {1 - rate:g}",
            )
        two = TwoProportions(critical, rate, design_effect=question.design_effect)
        said = [f"the control's share of ones is {rate:g}"]
        return _answered(question, two, method="two proportions, normal approximation", assumptions=said)
    discordant, said = question.discordant, []
    if discordant is None and question.rate_control is not None and question.correlation is not None:
        said.append(
            f"the control's share of ones is {question.rate_control:g}, arms correlate by {question.correlation:g}"
        )
        if question.effect is not None:
            discordant = discordant_of(
                question.rate_control, question.rate_control + question.effect, correlation=question.correlation
            )
    elif discordant is None:
        raise InvalidInput(
            "a paired comparison of proportions needs to know on how many rows the arms differ",
            field="discordant",
            remedy="give --discordant, or --rate-control, --rate-variant and --correlation, or a pilot",
        )
    if question.effect is not None and discordant is not None and abs(question.effect) > discordant:
        raise InvalidInput(
            "the difference cannot be larger than the share of rows that differ",
            field="effect",
            value=question.effect,
            bound=f"at most discordant = {discordant:g}",
        )
    paired = PairedProportions(
        critical,
        discordant=discordant,
        rate=question.rate_control,
        correlation=question.correlation,
        design_effect=question.design_effect,
    )
    found = _answered(question, paired, method="McNemar, Connor 1987", assumptions=said)
    share = paired.discordant_at(found.effect)
    notes = [f"arms differ on {share:.4g} of the rows"]
    if found.rows <= _MOST_EXACT_ROWS and question.design_effect == 1:
        alpha = math.erfc(critical / math.sqrt(2))  # two-sided level of one comparison
        exact = midp_power(found.rows, discordant=share, effect=found.effect, alpha=alpha)
        notes.append(f"exact power of the mid-p test on {found.rows} rows: {exact:.4f}")
    return replace(found, assumptions=(*found.assumptions, *notes))


def _omnibus(question: Question, test: str) -> PowerAnswer:
    sd = question.sd_of_comparison
    # Largest difference d, the rest half-way: the means' variance is d^2 / (2 k); with 2 (1 - rho) sd^2 the variance
    # of a difference, k f^2 / (1 - rho) = (d / sd_difference)^2.
    scale = sd * math.sqrt(question.arms * (1 if question.paired else 2))
    design = AnovaDesign(
        question.arms,
        alpha=question.alpha,
        paired=question.paired,
        epsilon=question.epsilon,
        design_effect=question.design_effect,
    )
    said = [
        "the effect is the largest difference between two arms, all others half-way between them",
        f"standard deviation {'of the differences ' if question.paired else 'within each arm '}{sd:g}",
    ]
    if question.paired:
        said.append(f"sphericity epsilon {question.epsilon:g}")
    return _answered(
        question,
        ScaledAnova(design, scale),
        method=f"{test}, noncentral F",
        assumptions=said,
        critical_at=design.critical_at,
        adjusted=False,
    )


def _answered(
    question: Question,
    solver: _Solver,
    *,
    method: str,
    assumptions: list[str],
    critical_at: Callable[[float], float] | None = None,
    adjusted: bool = True,
) -> PowerAnswer:
    power, effect, rows = question.power, question.effect, question.rows
    if rows is None:
        assert effect is not None
        rows = solver.rows_for(effect, power=power)
    elif effect is None:
        effect = solver.effect_for(rows, power=power)
    else:
        power = solver.power(rows, effect)
    whole = math.ceil(rows - 1e-9 * rows)
    said = [*question.common_assumptions(adjusted=adjusted), *assumptions]
    clusters = None
    if question.cluster_size is not None:
        clusters = math.ceil(whole / question.cluster_size - 1e-9)
        if clusters < FEW_CLUSTERS:
            said.append(f"{clusters} clusters are few: cluster-robust errors are unreliable below {FEW_CLUSTERS}")
    return PowerAnswer(
        rows=whole,
        rows_exact=float(rows),
        rows_total=whole * question.arms,
        effect=abs(effect),
        power=power,
        alpha=question.alpha,
        critical=critical_at(rows) if critical_at else question.normal_critical(),
        arms=question.arms,
        method=method,
        assumptions=tuple(said),
        clusters=clusters,
    )
