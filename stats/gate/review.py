"""The gate's review: four checks of every arm, the benchmark among them, lead to one decision and one winner.

    check            passes if                                                      must be known
    dataset          frozen, so no rule of severity error is broken; not withdrawn  always
                     no leak found, no drift found                                  if the policy requires it
    benchmark        primary metric and guardrails pass (`decide`)                  always
    cost             within the policy's limits                                     if the policy has a limit
                     the budget was kept                                            if the policy requires it
    reproducibility  arm and control were scored again, and no scores differed      if the policy requires it

The next stage and its criteria, where the policy names them, are shown with the checks as `deployment`.

A check that fails always counts, whatever the policy requires: nobody may promote past known harm. Only a check whose
answer is unknown depends on the policy. A benchmark that fails rejects, because harm is shown. An arm that exceeds a
cost limit is held or rejected, as the policy says. Any other check that fails, or is required and unknown, holds: a
verification that differs means that the scores cannot be trusted, not that the arm is bad.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from assay.manifests.analysis import Analysis
from assay.manifests.decision import Answer, Decision, GateQuestion, Verdict
from assay.manifests.plan import Plan
from assay.manifests.policy import POINT, Policy
from assay.stats.gate import decide, winner
from assay.stats.gate.evidence import ArmCost, Evidence

_OF_BENCHMARK: Mapping[Verdict, Answer] = MappingProxyType({"promote": "pass", "hold": "unknown", "reject": "fail"})


@dataclass(frozen=True)
class _Part:
    """A part of a check. `is_required`: it must pass; otherwise it may be unknown. `if_fails`: the decision if it fails."""

    answer: Answer
    summary: str
    is_required: bool
    next_step: str = ""
    if_fails: Verdict = "hold"

    @property
    def counts(self) -> bool:
        return self.is_required or self.answer == "fail"


def review(analysis: Analysis, policy: Policy, plan: Plan, evidence: Evidence) -> tuple[Decision, ...]:
    """A decision about every arm except the control, with its checks; one promoted arm is the winner.

    Args:
        analysis: The analysis carried out by the plan.
        policy: The policy.
        plan: The plan.
        evidence: What else is known about the run.
    """
    equal: dict[str, Decision] = {}
    if policy.promote_equal_at_cost_ratio is not None:
        lenient = policy.model_copy(update={"promote_on": "non_inferiority"})
        equal = {
            each.arm: each
            for each in decide.decide(analysis, lenient, plan, evidence.arms)
            if each.decision == "promote"
        }
    decisions = []
    for benchmark in decide.decide(analysis, policy, plan, evidence.arms):
        if benchmark.is_control:
            shown = GateQuestion(
                question="benchmark",
                answer="unknown",
                counts=False,
                evidence="; ".join(benchmark.reasons),
                next_step=benchmark.next_step,
            )
            decisions.append(benchmark.model_copy(update={"questions": (shown,)}))
            continue
        cheap = equal.get(benchmark.arm) if benchmark.decision != "promote" else None
        rewarded = benchmark if cheap is None else _rewarded(benchmark, cheap, analysis, policy, evidence)
        decisions.append(_decided(rewarded, analysis, policy, evidence, is_equal=cheap is not None))
    return _with_winner(decisions, analysis, policy, evidence)


def _rewarded(benchmark: Decision, equal: Decision, analysis: Analysis, policy: Policy, evidence: Evidence) -> Decision:
    """The benchmark's decision about an arm that is within its margin, depending on its cost."""
    bound = policy.promote_equal_at_cost_ratio
    assert bound is not None
    cost_ratio = evidence.cost_ratio(benchmark.arm, analysis.control)
    if cost_ratio is None:
        reason = (
            f"the policy promotes an equal arm at up to {bound:g} times the control's cost, but the cost is not known"
        )
        return equal.model_copy(
            update={"decision": "hold", "reasons": (*equal.reasons, reason), "next_step": _MEASURE_COST}
        )
    ratio, summary = cost_ratio
    if ratio > bound:
        reason = f"{summary}: more than the {bound:g} up to which the policy promotes an equal arm"
        return benchmark.model_copy(update={"reasons": (*benchmark.reasons, reason)})
    reason = f"{summary}: the policy promotes an equal arm at up to {bound:g}"
    return equal.model_copy(update={"reasons": (*equal.reasons, reason)})


