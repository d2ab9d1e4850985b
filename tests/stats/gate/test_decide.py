"""The benchmark's decisions: what promotes, rejects and holds, and with which reasons."""

from dataclasses import replace

import numpy as np
import pytest

from assay.stats import analysis
from assay.stats.errors import SamplesError
from assay.stats.gate import decide
from assay.stats.gate.evidence import ArmEvidence
from assay.stats.guardrails.metric_check import MetricCheck
from tests.stats.plans import IMPROVEMENT, NON_INFERIORITY, correlated, holding, plan, samples_of


def _with_mean(mean, *, num_rows=400, sd=1.0, seed=0):
    """Control and one variant whose difference has exactly this mean and standard deviation."""
    rng = np.random.default_rng(seed)
    difference = rng.normal(size=num_rows)
    difference = (difference - difference.mean()) / difference.std(ddof=1) * sd + mean
    control = rng.normal(size=num_rows)
    return samples_of(np.stack([control, control + difference], axis=1))


def _decide(samples, policy=IMPROVEMENT, *, guardrails=(), planned=(), failed=None, exploratory=False, **changes):
    planned = plan(guardrails=planned, **changes)
    found = analysis.analyze(samples, planned, guardrails=guardrails, exploratory=exploratory)
    return decide.decide(found, policy, planned, ArmEvidence(failed=failed or {}))


# The interval of 400 differences with standard deviation 1 is the mean +- 1.9659 / 20 = 0.0983.
@pytest.mark.parametrize(
    ("mean", "changes", "policy", "decision", "words"),
    [
        (0.2, {}, IMPROVEMENT, "promote", "score +0.2, 95 % interval [+0.1017, +0.2983]: better than the control"),
        (-0.2, {}, IMPROVEMENT, "reject", "worse than the control"),
        (0.05, {}, IMPROVEMENT, "hold", "not shown to be better than the control"),
        (-0.2, {"direction": "lower"}, IMPROVEMENT, "promote", "score -0.2, 95 % interval [-0.2983, -0.1017]"),
        (0.2, {"direction": "lower"}, IMPROVEMENT, "reject", "worse than the control"),
        (0.2, {"minimum_effect": 0.1}, IMPROVEMENT, "promote", "better than the control by more than 0.1"),
        (0.2, {"minimum_effect": 0.11}, IMPROVEMENT, "hold", "better than the control, but not shown to be better"),
        (0.0, {"margins": {"a": 0.1}}, NON_INFERIORITY, "promote", "within its margin of 0.1"),
        (0.0, {"margins": {"a": 0.09}}, NON_INFERIORITY, "hold", "it may be worse by more than 0.09"),
        (-0.2, {"margins": {"a": 0.1}}, NON_INFERIORITY, "reject", "worse than the control"),
        # certainly worse, but by less than the margin, which is what a margin allows
        (-0.2, {"margins": {"a": 0.3}}, NON_INFERIORITY, "promote", "within its margin of 0.3"),
        (0.0, {"margins": {"a": 0.1}, "direction": "lower"}, NON_INFERIORITY, "promote", "within its margin"),
        (0.0, {}, NON_INFERIORITY, "hold", "no non-inferiority margin for this arm"),
    ],
)
def test_the_interval_decides(mean, changes, policy, decision, words):
    (found,) = _decide(_with_mean(mean), policy, **changes)
    assert found.decision == decision
    assert words in found.reasons[0]
    assert found.next_step


@pytest.mark.parametrize(
    ("loss", "margin", "decision", "words"),
    [
        (0.0, 0.1, "promote", "within its margin of 0.1"),
        (-0.2, 0.1, "reject", "beyond its margin of 0.1"),
        (-0.1, 0.1, "hold", "it may be worse by more than 0.1"),
        (-0.2, 0.3, "promote", "within its margin of 0.3"),
    ],
)
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_every_guardrail_must_hold(loss, margin, decision, words, direction):
    sign = 1 if direction == "higher" else -1
    fine = MetricCheck("fine", "higher", "continuous", 0.5, _with_mean(0.0, seed=1))
    guard = MetricCheck("guard", direction, "continuous", margin, _with_mean(sign * loss, seed=2))
    (found,) = _decide(_with_mean(0.2), guardrails=(fine, guard), planned=holding("fine", "guard"))
    assert found.decision == decision
    assert words in found.reasons[2]
    if decision == "hold":
        assert "more rows" in found.next_step


def test_a_guardrail_that_was_not_measured_holds():
    (found,) = _decide(_with_mean(0.2), planned=holding("latency"))
    assert found.decision == "hold"
    assert "guardrail latency was not measured" in found.reasons


