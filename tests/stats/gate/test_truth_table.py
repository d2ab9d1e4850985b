"""The gate's truth table: every combination of results, under four policies, against the documented rule."""

from functools import cache

import pytest

from assay.cluster.cli.gate import EXIT_CODES
from assay.cluster.commit.gate_answer import run_decision
from assay.manifests.policy import Policy
from assay.stats import analysis
from assay.stats.gate import review
from assay.stats.gate.evidence import ArmCost, Evidence
from assay.stats.guardrails.metric_check import MetricCheck
from tests.stats.plans import differing, holding, plan

PLAN = plan(margins={"a": 0.1}, guardrails=holding("guard"))
# The interval is the mean +- 0.0983, the arm's margin and the guardrail's are 0.1.
PRIMARY = {"better": 0.2, "equal": 0.0, "worse": -0.2, "unclear": -0.05}
GUARDRAIL = {"held": 0.0, "breached": -0.2, "unclear": -0.1}
COST = {"in": 0.5, "over": 2.0}
VERIFIED = {
    "verified": {"verified": {"control": 9, "a": 9}},
    "failed": {"verified": {"control": 9}, "differing": ("a",)},
    "unknown": {},
}

STRICT = {"kind": "Policy", "version": 1, "require": ("verification",), "max_cost_ratio": 1.5}
POLICIES = {
    "improvement": Policy(**STRICT),
    "cost rejects": Policy(**STRICT, over_cost="reject"),
    "cost rewarded": Policy(**STRICT, promote_equal_at_cost_ratio=0.6),
    "non-inferiority": Policy(**STRICT, promote_on="non_inferiority"),
}


def expected(policy: str, primary: str, guardrail: str, cost: str, verified: str) -> str:
    """The documented rule.

    Harm rejects, whatever else is known. Exceeding a cost limit rejects if the policy says so. A promotion requires
    everything that counts; anything missing, unclear or otherwise failed is a hold.
    """
    if primary == "worse" or guardrail == "breached":
        return "reject"
    if policy == "cost rejects" and cost == "over":
        return "reject"
    good_enough = {"better", "equal"} if policy in ("cost rewarded", "non-inferiority") else {"better"}
    shown = primary in good_enough and guardrail == "held" and cost == "in" and verified == "verified"
    return "promote" if shown else "hold"


@cache
def analysed(primary: str, guardrail: str) -> analysis.Analysis:
    guard = MetricCheck("guard", "higher", "continuous", 0.1, differing(GUARDRAIL[guardrail], seed=1))
    return analysis.analyze(differing(PRIMARY[primary]), PLAN, guardrails=[guard])


@pytest.mark.parametrize("verified", VERIFIED)
@pytest.mark.parametrize("cost", COST)
@pytest.mark.parametrize("guardrail", GUARDRAIL)
@pytest.mark.parametrize("primary", PRIMARY)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_decision_is_the_rules(policy, primary, guardrail, cost, verified):
    evidence = Evidence(
        dataset="rows@v1",
        costs={"control": ArmCost(price=2.0), "a": ArmCost(price=2.0 * COST[cost])},
        **VERIFIED[verified],
    )
    (found,) = review.review(analysed(primary, guardrail), POLICIES[policy], PLAN, evidence)
    wanted = expected(policy, primary, guardrail, cost, verified)
    assert found.decision == wanted, found
    assert found.reasons
    assert found.next_step
    assert bool(found.won_by) == (wanted == "promote")
    assert EXIT_CODES[run_decision([found])] == {"promote": 0, "hold": 3, "reject": 4}[wanted]
