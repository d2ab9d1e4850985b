"""The benchmark's decision about every variant, from an analysis and a policy, with reasons."""

from dataclasses import dataclass

from assay.manifests.analysis import Analysis
from assay.manifests.comparison import Comparison
from assay.manifests.decision import Decision, Verdict
from assay.manifests.guardrail_result import GuardrailResult
from assay.manifests.plan import Plan
from assay.manifests.policy import Policy
from assay.stats.designs import paired
from assay.stats.gate import noise_floor
from assay.stats.gate.evidence import ArmEvidence
from assay.stats.gate.noise_floor import NoiseFloor
from assay.stats.guardrails import wording
from assay.stats.power.observed import rows_to_settle

_NOTHING = ArmEvidence()


@dataclass(frozen=True)
class _Finding:
    """One fact, the verdict that it supports, and the next step if it is open."""

    supports: Verdict
    reason: str
    next_step: str = ""


def decide(
    analysis: Analysis,
    policy: Policy,
    plan: Plan,
    evidence: ArmEvidence = _NOTHING,
) -> tuple[Decision, ...]:
    """The benchmark's decision about every arm except the control; about the control if there is no other arm.

    Promote requires the primary metric's simultaneous interval to be beyond the minimum effect (or, for
    non-inferiority, within the arm's margin) and the interval of every critical guardrail to be within its margin. Harm
    rejects: the primary interval entirely on the bad side of 0, or a critical guardrail's entirely beyond its margin.
    Anything else holds.

    Args:
        analysis: The analysis carried out by the plan.
        policy: The policy.
        plan: The plan, for minimum effect, margins, direction and guardrails.
        evidence: What else is known about the arms.
    """
    aa_arm = evidence.aa_arm
    missing = {**evidence.eliminated, **evidence.failed}
    again = () if aa_arm is None else (_aa_decision(analysis, aa_arm, failed=missing.get(aa_arm)),)
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
        decisions = [
            Decision(arm=each.arm, decision="hold", reasons=(reason,), next_step="measure the control")
            for each in decisions
        ]
    decisions += [
        Decision(
            arm=arm,
            decision="hold",
            reasons=(f"could not be measured: {reason}",),
            next_step="find out why it failed, then run it again",
        )
        for arm, reason in failed.items()
        if arm != analysis.control
    ]
    decisions += [
        Decision(arm=arm, decision="reject", reasons=(reason,), next_step="look at the leading arm")
        for arm, reason in eliminated.items()
    ]
    return (*decisions, *again)


def _aa_decision(analysis: Analysis, aa_arm: str, *, failed: str | None) -> Decision:
    """The hold of the A/A arm, which is not a candidate whatever its scores are."""
    comparison = analysis.against_control(aa_arm)
    if failed is not None:
        result, step = f"it could not be measured: {failed}", "find out why it failed, then run it again"
    elif comparison is None or comparison.estimate is None:
        result, step = f"{analysis.metric} cannot be compared", "provide scores that can be tested"
    else:
        result = f"its difference in {analysis.metric}, {comparison.estimate:+.4g}, is noise"
        step = "compare the differences of the variants with it"
    reason = f"A/A arm, the control '{analysis.control}' scored a second time: {result}"
    return Decision(arm=aa_arm, decision="hold", reasons=(reason,), next_step=step, is_control=True)


def _first(analysis: Analysis, policy: Policy) -> Decision:
    """The decision about a control without other arms: promoted as the first version only if the policy says so."""
    alone = f"nothing to compare: the control '{analysis.control}' is the only arm"
    if not policy.bootstrap:
        step = "add a variant; to promote a first version on purpose, set 'bootstrap: true' in the policy"
        return Decision(arm=analysis.control, decision="hold", reasons=(alone,), next_step=step)
    if analysis.exploratory:
        step = "record this plan and run it"
        return Decision(
            arm=analysis.control,
            decision="hold",
            reasons=(alone, "exploratory: the plan is not the recorded one"),
            next_step=step,
        )
    mean = next(arm.mean for arm in analysis.arms if arm.arm == analysis.control)
    scored = f"{analysis.metric} is unknown" if mean is None else f"{analysis.metric} {mean:.4g}"
    reason = f"{alone}, {scored} on {analysis.num_rows:,} rows; the policy promotes a first version (bootstrap)"
    return Decision(
        arm=analysis.control, decision="promote", reasons=(reason,), next_step="ship it; the next run compares with it"
    )