def _decided(
    benchmark: Decision, analysis: Analysis, policy: Policy, evidence: Evidence, *, is_equal: bool
) -> Decision:
    shown = "; ".join(benchmark.reasons)
    step = "" if benchmark.decision == "promote" else benchmark.next_step
    parts: dict[str, tuple[_Part, ...]] = {
        "dataset": _dataset(policy, evidence),
        "benchmark": (
            _Part(_OF_BENCHMARK[benchmark.decision], shown, True, step, "reject"),
            *_like_with_like(benchmark.arm, evidence),
            *_unaltered(benchmark.arm, analysis.control, evidence),
        ),
        "cost": _cost(benchmark, analysis, policy, evidence, is_equal=is_equal),
        "reproducibility": (_reproducibility(benchmark.arm, analysis.control, policy, evidence),),
    }
    open_parts = [part for group in parts.values() for part in group if part.counts and part.answer != "pass"]
    verdict: Verdict = "hold" if open_parts else "promote"
    is_altered = bool(_unaltered(benchmark.arm, analysis.control, evidence))  # then no harm is shown
    if not is_altered and any(part.answer == "fail" and part.if_fails == "reject" for part in open_parts):
        verdict = "reject"
    reasons = (*benchmark.reasons, *(part.summary for part in open_parts if part.summary != shown))
    deciding = [
        part for part in open_parts if verdict != "reject" or (part.answer, part.if_fails) == ("fail", "reject")
    ]
    steps = [part.next_step for part in deciding if part.next_step]
    if verdict == "promote" and not evidence.policy_is_recorded:
        verdict = "hold"
        reasons += ("the policy is not the one recorded before the scores, so it cannot promote",)
        steps = ["record this policy in the suite, then run it"]
    if verdict == "promote":
        stage = policy.next_stage
        steps = [f"{stage.name}: {'; '.join(stage.criteria)}" if stage else benchmark.next_step]
    questions = (*(_question(name, group) for name, group in parts.items()), _deployment(policy))
    return Decision(
        arm=benchmark.arm,
        decision=verdict,
        reasons=reasons,
        next_step="; ".join(dict.fromkeys(steps)),
        questions=questions,
    )


def _like_with_like(arm: str, evidence: Evidence) -> tuple[_Part, ...]:
    if arm not in evidence.confounded:
        return ()
    step = "score it and the control on the same kind of machine, with the same packages and flags"
    return (
        _Part(
            "unknown", f"not scored under the same conditions as the control: {evidence.confounded[arm]}", True, step
        ),
    )


def _unaltered(arm: str, control: str, evidence: Evidence) -> tuple[_Part, ...]:
    """What fails if other arms had changed the process before the arm or the control was scored, or before the analysis."""
    step = "run it again without --in-process, so that each arm has a process of its own"
    found = [
        f"the scores of '{each}' may be wrong: {evidence.altered[each]}"
        for each in (control, arm)
        if each in evidence.altered
    ]
    if evidence.altered_analysis:
        found.append(f"the analysis may be wrong: {evidence.altered_analysis}")
    return tuple(_Part("fail", each, True, step) for each in dict.fromkeys(found))


def _question(name: str, parts: Sequence[_Part]) -> GateQuestion:
    """A check from its parts: the worst answer of the parts that count or, if none does, of all."""
    counted = [part for part in parts if part.counts]
    worst: Answer = "pass"
    for answer in ("unknown", "fail"):
        if any(part.answer == answer for part in counted or parts):
            worst = answer
    return GateQuestion(
        question=name,  # pyright: ignore[reportArgumentType]
        answer=worst,
        counts=bool(counted),
        evidence="; ".join(part.summary for part in parts),
        next_step="; ".join(part.next_step for part in parts if part.answer != "pass" and part.next_step),
    )


def _dataset(policy: Policy, evidence: Evidence) -> tuple[_Part, ...]:
    where = shlex.quote(evidence.dataset_location)
    warned = f", and {evidence.num_warnings} of severity warn" if evidence.num_warnings else ""
    frozen = f"when the dataset was frozen, its rows broke no rule of severity error{warned}"
    parts = [_Part("pass", f"{evidence.dataset}; {frozen}", True)]
    if evidence.withdrawn:
        step = "run the experiment on a version that was not withdrawn"
        parts.append(_Part("fail", f"the dataset was {evidence.withdrawn}", True, step))
    for name, outcome, command in (
        ("leakage", evidence.leakage, f"assay dataset leakage {where} --training FILE"),
        ("drift", evidence.drift, f"assay dataset diff EARLIER {where}"),
    ):
        passed = outcome.passed
        summary = {None: f"not checked for {name}", True: f"no {name} found", False: f"{name} found"}[passed]
        cure = f"freeze a version without {name} (the contract's field '{name}' sets the limits)"
        step = {None: f"run {command}", True: "", False: cure}[passed]
        parts.append(
            _Part(
                _answer(passed),
                outcome.summary if passed is not None and outcome.summary else summary,
                name in policy.require,
                step,
            )
        )
    return tuple(parts)


