"""The review: five questions about every arm, the benchmark's among them, into one decision and one winner.

    question         passes when                                                counts
    dataset          frozen under a digest, its contract held, not withdrawn;   always; leak and drift if required
                     no leak, no drift
    benchmark        the gate promotes: primary metric, guardrails, segments    always
    cost             within the policy's bounds; the budget was kept            where there is a bound; if required
    reproducibility  a verification scored the run again and it matched         if required
    deployment       the policy names the next stage and its criteria           never: it informs

Every question that counts must pass, or nothing is promoted. A benchmark that fails rejects: harm is shown. An arm over
a bound of cost is held or rejected as the policy says. All else that fails or is unknown holds: a verification that
differs says that the numbers cannot be trusted, not that the arm is bad.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from assay.manifests.plan import Plan
from assay.manifests.policy import POINT, Policy
from assay.stats.gate import decide, winner
from assay.stats.gate.decide import Answer, Decision, GateQuestion, Verdict
from assay.stats.gate.evidence import ArmCost, Evidence
from assay.stats.results.analysis_record import Analysis

_OF_BENCHMARK: Mapping[Verdict, Answer] = MappingProxyType({"promote": "pass", "hold": "unknown", "reject": "fail"})


@dataclass(frozen=True)
class _Part:
    """A part of a question. `if_fails` is what becomes of the arm if it counts and fails."""

    answer: Answer
    words: str
    counts: bool
    next_step: str = ""
    if_fails: Verdict = "hold"


def review(analysis: Analysis, policy: Policy, plan: Plan, evidence: Evidence) -> tuple[Decision, ...]:
    """A decision for every arm but the control, with its questions; one promoted arm is the winner.

    Args:
        analysis: The analysis that the plan led to.
        policy: What promotes.
        plan: The plan.
        evidence: What else is known of the run.
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
            shown = GateQuestion("benchmark", "unknown", False, "; ".join(benchmark.reasons), benchmark.next_step)
            decisions.append(replace(benchmark, questions=(shown,)))
            continue
        cheap = equal.get(benchmark.arm) if benchmark.decision != "promote" else None
        rewarded = benchmark if cheap is None else _rewarded(benchmark, cheap, analysis, policy, evidence)
        decisions.append(_decided(rewarded, analysis, policy, evidence, is_equal=cheap is not None))
    return _with_winner(decisions, analysis, policy, evidence)


def _rewarded(benchmark: Decision, equal: Decision, analysis: Analysis, policy: Policy, evidence: Evidence) -> Decision:
    """What the benchmark says of an arm within its margin, by what it costs."""
    bound = policy.promote_equal_at_cost_ratio
    assert bound is not None
    found = evidence.cost_ratio(benchmark.arm, analysis.control)
    if found is None:
        reason = f"it would be promoted at {bound:g} times the control's cost, but the cost is not known"
        return replace(equal, decision="hold", reasons=(*equal.reasons, reason), next_step=_LEARN_COST)
    ratio, words = found
    if ratio > bound:
        reason = f"{words}: more than the {bound:g} at which the policy promotes an equal arm"
        return replace(benchmark, reasons=(*benchmark.reasons, reason))
    reason = f"{words}: the policy promotes an equal arm at up to {bound:g}"
    return replace(equal, reasons=(*equal.reasons, reason))


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
        ),
        "cost": _cost(benchmark, analysis, policy, evidence, is_equal=is_equal),
        "reproducibility": (_reproducibility(policy, evidence),),
        "deployment": (_deployment(policy),),
    }
    counted = [(name, part) for name, found in parts.items() for part in found if part.counts and part.answer != "pass"]
    verdict: Verdict = "hold" if counted else "promote"
    if any(part.answer == "fail" and part.if_fails == "reject" for _, part in counted):
        verdict = "reject"
    reasons = (*benchmark.reasons, *(part.words for _, part in counted if part.words != shown))
    steps = [part.next_step for _, part in counted if part.next_step]
    if verdict == "promote" and not evidence.policy_is_recorded:
        verdict = "hold"
        reasons += ("the policy is not the one recorded before the scores, so it can promote nothing",)
        steps = ["record this policy in the suite, then run it"]
    if verdict == "promote":
        stage = policy.next_stage
        steps = [f"{stage.name}: {'; '.join(stage.criteria)}" if stage else benchmark.next_step]
    questions = tuple(_question(name, found) for name, found in parts.items())
    return Decision(benchmark.arm, verdict, reasons, "; ".join(dict.fromkeys(steps)), questions)


def _like_with_like(arm: str, evidence: Evidence) -> tuple[_Part, ...]:
    if arm not in evidence.confounded:
        return ()
    step = "score it and the control on machines of one kind, with one set of packages and flags"
    return (_Part("unknown", f"not compared like with like: {evidence.confounded[arm]}", True, step),)


