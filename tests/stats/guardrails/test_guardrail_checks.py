"""Guardrails other than a metric over all rows: their intervals against scipy's, and their verdicts."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from scipy.stats.contingency import relative_risk

from assay.manifests.guardrail import LatencyGuardrail, MetricGuardrail, SegmentsGuardrail, SizeGuardrail
from assay.stats import analysis
from assay.stats.gate import decide
from assay.stats.guardrails import wording
from assay.stats.guardrails.group_checks import GroupGapCheck, Groups, SelectionRatioCheck
from assay.stats.guardrails.guardrail_check import verdict_of
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.guardrails.resource_checks import LatencyCheck, SizeCheck
from assay.stats.guardrails.segments_check import SegmentsCheck
from tests.stats.plans import IMPROVEMENT, correlated, plan, samples_of

SEGMENTS = np.repeat(["a", "b", "c", "tiny"], [300, 200, 100, 12])
PLAN = plan(columns={"segment": "s"})


def segmented(losses, *, seed=0):
    """Scores of the control and one arm, on the rows of SEGMENTS, with these losses in each segment."""
    scores = correlated(len(SEGMENTS), [0.0, 0.0], seed=seed)
    scores[:, 1] -= [dict(zip("abc", losses, strict=True)).get(name, 9.0) for name in SEGMENTS]
    return samples_of(scores, segment=SEGMENTS)


def checked(samples, *, margin=0.5):
    (found,) = SegmentsCheck(MetricCheck("m", "higher", "continuous", margin, samples), 30).check(PLAN, primary=samples)
    return found


def interval(samples, name, *, level):
    scores = samples.scores_RA[samples.segments_R == name]
    return tuple(stats.ttest_rel(scores[:, 1], scores[:, 0]).confidence_interval(level))


def test_segments_pass_by_their_own_intervals_and_break_by_those_of_all_together():
    samples = segmented([0.0, 0.0, 0.0])
    found = checked(samples, margin=0.8)
    assert (found.verdict, found.not_judged) == ("non_inferior", ("tiny (12 of 30 rows)",))
    for part in found.parts:
        assert (part.ci_low, part.ci_high) == pytest.approx(interval(samples, part.name, level=0.95))
    samples = segmented([-1.0, -1.0, 2.0])
    found = checked(samples)
    assert (found.verdict, found.where) == ("breach", "c")
    together = interval(samples, "c", level=1 - 0.05 / 3)
    assert (found.comparison.ci_low, found.comparison.ci_high) == pytest.approx(together)


def test_a_segment_that_is_worse_for_itself_but_not_among_all_is_open():
    """The upper end of its own interval is below the margin; with the correction for three segments it is not."""
    base = segmented([0.0, 0.0, 0.0])
    own, together = interval(base, "c", level=0.95)[1], interval(base, "c", level=1 - 0.05 / 3)[1]
    samples = segmented([0.0, 0.0, 0.5 + (own + together) / 2])
    assert interval(samples, "c", level=0.95)[1] < -0.5 < interval(samples, "c", level=1 - 0.05 / 3)[1]
    found = checked(samples)
    assert (found.verdict, found.where) == ("undecided", "c")


def test_an_arm_without_a_segment_that_is_large_enough_is_not_testable():
    samples = segmented([0.0, 0.0, 0.0])
    (found,) = SegmentsCheck(MetricCheck("m", "higher", "continuous", 0.5, samples), 1000).check(PLAN, primary=samples)
    assert (found.verdict, len(found.not_judged)) == ("not_testable", 4)


@pytest.mark.extended
def test_segments_are_wrongly_called_broken_no_more_often_than_alpha():
    """Every segment is exactly at the margin: half of alpha is on that side."""
    broken = [checked(segmented([0.5, 0.5, 0.5], seed=seed)).verdict == "breach" for seed in range(400)]
    assert np.mean(broken) < 0.025 + 3 * (0.025 * 0.975 / 400) ** 0.5


GROUPS = np.repeat(["f", "m"], [400, 600])


def test_a_gap_between_groups_that_lie_apart_has_the_delta_methods_interval():
    scores = correlated(1000, [0.0, 0.0], seed=3) + np.where(GROUPS == "m", 3.0, 0.0)[:, None]
    scores[GROUPS == "f", 1] -= 0.4
    samples = samples_of(scores)
    guard = GroupGapCheck(MetricCheck("m", "higher", "continuous", 0.2, samples), Groups("g", GROUPS, 30))
    (found,) = guard.check(plan(), primary=samples)
    difference = scores[:, 1] - scores[:, 0]
    of_f, of_m = difference[GROUPS == "f"], difference[GROUPS == "m"]
    half = 1.96 * np.hypot(stats.sem(of_f), stats.sem(of_m))
    assert found.comparison.estimate == pytest.approx(of_m.mean() - of_f.mean())
    assert found.comparison.ci_high - found.comparison.estimate == pytest.approx(half, rel=0.06)
    assert (found.where, found.direction, found.bound) == ("f and m", "lower", 0.2)


def test_a_selection_ratio_of_groups_that_lie_apart_has_katz_interval():
    """Katz et al. 1978 (Biometrics 34:469), by scipy."""
    selected = np.zeros((1000, 2))
    selected[:120, 1] = selected[400:760, 1] = 1  # 120 of 400, 360 of 600
    samples = samples_of(selected)
    guard = SelectionRatioCheck(MetricCheck("yes", "higher", "binary", 0.8, samples), Groups("g", GROUPS, 30))
    (found,) = guard.check(plan(), primary=samples)
    expected = relative_risk(120, 400, 360, 600)
    assert found.comparison.estimate == pytest.approx(expected.relative_risk)
    assert np.log([found.comparison.ci_low, found.comparison.ci_high]) == pytest.approx(
        np.log(tuple(expected.confidence_interval(0.95))), rel=0.06
    )
    assert (found.verdict, found.where, found.comparison.reference) == ("breach", "f and m", "")


def test_groups_that_are_too_small_are_named_and_two_must_be_left():
    samples = samples_of(correlated(1000, [0.0, 0.0]))
    guard = GroupGapCheck(MetricCheck("m", "higher", "continuous", 0.2, samples), Groups("g", GROUPS, 500))
    (found,) = guard.check(plan(), primary=samples)
    assert (found.verdict, found.not_judged) == ("not_testable", ("f (400 of 500 rows)",))
    assert "needs two" in found.comparison.not_testable


def timed(factor, *, num_batches=200, seed=0):
    """Times of the control and the arm in turn while the host becomes ten times slower."""
    rng = np.random.default_rng(seed)
    drift = np.geomspace(1.0, 10.0, num_batches)[:, None] * 1e-3
    return drift * rng.lognormal(0.0, 0.1, (num_batches, 2)) * [1.0, factor]


@pytest.mark.parametrize("quantity", ["batch_p50", "batch_p95", "row_mean"])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "non_inferior"), (1.5, "breach"), (1.2, "undecided")])
def test_latency_is_held_as_a_ratio_whatever_the_host_does_beside(quantity, factor, verdict):
    rule = LatencyGuardrail(kind="latency", quantity=quantity, max_ratio=1.2)
    guard = LatencyCheck(rule, {"a": timed(factor)}, {})
    (found,) = guard.check(plan(), primary=samples_of(correlated(50, [0.0, 0.0])))
    assert found.comparison.estimate == pytest.approx(factor, rel=0.1)
    assert found.verdict == verdict


def test_too_few_batches_have_no_tail():
    rule = LatencyGuardrail(kind="latency", quantity="batch_p95", max_ratio=1.2)
    guard = LatencyCheck(rule, {"a": timed(1.0, num_batches=199)}, {"b": "out of memory"})
    few, lost, none = guard.check(plan(), primary=samples_of(correlated(50, [0.0] * 4)))
    assert few.comparison.not_testable == "199 batches were timed; batch_p95 needs 200"
    assert (lost.comparison.not_testable, none.comparison.not_testable) == ("out of memory", "it was not timed")


def test_sizes_are_known_exactly_and_may_lie_on_the_bound():
    rule = SizeGuardrail(kind="size", quantity="weights_bytes", max_ratio=2.0)
    guard = SizeCheck(rule, {"control": 100, "a": 200, "b": 201})
    found = guard.check(plan(), primary=samples_of(correlated(50, [0.0] * 4)))
    assert [each.verdict for each in found] == ["non_inferior", "breach", "not_testable"]


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_an_interval_speaks_for_one_verdict(direction):
    sign = 1 if direction == "higher" else -1
    scores = correlated(400, [0.0, 0.0])
    (comparison,) = analysis.analyze(samples_of(sign * scores), plan(direction=direction)).comparisons
    low, high = sorted((sign * comparison.ci_low, sign * comparison.ci_high))
    bounds = [(low - 0.01, "non_inferior"), ((low + high) / 2, "undecided"), (high + 0.01, "breach")]
    assert [verdict_of(comparison, bound=sign * bound, direction=direction) for bound, _ in bounds] == [
        verdict for _, verdict in bounds
    ]


@pytest.mark.parametrize(("severity", "expected"), [("critical", "reject"), ("advisory", "promote")])
def test_an_advisory_breach_is_told_and_does_not_block(severity, expected):
    rule = MetricGuardrail(kind="metric", metric="g", margin=0.1, severity=severity)
    planned = plan(guardrails=(rule,))
    broken = MetricCheck("g", "higher", "continuous", 0.1, samples_of(correlated(400, [0.0, -1.0], seed=2)), severity)
    found = analysis.analyze(samples_of(correlated(400, [0.0, 0.5])), planned, guardrails=(broken,))
    (decided,) = decide.decide(found, IMPROVEMENT, planned)
    assert decided.decision == expected
    assert "beyond its margin of 0.1" in decided.reasons[1]
    assert ("advisory" in decided.reasons[1]) == (severity == "advisory")


def test_an_advisory_guardrail_that_was_not_measured_does_not_block():
    rule = MetricGuardrail(kind="metric", metric="g", margin=0.1, severity="advisory")
    planned = plan(guardrails=(rule,))
    found = analysis.analyze(samples_of(correlated(400, [0.0, 0.5])), planned)
    assert [each.decision for each in decide.decide(found, IMPROVEMENT, planned)] == ["promote"]


def test_a_segment_that_is_open_says_how_many_rows_of_it_would_do():
    planned = plan(
        columns={"segment": "s"}, guardrails=(SegmentsGuardrail(kind="segments", metric="score", margin=0.5),)
    )
    samples = segmented([-1.0, -1.0, 0.4])
    guard = SegmentsCheck(MetricCheck("score", "higher", "continuous", 0.5, samples), 30)
    found = analysis.analyze(samples, planned, guardrails=(guard,))
    (decided,) = decide.decide(found, IMPROVEMENT, planned)
    assert decided.decision == "hold"
    assert "more rows in segment 'c' would show whether guardrail 'score by segment' is kept" in decided.next_step


@pytest.mark.parametrize(
    ("guardrails", "words"),
    [
        ([SegmentsGuardrail(kind="segments", metric="m", margin=0.1)], "needs columns.segment"),
        ([MetricGuardrail(kind="metric", metric="m", margin=0.1)] * 2, "given more than once: m"),
        ([MetricGuardrail(kind="metric", metric="primary", margin=0.1)], "its bound is minimum_effect"),
        ([LatencyGuardrail(kind="latency", quantity="batch_p99", max_ratio=1.2)], "num_batches of at least 1000"),
    ],
)
def test_a_plan_refuses_guardrails_that_cannot_be_held(guardrails, words):
    with pytest.raises(ValidationError, match=words):
        plan(metric="primary", guardrails=tuple(guardrails))


def test_a_cluster_weighs_the_same_in_every_group():
    """What a cluster adds to both groups does not change the gap: its error is that of the clusters' own gaps."""
    rng = np.random.default_rng(5)
    clusters, groups = np.repeat(np.arange(60), 10), np.tile(np.repeat(["f", "m"], 5), 60)
    scores = rng.normal(size=(600, 2)) + np.where(groups == "m", 3.0, 0.0)[:, None]
    scores[:, 1] += 5.0 * rng.normal(size=60)[clusters] + np.where(groups == "m", 0.5, 0.0)
    samples = samples_of(scores, cluster=clusters)
    guard = GroupGapCheck(MetricCheck("m", "higher", "continuous", 0.2, samples), Groups("g", groups, 30))
    (found,) = guard.check(plan(columns={"cluster": "c"}), primary=samples)
    by_cluster = (scores[:, 1] - scores[:, 0]).reshape(60, 2, 5).mean(axis=2)
    half = 1.96 * stats.sem(by_cluster[:, 1] - by_cluster[:, 0])
    assert found.comparison.ci_high - found.comparison.estimate == pytest.approx(half, rel=0.15)


