"""The gate: an analysis and a policy into a decision for every variant, with reasons in words and numbers."""

from dataclasses import dataclass, replace
from typing import Literal

from assay.manifests.plan import Plan
from assay.manifests.policy import Policy
from assay.stats.designs import paired
from assay.stats.gate import noise_floor
from assay.stats.gate.evidence import ArmEvidence
from assay.stats.gate.noise_floor import NoiseFloor
from assay.stats.guardrails import wording
from assay.stats.power.observed import rows_to_settle
from assay.stats.results.analysis_record import Analysis
from assay.stats.results.comparison import Comparison
from assay.stats.results.guardrail_result import GuardrailResult

Verdict = Literal["promote", "hold", "reject"]
Answer = Literal["pass", "fail", "unknown"]

_NOTHING = ArmEvidence()


@dataclass(frozen=True)
class GateQuestion:
    """One question of a promotion review.

    Attributes:
        question: Which one.
        answer: `unknown` where nobody has measured it, or not enough.
        counts: Whether the policy lets it decide.
        evidence: What the answer rests on, in words and numbers.
        next_step: What would answer it, if it is open.
    """

    question: Literal["dataset", "benchmark", "cost", "reproducibility", "deployment"]
    answer: Answer
    counts: bool
    evidence: str
    next_step: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do with one variant.

    Attributes:
        arm: The variant.
        decision: `promote`: everything the policy wants is shown. `reject`: harm is shown. `hold`: neither.
        reasons: Why, one fact each.
        next_step: What would change the decision, or what to do with it.
        questions: The five questions of the review, in order; none where only the benchmark was asked about.
        won_by: What makes it the winner among the promoted arms; empty if it is not.
        is_control: Whether the arm is the control once more, which is no candidate: its hold is not the run's.
    """

    arm: str
    decision: Verdict
    reasons: tuple[str, ...]
    next_step: str
    questions: tuple[GateQuestion, ...] = ()
    won_by: str = ""
    is_control: bool = False


@dataclass(frozen=True)
class _Finding:
    """One fact: what it speaks for, in words, and what would settle it if it is open."""

    speaks_for: Verdict
    reason: str
    next_step: str = ""


def decide(
    analysis: Analysis,
    policy: Policy,
    plan: Plan,
    evidence: ArmEvidence = _NOTHING,
) -> tuple[Decision, ...]:
    """What the benchmark says of every arm but the control; of the control where nothing is to be compared with it.

    Promote needs the primary metric's simultaneous interval beyond the minimum effect (or, for non-inferiority,
    within the arm's margin) and every guardrail's interval within its margin. Harm on any of them rejects: the
    primary interval wholly on the bad side of 0, or a guardrail's wholly beyond its margin. All else holds.

    Args:
        analysis: The analysis that the plan led to.
        policy: What promotes.
        plan: The plan: minimum effect, margins, direction.
        evidence: What is known of the arms beside their scores.
    """
    aa_arm = evidence.aa_arm
    missing = {**evidence.eliminated, **evidence.failed}
    again = () if aa_arm is None else (_once_more(analysis, aa_arm, failed=missing.get(aa_arm)),)
    failed, eliminated = (
        {arm: why for arm, why in out.items() if arm != aa_arm} for out in (evidence.failed, evidence.eliminated)
    )
    out = {analysis.control, *failed, *eliminated, aa_arm}
    variants = [arm.arm for arm in analysis.arms if arm.arm not in out]
    if not (variants or failed or eliminated):
        return (_first(analysis, policy), *again)
    floors = {arm: noise_floor.of(analysis, arm, evidence) for arm in variants}
    decisions = [_decided(analysis, policy, plan, arm, floor=floors[arm]) for arm in variants]
    if analysis.control in failed:
        reason = f"the control '{analysis.control}' could not be measured: {failed[analysis.control]}"
        decisions = [Decision(each.arm, "hold", (reason,), "measure the control") for each in decisions]
    decisions += [
        Decision(arm, "hold", (f"could not be measured: {reason}",), "find out why it failed, then run it again")
        for arm, reason in failed.items()
        if arm != analysis.control
    ]
    decisions += [
        Decision(arm, "reject", (reason,), "look at the arm that leads") for arm, reason in eliminated.items()
    ]
    return (*decisions, *again)


def _once_more(analysis: Analysis, aa_arm: str, *, failed: str | None) -> Decision:
    """The control once more is no candidate, however it came out."""
    comparison = analysis.against_control(aa_arm)
    if failed is not None:
        found, step = f"and could not be measured: {failed}", "find out why it failed, then run it again"
    elif comparison is None or comparison.estimate is None:
        found, step = f"and {analysis.metric} cannot be compared", "find scores that can be tested"
    else:
        found, step = f"so {analysis.metric} {comparison.estimate:+.4g} is noise", "compare the variants with that"
    reason = f"it is the control '{analysis.control}' once more, {found}"
    return Decision(aa_arm, "hold", (reason,), step, is_control=True)


def _first(analysis: Analysis, policy: Policy) -> Decision:
    """The control alone: promoted as the first of its kind only if the policy means it."""
    alone = f"nothing is compared: the control '{analysis.control}' is the only arm"
    if not policy.bootstrap:
        step = "add a variant; if this is the first of its kind on purpose, let the policy say 'bootstrap: true'"
        return Decision(analysis.control, "hold", (alone,), step)
    if analysis.exploratory:
        step = "record this plan and run it"
        return Decision(analysis.control, "hold", (alone, "exploratory: the plan is not the recorded one"), step)
    mean = next(arm.mean for arm in analysis.arms if arm.arm == analysis.control)
    scored = f"{analysis.metric} could not be told" if mean is None else f"{analysis.metric} {mean:.4g}"
    reason = f"{alone}, {scored} on {analysis.num_rows:,} rows; the policy promotes it as the first: bootstrap"
    return Decision(analysis.control, "promote", (reason,), "ship it; the next run compares with it")


def _decided(analysis: Analysis, policy: Policy, plan: Plan, arm: str, *, floor: NoiseFloor) -> Decision:
    findings = [_above_noise(_primary(analysis, policy, plan, arm), analysis, policy, arm, floor=floor)]
    findings += [_guardrail(found, analysis) for found in analysis.guardrails if found.comparison.arm == arm]
    reasons = tuple(finding.reason for finding in findings)
    if any(finding.speaks_for == "reject" for finding in findings):
        return Decision(arm, "reject", reasons, "do not ship; harm is shown")
    if analysis.exploratory:
        reason = "exploratory: the plan is not the one recorded before the scores, so nothing can be promoted"
        return Decision(arm, "hold", (*reasons, reason), "record this plan and run it on rows not yet looked at")
    missing = _unguarded(analysis, plan, arm)
    open_steps = [finding.next_step for finding in findings if finding.speaks_for == "hold"]
    if missing:
        reasons += tuple(f"guardrail {name} was not measured" for name in missing)
        open_steps.append(f"measure {', '.join(missing)}")
    if open_steps:
        return Decision(arm, "hold", reasons, "; ".join(step for step in open_steps if step))
    return Decision(arm, "promote", reasons, "ship it, watched by its guardrails")


def _unguarded(analysis: Analysis, plan: Plan, arm: str) -> list[str]:
    """Critical guardrails of the plan that were not analysed for this arm."""
    held = {found.name for found in analysis.guardrails if found.comparison.arm == arm}
    return sorted({rule.name for rule in plan.guardrails if rule.severity == "critical"} - held)


def _primary(analysis: Analysis, policy: Policy, plan: Plan, arm: str) -> _Finding:
    comparison = analysis.against_control(arm)
    if comparison is None:
        return _Finding("hold", f"{analysis.metric}: not compared with the control '{analysis.control}'")
    if comparison.ci_low is None:
        why = comparison.not_testable or "it has no interval"
        step = "find scores that can be tested, or decide by hand"
        return _Finding("hold", f"{analysis.metric}: not testable, {why}", step)
    if policy.promote_on == "improvement":
        return _improvement(comparison, analysis, plan)
    return _non_inferiority(comparison, analysis, plan)


def _above_noise(primary: _Finding, analysis: Analysis, policy: Policy, arm: str, *, floor: NoiseFloor) -> _Finding:
    """An improvement that noise could have made is none."""
    comparison = analysis.against_control(arm)
    if primary.speaks_for != "promote" or policy.promote_on != "improvement" or comparison is None:
        return primary
    if abs(comparison.estimate or 0.0) > floor.size:
        return primary
    reason = f"{primary.reason}, but not by more than the noise floor: {floor.reason}"
    return _Finding("hold", reason, floor.next_step)


def _improvement(comparison: Comparison, analysis: Analysis, plan: Plan) -> _Finding:
    words = wording.with_interval(analysis.metric, comparison, alpha=plan.alpha)
    low, high = _gain(comparison, plan.direction)
    least = plan.minimum_effect
    wanted = "better than the control" + (f" by more than {least:.4g}" if least else "")
    if low > least:
        return _Finding("promote", f"{words}: {wanted}")
    if high < 0:
        return _Finding("reject", f"{words}: worse than the control")
    if comparison.degenerate == "identical":
        return _Finding("hold", f"{words}: the same score as the control on every row", "there is nothing to gain")
    step = _more_rows(comparison, bound=least, analysis=analysis)
    if high <= least:
        step = f"the improvement is not larger than {least:.4g}; ship it only for other reasons"
    also = "better than the control, but " if low > 0 else ""
    return _Finding("hold", f"{words}: {also}not shown to be {wanted}", step)


def _non_inferiority(comparison: Comparison, analysis: Analysis, plan: Plan) -> _Finding:
    margin = next((found for found in analysis.margins if found.arm == comparison.arm), None)
    if margin is None:
        words = wording.with_interval(analysis.metric, comparison, alpha=plan.alpha)
        step = f"record a plan with a margin for '{comparison.arm}'"
        return _Finding("hold", f"{words}: the plan has no non-inferiority margin for this arm", step)
    comparison = replace(comparison, ci_low=margin.ci_low, ci_high=margin.ci_high)
    words = wording.with_interval(analysis.metric, comparison, alpha=plan.alpha)
    wanted = f"within its margin of {margin.margin:.4g}"
    if margin.non_inferior:
        return _Finding("promote", f"{words}: {wanted}")
    if _gain(comparison, plan.direction)[1] < 0:
        return _Finding("reject", f"{words}: worse than the control")
    step = _more_rows(comparison, bound=-margin.margin, analysis=analysis)
    return _Finding("hold", f"{words}: not shown to be {wanted}", step)


def _guardrail(result: GuardrailResult, analysis: Analysis) -> _Finding:
    """What a guardrail speaks for; an advisory one is told, and speaks against nothing."""
    reason = wording.summary(result, alpha=analysis.alpha)
    if result.severity == "advisory" or result.verdict == "non_inferior":
        return _Finding("promote", reason)
    # An improvement that is too good is no harm: somebody has to look.
    is_harm = result.verdict == "breach" and result.kind != "suspicious_improvement"
    return _Finding("reject" if is_harm else "hold", reason, _guardrail_step(result, analysis))


def _guardrail_step(result: GuardrailResult, analysis: Analysis) -> str:
    """What would settle a guardrail that is open."""
    if result.kind == "suspicious_improvement":
        return "look for a leak: labels in the features, or rows of this dataset in training"
    if result.verdict == "not_testable":
        return wording.remedy(result)
    if result.kind == "latency":
        return f"time more batches for guardrail {result.name}: raise num_batches, or let nothing else run beside it"
    num_rows = next((part.num_rows for part in result.parts if part.name == result.where), analysis.num_rows)
    where = f" in '{result.where}'" if result.kind == "segments" else ""
    return _more_rows_for(
        result.comparison, bound=result.bound, num_rows=num_rows, what=f"guardrail {result.name}{where}"
    )


def _gain(comparison: Comparison, direction: str) -> tuple[float, float]:
    gain = paired.gains(comparison, direction)
    assert gain is not None
    return gain


def _more_rows(comparison: Comparison, *, bound: float, analysis: Analysis) -> str:
    sign = 1 if analysis.direction == "higher" else -1
    return _more_rows_for(comparison, bound=sign * bound, num_rows=analysis.num_rows, what="")


def _more_rows_for(comparison: Comparison, *, bound: float, num_rows: int, what: str) -> str:
    more = rows_to_settle(comparison, bound=bound, num_rows=num_rows)
    ending = f" for {what}" if what else ""
    if more is None:
        return f"more rows are unlikely to settle it{ending}: the estimate lies at the bound"
    return f"about {_three_digits(more):,} more rows would settle it{ending}, if the estimate is right"


def _three_digits(count: int) -> int:
    """A prospect is no measurement: three digits at most, rounded up."""
    step = 10 ** max(len(str(count)) - 3, 0)
    return -(-count // step) * step
