"""The review, in addition to its truth table: requirements, costs, the winner, and the first version."""

import pytest

from assay.manifests.analysis import Analysis
from assay.manifests.errors import ManifestError
from assay.manifests.parse import parse
from assay.manifests.policy import NextStage, Policy
from assay.stats import analysis
from assay.stats.gate import review
from assay.stats.gate.evidence import ArmCost, CheckOutcome, Evidence
from tests.stats.plans import differing, plan


def policy(**fields):
    return Policy(kind="Policy", version=1, **fields)


def reviewed(samples, policy, *, evidence=None, **changes):
    planned = plan(**changes)
    return review.review(analysis.analyze(samples, planned), policy, planned, evidence or Evidence(dataset="rows@v1"))


def costing(*ratios, **more):
    """The control costs 2, variants a, b, ... multiples of it."""
    costs = {arm: ArmCost(price=2.0 * ratio) for arm, ratio in zip("abc", ratios, strict=False)}
    return Evidence(dataset="rows@v1", costs={"control": ArmCost(price=2.0), **costs}, **more)


def answers(decision):
    return {each.question: (each.answer, each.counts) for each in decision.questions}


def test_by_default_only_the_dataset_and_the_benchmark_count_and_the_rest_is_told():
    (found,) = reviewed(differing(0.2), policy())
    assert found.decision == "promote"
    assert answers(found) == {
        "dataset": ("pass", True),
        "benchmark": ("pass", True),
        "cost": ("unknown", False),
        "reproducibility": ("unknown", False),
        "deployment": ("info", False),
    }


@pytest.mark.parametrize("requirement", ["leakage", "drift", "budget", "verification"])
@pytest.mark.parametrize(("known", "decision"), [(None, "hold"), (False, "hold"), (True, "promote")])
def test_what_is_required_must_be_known_and_fine(requirement, known, decision):
    verified = {None: {}, False: {"differing": ("a",)}, True: {"verified": {"control": 9, "a": 9}}}[known]
    fields = verified if requirement == "verification" else {requirement: CheckOutcome(known)}
    evidence = Evidence(dataset="rows@v1", **fields)
    (found,) = reviewed(differing(0.2), policy(require=(requirement,)), evidence=evidence)
    assert found.decision == decision
    assert found.next_step


@pytest.mark.parametrize(
    "harm", ["leakage", "drift", "budget", "verification of the arm", "verification of the control"]
)
def test_known_harm_holds_whatever_the_policy_requires_and_what_is_unknown_does_not(harm):
    differing_arm = {"verification of the arm": "a", "verification of the control": "control"}.get(harm)
    known = {"differing": (differing_arm,)} if differing_arm else {harm: CheckOutcome(passed=False)}
    (held,) = reviewed(differing(0.2), policy(), evidence=Evidence(dataset="rows@v1", **known))
    assert held.decision == "hold"
    assert held.next_step
    (failing,) = [each for each in held.questions if each.answer == "fail"]
    assert failing.counts
    (rejected,) = reviewed(differing(-0.5), policy(), evidence=Evidence(dataset="rows@v1", **known))
    assert rejected.decision == "reject"
    (unknown,) = reviewed(differing(0.2), policy(), evidence=Evidence(dataset="rows@v1"))
    assert unknown.decision == "promote"


def test_a_hold_says_which_command_goes_on():
    (found,) = reviewed(differing(0.2), policy(require=("verification",)))
    assert found.next_step == "run assay verify RUN"
    assert found.reasons[-1] == "`assay verify` has not been run on control and a"


@pytest.mark.parametrize(
    ("verified", "missing"), [({}, "control and a"), ({"control": 9, "b": 9}, "a"), ({"a": 9, "b": 9}, "control")]
)
def test_an_arm_is_verified_only_together_with_the_control(verified, missing):
    evidence = Evidence(dataset="rows@v1", verified=verified, num_rows=9)
    (found,) = reviewed(differing(0.2), policy(require=("verification",)), evidence=evidence)
    assert (found.decision, found.reasons[-1]) == ("hold", f"`assay verify` has not been run on {missing}")