_MEASURE_COST = (
    "measure its cost: add prices to the experiment and run it with --no-reuse, so that every unit is scored"
)


def _cost(
    benchmark: Decision, analysis: Analysis, policy: Policy, evidence: Evidence, *, is_equal: bool
) -> tuple[_Part, ...]:
    budget_step = {
        None: "add a budget to the experiment and measure its cost",
        True: "",
        False: "run it with a larger budget",
    }[evidence.budget.passed]
    parts = [_Part(_answer(evidence.budget.passed), evidence.budget.summary, "budget" in policy.require, budget_step)]
    if benchmark.arm == analysis.control:  # the only arm: its cost cannot be compared with anything
        return tuple(parts)
    bound = policy.max_cost_ratio
    cost_ratio = evidence.cost_ratio(benchmark.arm, analysis.control)
    if cost_ratio is None:
        summary = "its cost relative to the control's is not known"
        parts.append(_Part("unknown", summary, bound is not None, _MEASURE_COST))
    elif bound is None:
        parts.append(_Part("pass", cost_ratio[1], False))
    elif cost_ratio[0] > bound:
        step = f"make it cheaper, or raise max_cost_ratio from {bound:g}"
        parts.append(_Part("fail", f"{cost_ratio[1]}: more than {bound:g}", True, step, policy.over_cost))
    else:
        parts.append(_Part("pass", f"{cost_ratio[1]}: at most {bound:g}", True))
    if policy.max_price_per_point is not None and not is_equal:
        parts.append(_price_per_point(benchmark, analysis, policy, evidence, bound=policy.max_price_per_point))
    return tuple(parts)


def _price_per_point(
    benchmark: Decision, analysis: Analysis, policy: Policy, evidence: Evidence, *, bound: float
) -> _Part:
    if benchmark.decision != "promote":  # it is not promoted in any case
        return _Part("unknown", "no improvement is shown, so there is no price per point", False)
    price = evidence.costs.get(benchmark.arm, ArmCost()).price
    if price is None:
        return _Part("unknown", "its price is not known", True, _MEASURE_COST)
    per_point = price / (winner.gain(analysis, benchmark.arm) / POINT)
    summary = f"price {per_point:.4g} per point ({POINT:g} of {analysis.metric}) of improvement"
    if per_point > bound:
        step = f"make it cheaper, or raise max_price_per_point from {bound:g}"
        return _Part("fail", f"{summary}: more than {bound:g}", True, step, policy.over_cost)
    return _Part("pass", f"{summary}: at most {bound:g}", True)


def _reproducibility(arm: str, control: str, policy: Policy, evidence: Evidence) -> _Part:
    """An arm is verified together with the control, whose scores it is compared with; a difference of any arm fails."""
    is_required = "verification" in policy.require
    if evidence.differing:
        differing = ", ".join(evidence.differing)
        summary = f"scored again: the scores of {differing} differ, so the run is not reproducible"
        return _Part(
            "fail", summary, is_required, "find out why (assay verify names what has changed), then run it again"
        )
    pair = (control, arm)
    missing = [name for name in pair if name not in evidence.verified]
    if missing:
        summary = f"`assay verify` has not been run on {' and '.join(missing)}"
        return _Part("unknown", summary, is_required, f"run assay verify {evidence.run}")
    num_rows = min(evidence.verified[name] for name in pair)
    rows = f"{num_rows:,} of {evidence.num_rows:,} rows of the arm and of the control"
    return _Part("pass", f"scored again, {rows}: the scores match", is_required)


def _deployment(policy: Policy) -> GateQuestion:
    stage = policy.next_stage
    if stage is None:
        summary, step = "the policy names no next stage (optional)", "add next_stage with its criteria to the policy"
    else:
        summary, step = f"after promotion: {stage.name}; criteria: {'; '.join(stage.criteria)}", ""
    return GateQuestion(question="deployment", answer="info", counts=False, evidence=summary, next_step=step)


def _answer(passed: bool | None) -> Answer:
    return "unknown" if passed is None else "pass" if passed else "fail"


def _with_winner(
    decisions: Sequence[Decision], analysis: Analysis, policy: Policy, evidence: Evidence
) -> tuple[Decision, ...]:
    promoted = [each.arm for each in decisions if each.decision == "promote"]
    if not promoted:
        return tuple(decisions)
    first, won_by = winner.winner(promoted, analysis, policy, evidence)
    return tuple(each.model_copy(update={"won_by": won_by}) if each.arm == first else each for each in decisions)
