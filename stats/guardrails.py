"""Guardrails: metrics that must not get worse, each arm against the control on the same rows.

The test of a guardrail is its interval: non-inferior where the whole interval is within the margin. All guardrails
must pass, which is an intersection-union test and needs no correction (Berger 1982, Technometrics 24:295). With the
two-sided interval at 1 - alpha, each is tested at alpha / 2 one-sided.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from manifests.plan import Plan
from stats import paired, posthoc
from stats.errors import SamplesError
from stats.missing import completed
from stats.results import GuardrailResult
from stats.samples import Samples, refuse_out_of_range


@dataclass(frozen=True, eq=False)
class Guardrail:
    """A metric that must not get worse by more than its margin.

    Attributes:
        metric: The metric's name.
        direction: Which direction of it is better.
        scale: What its scores are, as in a plan.
        margin: How much worse is still acceptable, in units of the metric.
        samples: Its scores, on the same rows as the primary metric's.
    """

    metric: str
    direction: Literal["higher", "lower"]
    scale: str
    margin: float
    samples: Samples


def held(guardrail: Guardrail, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
    """Every arm of the primary metric on one guardrail.

    Args:
        guardrail: The guardrail.
        plan: The plan: control, alpha, design, rule for missing scores.
        primary: Scores of the primary metric: the rows and arms that must be covered.

    Raises:
        SamplesError: Its rows or arms are not those of the primary metric, or scores are missing and the plan
            refuses that, or scores are out of range.
    """
    _check_same_rows(guardrail, primary)
    control = primary.index(plan.control)
    order = [guardrail.samples.index(arm) for arm in primary.arms]
    samples = Samples(
        arms=primary.arms,
        scores_RA=guardrail.samples.scores_RA[:, order],
        row_ids=guardrail.samples.row_ids,
        clusters_R=primary.clusters_R,
        num_repeats=guardrail.samples.num_repeats,
        corpus=guardrail.samples.corpus,
    )
    others = [index for index in range(len(samples.arms)) if index != control]
    if guardrail.samples.undefined is not None:
        reason = guardrail.samples.undefined
        return tuple(_untestable(guardrail, samples.arms[index], plan.control, reason) for index in others)
    refuse_out_of_range(samples.scores_RA, samples.arms, samples.row_ids)
    complete = completed(
        samples, rule=plan.missing, direction=guardrail.direction, scale=guardrail.scale, control=plan.control
    ).samples
    if complete.num_rows < 2:
        reason = "fewer than two rows have scores"
        return tuple(_untestable(guardrail, samples.arms[index], plan.control, reason) for index in others)
    is_binary = guardrail.scale == "binary" and complete.num_repeats == 1
    if is_binary:
        check_binary(complete, metric=guardrail.metric)
    arms = paired.measured(complete, control=control)
    return tuple(_held(guardrail, arms, (index, control), alpha=plan.alpha, is_binary=is_binary) for index in others)


def check_binary(samples: Samples, *, metric: str) -> None:
    """Raises SamplesError where a score on a binary scale is neither 0 nor 1."""
    other_RA = ~((samples.scores_RA == 0) | (samples.scores_RA == 1) | np.isnan(samples.scores_RA))
    if other_RA.any():
        row, index = np.argwhere(other_RA)[0]
        raise SamplesError(
            f"{int(other_RA.sum())} scores of '{metric}' are neither 0 nor 1",
            place=f"arm '{samples.arms[index]}', row {samples.row_ids[row]}",
            field="scale",
            value=float(samples.scores_RA[row, index]),
            bound="0 or 1 on the scale 'binary'",
            remedy="use the scale 'continuous' for scores in between",
        )


def _held(
    guardrail: Guardrail, arms: paired.Measured, pair: tuple[int, int], *, alpha: float, is_binary: bool
) -> GuardrailResult:
    comparison = paired.alone(arms, pair, alpha=alpha, is_binary=is_binary)
    if is_binary:
        # Rows that agree are evidence only as far as their number goes: no discordant row of 5 proves little.
        comparison = paired.with_score_interval(comparison, arms, pair, alpha=alpha)
    gain = paired.gains(comparison, guardrail.direction)
    if gain is None:
        verdict = "not_testable"
    elif gain[0] > -guardrail.margin or gain == (0.0, 0.0):
        verdict = "non_inferior"
    else:
        verdict = "breach" if gain[1] < -guardrail.margin else "undecided"
    return GuardrailResult(guardrail.metric, guardrail.direction, guardrail.margin, comparison, verdict)


def _untestable(guardrail: Guardrail, arm: str, control: str, reason: str) -> GuardrailResult:
    comparison = posthoc.untestable(arm, control, method="paired_t", reason=reason)
    return GuardrailResult(guardrail.metric, guardrail.direction, guardrail.margin, comparison, "not_testable")


def _check_same_rows(guardrail: Guardrail, primary: Samples) -> None:
    ids, wanted = guardrail.samples.row_ids, primary.row_ids
    if np.array_equal(ids, wanted):
        return
    only: Iterable[object] = np.setxor1d(ids, wanted)[:5].tolist() if ids.dtype == wanted.dtype else ()
    raise SamplesError(
        f"the guardrail '{guardrail.metric}' was not scored on the rows of the primary metric "
        f"({len(ids)} and {len(wanted)} rows)",
        field="guardrails",
        value=", ".join(map(str, only)) or None,
        remedy="score all metrics on the same rows",
    )