def test_exploratory_promotes_nothing_but_still_warns_of_harm():
    (good,) = _decide(_with_mean(0.5), exploratory=True)
    assert good.decision == "hold"
    assert "exploratory" in good.reasons[-1]
    (bad,) = _decide(_with_mean(-0.5), exploratory=True)
    assert bad.decision == "reject"


def test_a_failed_arm_is_held_never_rejected():
    good, lost = _decide(_with_mean(0.5), failed={"lost": "CUDA out of memory"})
    assert good.decision == "promote"
    assert (lost.arm, lost.decision) == ("lost", "hold")
    assert "could not be measured: CUDA out of memory" in lost.reasons[0]


def test_a_failed_control_holds_all():
    (found,) = _decide(_with_mean(0.5), failed={"control": "lost"})
    assert found.decision == "hold"
    assert "the control 'control' could not be measured" in found.reasons[0]


def test_what_is_not_testable_holds_with_its_reason():
    rows = np.arange(50.0)
    (found,) = _decide(samples_of(np.stack([rows, rows + 1], axis=1)))
    assert found.decision == "hold"
    assert "not testable, the arms differ by 1 on every row" in found.reasons[0]


def test_one_row_holds():
    (found,) = _decide(samples_of([[0.0, 1.0]]))
    assert (found.decision, "one row" in found.reasons[0]) == ("hold", True)


def test_an_identical_arm_holds_for_improvement():
    rows = np.random.default_rng(0).normal(size=50)
    (found,) = _decide(samples_of(np.stack([rows, rows], axis=1)))
    assert found.decision == "hold"
    assert "the same score as the control on every row" in found.reasons[0]


@pytest.mark.parametrize(("num_rows", "decision"), [(10, "hold"), (500, "promote")])
def test_binary_arms_that_agree_everywhere_are_non_inferior_only_on_enough_rows(num_rows, decision):
    scores = np.ones((num_rows, 2))
    (found,) = _decide(samples_of(scores), NON_INFERIORITY, margins={"a": 0.02}, scale="binary")
    assert found.decision == decision
    guard = MetricCheck("guard", "higher", "binary", 0.02, samples_of(scores))
    better = _with_mean(1.0, num_rows=num_rows)
    (guarded,) = _decide(better, guardrails=(guard,), planned=holding("guard"))
    assert guarded.decision == decision


def test_the_number_of_rows_that_would_settle_it_is_told():
    """mean 0.05, se 1 / 20: n (1.9659 + 0.8416)^2 (0.05 / 0.05)^2 = 400 * 7.882 = 3,153, less the 400 there are."""
    (found,) = _decide(_with_mean(0.05))
    assert found.next_step == (
        "if the estimate stays the same, about 2,760 more rows would show whether the arm is better than the control"
    )


def test_an_estimate_on_the_bound_says_that_rows_will_not_help():
    (found,) = _decide(_with_mean(0.1), minimum_effect=0.1)
    assert "unlikely to show whether the improvement is larger than 0.1" in found.next_step


def test_rows_of_the_prospect_do_settle_it():
    rows = int(_decide(_with_mean(0.05))[0].next_step.split("about ")[1].split()[0].replace(",", ""))
    settled = [
        _decide(samples_of(correlated(400 + rows, [0.0, 0.05], seed=seed) * 0.5**0.5))[0].decision == "promote"
        for seed in range(100)
    ]
    assert 0.55 < np.mean(settled) < 0.75  # 0.05 * sqrt(1 / 2) against an sd of 1: 0.65 by the same formula


def test_guardrails_on_other_rows_are_refused():
    short = MetricCheck("guard", "higher", "continuous", 0.1, _with_mean(0.0, num_rows=399))
    with pytest.raises(SamplesError, match=r"'guard' was not scored on the rows of the primary metric \(399 and 400"):
        _decide(_with_mean(0.1), guardrails=(short,))


def test_guardrails_may_list_arms_in_another_order():
    samples = _with_mean(-0.5, seed=1)
    turned = replace(samples, arms=("a", "control"), kept_RA=samples.scores_RA[:, ::-1])
    guard = MetricCheck("guard", "higher", "continuous", 0.1, turned)
    (found,) = _decide(_with_mean(0.5), guardrails=(guard,), planned=holding("guard"))
    assert found.decision == "reject"


def test_a_binary_guardrail_refuses_other_scores():
    guard = MetricCheck("guard", "higher", "binary", 0.1, _with_mean(0.0))
    with pytest.raises(SamplesError, match="scores of 'guard' are neither 0 nor 1"):
        _decide(_with_mean(0.1), guardrails=(guard,))