def test_verified_arms_are_promoted_though_others_were_not_verified():
    evidence = Evidence(dataset="rows@v1", verified={"control": 9, "a": 5}, num_rows=9)
    (found,) = reviewed(differing(0.2), policy(require=("verification",)), evidence=evidence)
    assert found.decision == "promote"
    (check,) = [each for each in found.questions if each.question == "reproducibility"]
    assert check.evidence == "scored again, 5 of 9 rows of the arm and of the control: the scores match"


def test_a_command_can_be_run_as_it_is_told_wherever_the_dataset_lies():
    evidence = Evidence(dataset="rows@v1", dataset_location="/my data/rows@v1")
    (found,) = reviewed(differing(0.2), policy(require=("leakage", "drift")), evidence=evidence)
    assert "assay dataset leakage '/my data/rows@v1' --training FILE" in found.next_step
    assert "assay dataset diff EARLIER '/my data/rows@v1'" in found.next_step


# +0.2 is 20 points of 0.01; a price of 4 is 0.2 per point.
@pytest.mark.parametrize(("bound", "decision"), [(0.21, "promote"), (0.19, "hold")])
def test_the_price_of_a_point_is_bounded(bound, decision):
    (found,) = reviewed(differing(0.2), policy(max_price_per_point=bound), evidence=costing(2.0))
    assert found.decision == decision
    (cost,) = [each for each in found.questions if each.question == "cost"]
    assert "price 0.2 per point (0.01 of score) of improvement" in cost.evidence


@pytest.mark.parametrize("bound", [{"max_price_per_point": 9.0}, {"max_cost_ratio": 9.0}])
def test_a_bound_on_a_cost_that_nobody_knows_holds(bound):
    (found,) = reviewed(differing(0.2), policy(**bound))
    assert found.decision == "hold"
    assert "--no-reuse" in found.next_step


def test_costs_are_compared_by_price_else_gpu_else_cpu():
    costs = {"control": ArmCost(price=None, gpu_s=4.0, cpu_s=1.0), "a": ArmCost(price=9.0, gpu_s=2.0, cpu_s=9.0)}
    assert Evidence(dataset="d", costs=costs).cost_ratio("a", "control") == (0.5, "0.5 times the control's GPU-seconds")
    assert Evidence(dataset="d").cost_ratio("a", "control") is None


@pytest.mark.parametrize(
    ("ratio", "mean", "decision", "words"),
    [
        (0.5, 0.0, "promote", "0.5 times the control's price: the policy promotes an equal arm at up to 0.6"),
        (0.7, 0.0, "hold", "0.7 times the control's price: more than the 0.6"),
        (0.5, -0.05, "hold", "not shown to be better"),  # its interval goes beyond the margin: not equal
        (0.5, -0.2, "reject", "worse than the control"),
        (0.7, 0.2, "promote", "better than the control"),
    ],
)
def test_equal_and_cheap_is_promoted_where_the_policy_rewards_cost(ratio, mean, decision, words):
    rewards = policy(promote_equal_at_cost_ratio=0.6)
    (found,) = reviewed(differing(mean), rewards, evidence=costing(ratio), margins={"a": 0.1})
    assert found.decision == decision
    assert words in " ".join(found.reasons)


def test_equal_at_an_unknown_cost_is_held_and_says_what_is_missing():
    (found,) = reviewed(differing(0.0), policy(promote_equal_at_cost_ratio=0.6), margins={"a": 0.1})
    assert found.decision == "hold"
    assert "the cost is not known" in found.reasons[-1]


# The intervals of two variants are about +-0.11: they distinguish 0.4 and 0.2, but not 0.4 and 0.35.
@pytest.mark.parametrize(
    ("means", "tie_breakers", "winner", "won_by"),
    [
        ((0.4, 0.2), ("cost",), "a", "best score of 2 promoted arms"),
        ((0.4, 0.35), (), "a", "best estimate of a and b, which score does not distinguish"),
        ((0.4, 0.35), ("cost",), "b", "lowest cost of a and b, which score does not distinguish"),
        ((0.4, 0.35), ("f1", "cost"), "b", "lowest cost"),  # both have the same f1
        ((0.4, 0.35), ("loss", "cost"), "a", "best loss"),
        ((0.4, 0.0), ("cost",), "a", "the only promoted arm"),
    ],
)
@pytest.mark.parametrize("family", ["dunnett", "tukey"])
def test_one_winner_among_promoted_arms(means, tie_breakers, winner, won_by, family):
    evidence = costing(
        2.0,
        1.0,
        metrics={"a": {"f1": 0.5, "loss": 1.0}, "b": {"f1": 0.5, "loss": 2.0}},
        directions={"f1": "higher", "loss": "lower"},
    )
    found = reviewed(differing(*means), policy(tie_breakers=tie_breakers), evidence=evidence, family=family)
    (won,) = [each for each in found if each.won_by]
    assert won.arm == winner
    assert won_by in won.won_by