def _question(name: str, parts: Sequence[_Part]) -> GateQuestion:
    """The worst of the parts that count; where none does, of all."""
    counted = [part for part in parts if part.counts]
    worst: Answer = "pass"
    for answer in ("unknown", "fail"):
        if any(part.answer == answer for part in counted or parts):
            worst = answer
    return GateQuestion(
        question=name,  # pyright: ignore[reportArgumentType]
        answer=worst,
        counts=bool(counted),
        evidence="; ".join(part.words for part in parts),
        next_step="; ".join(part.next_step for part in parts if part.answer != "pass" and part.next_step),
    )


def _dataset(policy: Policy, evidence: Evidence) -> tuple[_Part, ...]:
    where = shlex.quote(evidence.dataset_location)
    parts = [_Part("pass", f"{evidence.dataset}; its contract held when it was frozen", True)]
    if evidence.withdrawn:
        step = "run the experiment on a version that was not withdrawn"
        parts.append(_Part("fail", f"the dataset was {evidence.withdrawn}", True, step))
    for name, outcome, command in (
        ("leakage", evidence.leakage, f"assay dataset leakage {where} --training FILE"),
        ("drift", evidence.drift, f"assay dataset diff EARLIER {where}"),
    ):
        found = outcome.passed
        words = {None: f"nobody has looked for {name}", True: f"no {name} found", False: f"{name} found"}[found]
        step = {None: f"{command} looks for {name}", True: "", False: f"freeze a dataset without {name}"}[found]
        parts.append(
            _Part(
                _answer(found),
                outcome.summary if found is not None and outcome.summary else words,
                name in policy.require,
                step,
            )
        )
    return tuple(parts)


_LEARN_COST = "have its cost measured: run it where every unit is evaluated (--no-reuse), with prices in the experiment"


def _cost(
    benchmark: Decision, analysis: Analysis, policy: Policy, evidence: Evidence, *, is_equal: bool
) -> tuple[_Part, ...]:
    budget_step = {
        None: "give the experiment a budget, and have its cost measured",
        True: "",
        False: "run it with a larger budget",
    }[evidence.budget.passed]
    parts = [_Part(_answer(evidence.budget.passed), evidence.budget.summary, "budget" in policy.require, budget_step)]
    if benchmark.arm == analysis.control:  # alone: there is nothing that its cost could be compared with
        return tuple(parts)
    bound = policy.max_cost_ratio
    found = evidence.cost_ratio(benchmark.arm, analysis.control)
    if found is None:
        parts.append(_Part("unknown", "its cost beside the control's is not known", bound is not None, _LEARN_COST))
    elif bound is None:
        parts.append(_Part("pass", found[1], False))
    elif found[0] > bound:
        step = f"make it cheaper, or raise max_cost_ratio from {bound:g}"
        parts.append(_Part("fail", f"{found[1]}: more than {bound:g}", True, step, policy.over_cost))
    else:
        parts.append(_Part("pass", f"{found[1]}: at most {bound:g}", True))
    if policy.max_price_per_point is not None and not is_equal:
        parts.append(_price_per_point(benchmark, analysis, policy, evidence, bound=policy.max_price_per_point))
    return tuple(parts)


def _price_per_point(
    benchmark: Decision, analysis: Analysis, policy: Policy, evidence: Evidence, *, bound: float
) -> _Part:
    if benchmark.decision != "promote":  # it is not promoted anyhow
        return _Part("unknown", "no improvement is shown that its price could be divided by", False)
    price = evidence.costs.get(benchmark.arm, ArmCost()).price
    if price is None:
        return _Part("unknown", "its price is not known", True, _LEARN_COST)
    per_point = price / (winner.gain(analysis, benchmark.arm) / POINT)
    words = f"price {per_point:.4g} per point ({POINT:g} of {analysis.metric}) of improvement"
    if per_point > bound:
        step = f"make it cheaper, or raise max_price_per_point from {bound:g}"
        return _Part("fail", f"{words}: more than {bound:g}", True, step, policy.over_cost)
    return _Part("pass", f"{words}: at most {bound:g}", True)


def _reproducibility(policy: Policy, evidence: Evidence) -> _Part:
    counts = "verification" in policy.require
    match evidence.verification:
        case "matched":
            return _Part("pass", f"scored again, it matched: {evidence.verified_rows}", counts)
        case "differs":
            step = "find out why (assay verify names what has changed), then run it again"
            return _Part("fail", "scored again, it differs: the numbers do not repeat", counts, step)
        case None:
            return _Part("unknown", "nobody has scored it again", counts, "assay verify RUN scores it again")


def _deployment(policy: Policy) -> _Part:
    stage = policy.next_stage
    if stage is None:
        return _Part("unknown", "the policy names no next stage", False, "name the next stage and its criteria")
    return _Part("pass", f"next: {stage.name}, until {'; '.join(stage.criteria)}", False)


def _answer(found: bool | None) -> Answer:
    return "unknown" if found is None else "pass" if found else "fail"


def _with_winner(
    decisions: Sequence[Decision], analysis: Analysis, policy: Policy, evidence: Evidence
) -> tuple[Decision, ...]:
    promoted = [each.arm for each in decisions if each.decision == "promote"]
    if not promoted:
        return tuple(decisions)
    first, won_by = winner.winner(promoted, analysis, policy, evidence)
    return tuple(replace(each, won_by=won_by) if each.arm == first else each for each in decisions)