def _decided(analysis: Analysis, policy: Policy, plan: Plan, arm: str, *, floor: NoiseFloor) -> Decision:
    findings = [_above_noise(_primary(analysis, policy, plan, arm), analysis, policy, arm, floor=floor)]
    findings += [_guardrail(result, analysis) for result in analysis.guardrails if result.comparison.arm == arm]
    reasons = tuple(finding.reason for finding in findings)
    if any(finding.supports == "reject" for finding in findings):
        return Decision(
            arm=arm, decision="reject", reasons=reasons, next_step="do not ship: it is worse than the control"
        )
    if analysis.exploratory:
        reason = "exploratory: the plan is not the one recorded before the scores, so nothing can be promoted"
        return Decision(
            arm=arm,
            decision="hold",
            reasons=(*reasons, reason),
            next_step="record this plan and run it on rows that were not analysed yet",
        )
    missing = _unguarded(analysis, plan, arm)
    open_steps = [finding.next_step for finding in findings if finding.supports == "hold"]
    if missing:
        reasons += tuple(f"guardrail {name} was not measured" for name in missing)
        open_steps.append(f"measure {', '.join(missing)}")
    if open_steps:
        return Decision(
            arm=arm, decision="hold", reasons=reasons, next_step="; ".join(step for step in open_steps if step)
        )
    return Decision(arm=arm, decision="promote", reasons=reasons, next_step="ship it and monitor its guardrails")


def _unguarded(analysis: Analysis, plan: Plan, arm: str) -> list[str]:
    """Critical guardrails of the plan that were not analysed for this arm."""
    measured = {result.name for result in analysis.guardrails if result.comparison.arm == arm}
    return sorted({rule.name for rule in plan.guardrails if rule.severity == "critical"} - measured)


def _primary(analysis: Analysis, policy: Policy, plan: Plan, arm: str) -> _Finding:
    comparison = analysis.against_control(arm)
    if comparison is None:
        return _Finding("hold", f"{analysis.metric}: not compared with the control '{analysis.control}'")
    if comparison.ci_low is None:
        why = comparison.not_testable or "it has no interval"
        step = "provide scores that can be tested, or decide by hand"
        return _Finding("hold", f"{analysis.metric}: not testable, {why}", step)
    if policy.promote_on == "improvement":
        return _improvement(comparison, analysis, plan)
    return _non_inferiority(comparison, analysis, plan)


def _above_noise(primary: _Finding, analysis: Analysis, policy: Policy, arm: str, *, floor: NoiseFloor) -> _Finding:
    """The finding on the primary metric; an improvement that does not exceed the noise floor becomes a hold."""
    comparison = analysis.against_control(arm)
    if primary.supports != "promote" or policy.promote_on != "improvement" or comparison is None:
        return primary
    if abs(comparison.estimate or 0.0) > floor.size:
        return primary
    reason = f"{primary.reason}, but the improvement does not exceed the noise floor: {floor.reason}"
    return _Finding("hold", reason, floor.next_step)


def _improvement(comparison: Comparison, analysis: Analysis, plan: Plan) -> _Finding:
    result = wording.with_interval(analysis.metric, comparison, alpha=plan.alpha)
    low, high = _gain(comparison, plan.direction)
    least = plan.minimum_effect
    required = "better than the control" + (f" by more than {least:.4g}" if least else "")
    if low > least:
        return _Finding("promote", f"{result}: {required}")
    if high < 0:
        return _Finding("reject", f"{result}: worse than the control")
    if comparison.degenerate == "identical":
        return _Finding("hold", f"{result}: the same score as the control on every row", "there is nothing to gain")
    what = f"the improvement is larger than {least:.4g}" if least else "the arm is better than the control"
    step = _more_rows(comparison, bound=least, analysis=analysis, shows=what)
    if high <= least:
        step = f"the improvement is not larger than {least:.4g}; ship it only for other reasons"
    also = "better than the control, but " if low > 0 else ""
    return _Finding("hold", f"{result}: {also}not shown to be {required}", step)