def test_nobody_wins_where_nothing_is_promoted():
    assert not any(each.won_by for each in reviewed(differing(0.0, -0.5), policy()))


def test_another_policy_than_the_recorded_one_holds_or_rejects_but_never_promotes():
    other = Evidence(dataset="rows@v1", policy_is_recorded=False)
    good, bad = reviewed(differing(0.4, -0.4), policy(), evidence=other)
    assert (good.decision, bad.decision) == ("hold", "reject")
    assert "not the one recorded" in good.reasons[-1]
    assert not good.won_by


@pytest.mark.parametrize(
    ("fields", "exploratory", "decision"),
    [({}, False, "hold"), ({"bootstrap": True}, False, "promote"), ({"bootstrap": True}, True, "hold")],
)
def test_the_first_of_its_kind_is_promoted_by_intent_only(fields, exploratory, decision):
    found = analysis.analyze(differing(), plan(), exploratory=exploratory)
    (only,) = review.review(found, policy(**fields), plan(), Evidence(dataset="rows@v1"))
    assert (only.arm, only.decision) == ("control", decision)
    if not fields:
        assert "bootstrap: true" in only.next_step
    (waiting,) = review.review(
        found, policy(bootstrap=True, require=("verification",)), plan(), Evidence(dataset="rows@v1")
    )
    assert waiting.decision == "hold"


def test_bootstrap_does_nothing_where_there_is_something_to_compare():
    found = reviewed(differing(0.0), policy(bootstrap=True))
    assert [(each.arm, each.decision) for each in found] == [("a", "hold")]


def test_a_promoted_arm_is_told_where_to_go():
    stage = NextStage(name="canary", criteria=("p95 latency under 80 ms for a day",))
    (found,) = reviewed(differing(0.2), policy(next_stage=stage))
    assert found.next_step == "canary: p95 latency under 80 ms for a day"
    assert answers(found)["deployment"] == ("info", False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("next_stage: {name: canary, criteria: []}", "criteria"),
        ("require: [verification, verification]", "given more than once: verification"),
        ("promote_on: non_inferiority, promote_equal_at_cost_ratio: 0.5", "limit their cost with max_cost_ratio"),
        ("promote_on: non_inferiority, max_price_per_point: 0.5", "which requires none"),
        ("require: [verified]", "verification"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(fields, words):
    with pytest.raises(ManifestError, match=words):
        parse(f"{{kind: Policy, version: 1, {fields}}}", file="policy.yaml", kind="Policy")


@pytest.mark.parametrize("family", ["dunnett", "tukey"])
def test_an_analysis_comes_back_from_its_json(family):
    found = analysis.analyze(differing(0.2, 0.0), plan(family=family, margins={"a": 0.1}))
    assert Analysis.model_validate_json(found.model_dump_json()) == found


def test_a_rejected_arm_is_given_no_chores_that_could_not_save_it():
    (found,) = reviewed(differing(-0.5), policy(require=("leakage", "verification")))
    assert (found.decision, found.next_step) == ("reject", "do not ship: it is worse than the control")
    expensive = policy(max_cost_ratio=1.5, over_cost="reject", require=("verification",))
    (found,) = reviewed(differing(0.2), expensive, evidence=costing(2.0))
    assert (found.decision, found.next_step) == ("reject", "make it cheaper, or raise max_cost_ratio from 1.5")


@pytest.mark.parametrize(
    ("num_warnings", "said"),
    [(0, "no rule of severity error"), (2, "no rule of severity error, and 2 of severity warn")],
)
def test_the_dataset_check_counts_the_rules_that_only_warn(num_warnings, said):
    (found,) = reviewed(differing(0.2), policy(), evidence=Evidence(dataset="rows@v1", num_warnings=num_warnings))
    (check,) = [each for each in found.questions if each.question == "dataset"]
    assert f"rows@v1; when the dataset was frozen, its rows broke {said}; " in check.evidence
