"""Power analysis: rows needed to detect an effect, the effect that given rows can detect, or the power of both.

Of rows, effect and power, two are given and the third is computed. `answer` takes a question; `from_pilot` estimates
the variation from existing scores.
"""

import math
from collections.abc import Callable
from typing import Protocol

from assay.manifests.errors import InvalidInput
from assay.manifests.plan import Plan
from assay.manifests.power_answer import PowerAnswer
from assay.stats.moments.clusters import FEW_CLUSTERS
from assay.stats.power import pilot
from assay.stats.power.mean_power import MeanDesign
from assay.stats.power.omnibus_power import AnovaDesign, ScaledAnova
from assay.stats.power.proportion_power import PairedProportions, TwoProportions, discordant_of, midp_power
from assay.stats.power.question import Question, needed
from assay.stats.samples.samples import Samples

_MOST_EXACT_ROWS = 1_000_000


class _Solver(Protocol):
    def power(self, rows: float, effect: float) -> float: ...
    def rows_for(self, effect: float, *, power: float) -> float: ...
    def effect_for(self, rows: float, *, power: float) -> float: ...


def answer(question: Question) -> PowerAnswer:
    """Computes rows for an effect, the effect for a number of rows, or the power if both are given.

    Raises:
        InvalidInput: A value is missing or out of bounds, or two values contradict each other.
    """
    question = question.checked()
    if question.omnibus is not None:
        return _omnibus(question, question.omnibus)
    return _proportions(question) if question.binary else _means(question)


def from_pilot(
    samples: Samples, plan: Plan, *, effect: float | None = None, rows: float | None = None, power: float = 0.8
) -> PowerAnswer:
    """As `answer`, with variation, discordance and clusters estimated from pilot scores, and the rest from the plan.

    The comparison that needs the most rows decides. Rows without a score in one of its arms are left out of a
    comparison; the assumptions give their number. With neither effect nor rows, the result is the minimum detectable
    effect of the pilot's own rows.

    Args:
        samples: The pilot's scores.
        plan: Design, scale, control, family and alpha.
        effect: The true difference to detect, in units of the score.
        rows: Number of rows to score.
        power: The probability of detecting the effect.

    Raises:
        InvalidInput: No difference between arms varies, or there are too few rows.
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
    result = answer(question)
    return result.model_copy(update={"assumptions": (*result.assumptions, *hardest.notes)})


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
    assumptions = [
        f"standard deviation {'of the differences ' if question.paired else 'within each arm '}{design.sd:g}",
        "mean differences are close enough to normal for a t-test",
    ]
    return _answered(
        question, design, method=f"{test}, noncentral t", assumptions=assumptions, critical_at=design.critical_at
    )


def _proportions(question: Question) -> PowerAnswer:
    critical = question.normal_critical()
    if not question.paired:
        rate = needed("rate_control", question.rate_control, "the control's share of ones")
        if question.effect is not None and not 0 <= rate + question.effect <= 1:
            raise InvalidInput(
                "the variant's share of ones would be outside 0 to 1",
                field="effect",
                value=question.effect,
                bound=f"{-rate:g} to {1 - rate:g}",
            )
        two = TwoProportions(critical, rate, design_effect=question.design_effect)
        assumptions = [f"the control's share of ones is {rate:g}"]
        return _answered(question, two, method="two proportions, normal approximation", assumptions=assumptions)
    discordant, assumptions = question.discordant, []
    if discordant is None and question.rate_control is not None and question.correlation is not None:
        assumptions.append(
            f"the control's share of ones is {question.rate_control:g}; arms have correlation {question.correlation:g}"
        )
        if question.effect is not None:
            discordant = discordant_of(
                question.rate_control, question.rate_control + question.effect, correlation=question.correlation
            )
    elif discordant is None:
        raise InvalidInput(
            "a paired comparison of proportions needs the share of rows on which the arms differ",
            field="discordant",
            remedy="give --discordant, or --rate-control, --rate-variant and --correlation, or a pilot",
        )
    if question.effect is not None and discordant is not None and abs(question.effect) > discordant:
        raise InvalidInput(
            "the effect cannot be larger than the share of rows on which the arms differ",
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
    result = _answered(question, paired, method="McNemar, Connor 1987", assumptions=assumptions)
    share = paired.discordant_at(result.effect)
    notes = [f"arms differ on {share:.4g} of the rows"]
    if result.num_rows <= _MOST_EXACT_ROWS and question.design_effect == 1:
        alpha = math.erfc(critical / math.sqrt(2))  # two-sided level of one comparison
        exact = midp_power(result.num_rows, discordant=share, effect=result.effect, alpha=alpha)
        notes.append(f"exact power of the mid-p test on {result.num_rows} rows: {exact:.4f}")
    return result.model_copy(update={"assumptions": (*result.assumptions, *notes)})


def _omnibus(question: Question, test: str) -> PowerAnswer:
    sd = question.sd_of_comparison
    # With largest difference d and all other arms half-way, the means' variance is d^2 / (2 k). The variance of a
    # difference is 2 (1 - rho) sd^2, so k f^2 / (1 - rho) = (d / sd_difference)^2.
    scale = sd * math.sqrt(question.arms * (1 if question.paired else 2))
    design = AnovaDesign(
        question.arms,
        alpha=question.alpha,
        paired=question.paired,
        epsilon=question.epsilon,
        design_effect=question.design_effect,
    )
    assumptions = [
        "the effect is the largest difference between two arms; all other arms are half-way between them",
        f"standard deviation {'of the differences ' if question.paired else 'within each arm '}{sd:g}",
    ]
    if question.paired:
        assumptions.append(f"sphericity epsilon {question.epsilon:g}")
    return _answered(
        question,
        ScaledAnova(design, scale),
        method=f"{test}, noncentral F",
        assumptions=assumptions,
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
    all_assumptions = [*question.common_assumptions(adjusted=adjusted), *assumptions]
    clusters = None
    if question.cluster_size is not None:
        clusters = math.ceil(whole / question.cluster_size - 1e-9)
        if clusters < FEW_CLUSTERS:
            all_assumptions.append(
                f"{clusters} clusters are few: cluster-robust errors are unreliable below {FEW_CLUSTERS}"
            )
    return PowerAnswer(
        num_rows=whole,
        num_rows_exact=float(rows),
        num_rows_total=whole * question.arms,
        effect=abs(effect),
        power=power,
        alpha=question.alpha,
        critical=critical_at(rows) if critical_at else question.normal_critical(),
        num_arms=question.arms,
        method=method,
        assumptions=tuple(all_assumptions),
        num_clusters=clusters,
    )