def _non_inferiority(comparison: Comparison, analysis: Analysis, plan: Plan) -> _Finding:
    margin = next((each for each in analysis.margins if each.arm == comparison.arm), None)
    if margin is None:
        result = wording.with_interval(analysis.metric, comparison, alpha=plan.alpha)
        step = f"record a plan with a margin for '{comparison.arm}'"
        return _Finding("hold", f"{result}: the plan has no non-inferiority margin for this arm", step)
    comparison = comparison.model_copy(update={"ci_low": margin.ci_low, "ci_high": margin.ci_high})
    result = wording.with_interval(analysis.metric, comparison, alpha=plan.alpha)
    required = f"within its margin of {margin.margin:.4g}"
    if margin.non_inferior:
        return _Finding("promote", f"{result}: {required}")
    if _gain(comparison, plan.direction)[1] < 0:
        return _Finding("reject", f"{result}: worse than the control")
    worse = f"worse by more than {margin.margin:.4g}"
    step = _more_rows(comparison, bound=-margin.margin, analysis=analysis, shows=f"the arm is {worse}")
    return _Finding("hold", f"{result}: it may be {worse}", step)


def _guardrail(result: GuardrailResult, analysis: Analysis) -> _Finding:
    """The finding on a guardrail; an advisory one is reported and never blocks promotion."""
    reason = wording.summary(result, alpha=analysis.alpha)
    if result.severity == "advisory" or result.verdict == "non_inferior":
        return _Finding("promote", reason)
    # An improvement that is too good is not harm, but somebody has to check it.
    is_harm = result.verdict == "breach" and result.kind != "suspicious_improvement"
    return _Finding("reject" if is_harm else "hold", reason, _guardrail_step(result, analysis))


def _guardrail_step(result: GuardrailResult, analysis: Analysis) -> str:
    """The next step for a guardrail that is open."""
    if result.kind == "suspicious_improvement":
        return "look for a leak: labels in the features, or rows of this dataset in the training data"
    if result.verdict == "not_testable":
        return wording.remedy(result)
    if result.kind == "latency":
        return f"time more batches for guardrail {result.name}: raise num_batches, or run nothing else on the machine"
    num_rows = next((part.num_rows for part in result.parts if part.name == result.where), analysis.num_rows)
    where = f" in segment '{result.where}'" if result.kind == "segments" else ""
    return _more_rows_for(
        result.comparison,
        bound=result.bound,
        num_rows=num_rows,
        where=where,
        shows=f"guardrail '{result.name}' is kept",
    )


def _gain(comparison: Comparison, direction: str) -> tuple[float, float]:
    gain = paired.gains(comparison, direction)
    assert gain is not None
    return gain


def _more_rows(comparison: Comparison, *, bound: float, analysis: Analysis, shows: str) -> str:
    sign = 1 if analysis.direction == "higher" else -1
    return _more_rows_for(comparison, bound=sign * bound, num_rows=analysis.num_rows, shows=shows)


def _more_rows_for(comparison: Comparison, *, bound: float, num_rows: int, shows: str, where: str = "") -> str:
    more = rows_to_settle(comparison, bound=bound, num_rows=num_rows)
    if more is None:
        return f"more rows{where} are unlikely to show whether {shows}: the estimate is at the bound"
    rows = f"about {_three_digits(more):,} more rows{where}"
    return f"if the estimate stays the same, {rows} would show whether {shows}"


def _three_digits(count: int) -> int:
    """The count rounded up to three significant digits, because it is a forecast."""
    step = 10 ** max(len(str(count)) - 3, 0)
    return -(-count // step) * step