# The better group of the arm is 0.5 below the control's, so its gap is 0.5 narrower.
def test_the_numbers_of_a_gap_are_said_to_be_whose_they_are():
    scores = correlated(1000, [0.0, 0.0]) + np.where(GROUPS == "f", 1.0, 0.0)[:, None] * [1.0, 0.5]
    guard = GroupGapCheck(MetricCheck("m", "higher", "continuous", 0.2, samples_of(scores)), Groups("g", GROUPS, 1))
    (found,) = guard.check(plan(), primary=samples_of(scores))
    words = wording.summary(found, alpha=0.05)
    assert words.startswith("guardrail gap of m by g: difference from the control's gap -0.")
    assert "(m of 'a' by group: f " in words


@pytest.mark.parametrize(
    ("kind", "scale", "direction", "words"),
    [
        ("metric", "difference", "higher", "it may be worse by more than 0.1"),
        ("group_gap", "difference", "lower", "the gap may be more than 0.1 wider than the control's"),
        ("latency", "ratio", "lower", "the ratio may be above 0.1"),
        ("selection_ratio", "ratio", "higher", "the ratio may be below 0.1"),
    ],
)
def test_what_is_undecided_is_said_by_its_kind(kind, scale, direction, words):
    rule = MetricCheck("m", "higher", "continuous", 0.1, samples_of(correlated(400, [0.0, 0.0], seed=2)))
    (found,) = rule.check(plan(), primary=rule.samples)
    undecided = found.model_copy(
        update={"kind": kind, "scale": scale, "direction": direction, "bound": 0.1, "verdict": "undecided"}
    )
    assert wording.summary(undecided, alpha=0.05).endswith(words)


@pytest.mark.parametrize(("direction", "words"), [("higher", "worse"), ("lower", "better")])
def test_the_segment_nearest_to_the_margin_is_said_to_be_better_or_worse(direction, words):
    samples = segmented([0.5, 0.0, 0.0] if direction == "higher" else [0.3, 0.3, 0.3])
    guard = SegmentsCheck(MetricCheck("score", direction, "continuous", 5.0, samples), 30)
    (found,) = guard.check(plan(direction=direction, columns={"segment": "s"}), primary=samples)
    said = f"segments; the segment closest to that limit is '{found.where}', where the arm is {words}: difference -"
    assert said in wording.summary(found, alpha=0.05)
