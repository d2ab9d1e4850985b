"""Analyses: the methods that a plan chooses, plans that do not fit, and the same bits for the same scores."""

from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from scipy import stats

from assay.manifests.analysis import Analysis
from assay.stats import analysis
from assay.stats.distributions import proportions
from assay.stats.errors import SamplesError
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.samples.columns import from_long
from tests.stats.plans import correlated, plan, samples_of


def _binary(num_rows=400, chances=(0.5, 0.6, 0.7), seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((num_rows, len(chances))) < chances).astype(float)


CLUSTERS = np.repeat(np.arange(40), 10)


@pytest.mark.parametrize(
    ("scores", "changes", "clusters", "omnibus", "method"),
    [
        (correlated(400, [0, 0.1, 0.2]), {}, None, "rm_anova", "max_t"),
        (correlated(400, [0, 0.1, 0.2]), {"scale": "count"}, None, "rm_anova", "max_t"),
        (correlated(400, [0, 0.1, 0.2]), {"family": "tukey"}, None, "rm_anova", "max_t"),
        (correlated(400, [0, 0.1, 0.2]), {"omnibus": "hotelling"}, None, "hotelling", "max_t"),
        (correlated(400, [0, 0.1, 0.2]), {"omnibus": "friedman"}, None, "friedman", "max_t"),
        (correlated(400, [0, 0.1, 0.2]), {"posthoc": "t_holm"}, None, "rm_anova", "t_holm"),
        (correlated(400, [0, 0.1]), {}, None, "rm_anova", "paired_t"),
        (correlated(400, [0, 0.1, 0.2]), {}, CLUSTERS, "cluster_wald", "max_t"),
        (correlated(400, [0, 0.1]), {}, CLUSTERS, "cluster_wald", "paired_t_cr1"),
        (np.round(correlated(400, [0, 0.1, 0.2])), {"scale": "ordinal"}, None, "friedman", "max_t"),
        (np.round(correlated(400, [0, 0.1])), {"scale": "ordinal"}, None, "rm_anova", "paired_t"),
        (_binary(), {"scale": "binary"}, None, "cochran_q", "max_t"),
        (_binary(), {"scale": "binary", "posthoc": "mcnemar_holm"}, None, "cochran_q", "mcnemar_holm"),
        (_binary(30), {"scale": "binary"}, None, "cochran_q", "mcnemar_holm"),  # few discordant rows
        (_binary(chances=(0.5, 0.6)), {"scale": "binary"}, None, "cochran_q", "mcnemar"),
        (_binary(chances=(0.5, 0.6)), {"scale": "binary", "posthoc": "max_t"}, None, "cochran_q", "paired_t"),
        (_binary(), {"scale": "binary"}, CLUSTERS, "cluster_wald", "max_t"),
    ],
)
def test_the_plan_chooses_the_methods(scores, changes, clusters, omnibus, method):
    columns = {} if clusters is None else {"cluster": "c"}
    samples = samples_of(scores, cluster=clusters)
    found = analysis.analyze(samples, plan(columns=columns, **changes))
    assert found.omnibus is not None
    assert found.omnibus.test == omnibus
    assert {comparison.method for comparison in found.comparisons} == {method}
    num_arms = scores.shape[1]
    assert len(found.comparisons) == (num_arms * (num_arms - 1) // 2 if found.family == "tukey" else num_arms - 1)
    assert found.power.mde is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"omnibus": "welch"}, "on paired rows it wastes power"),
        ({"omnibus": "cochran_q"}, "Cochran's Q needs scores of 0 or 1"),
        ({"posthoc": "tukey_hsd"}, "for unpaired arms"),
        ({"posthoc": "mcnemar_holm"}, "McNemar's test needs independent rows with scores of 0 or 1"),
        ({"scale": "binary"}, "400 scores|scores of 'score' are neither 0 nor 1"),
        ({"control": "contrl"}, "did you mean 'control'"),
        ({"columns": {"cluster": "page"}}, "names the cluster column 'page', but the scores have no clusters"),
        ({"columns": {"segment": "lang"}}, "names the segment column 'lang', but the scores have no segments"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    planned = plan(**changes) if "control" not in changes else plan().model_copy(update=changes)
    with pytest.raises(SamplesError, match=words):
        analysis.analyze(samples_of(correlated(400, [0, 0.1, 0.2])), planned)


def test_few_clusters_are_refused_and_under_thirty_warned():
    scores = correlated(400, [0, 0.1])
    with pytest.raises(SamplesError, match=r"too few clusters: 4.*at least 5"):
        analysis.analyze(samples_of(scores, cluster=np.arange(400) % 4), plan(columns={"cluster": "c"}))
    found = analysis.analyze(samples_of(scores, cluster=np.arange(400) % 29), plan(columns={"cluster": "c"}))
    assert any("29 clusters, fewer than 30" in warning for warning in found.warnings)
    enough = analysis.analyze(samples_of(scores, cluster=np.arange(400) % 30), plan(columns={"cluster": "c"}))
    assert enough.warnings == ()
    assert enough.num_clusters == 30
    assert enough.comparisons[0].df == 29
    assert (enough.comparisons[0].ci_high or 0) - (enough.comparisons[0].estimate or 0) == pytest.approx(
        stats.t.isf(0.025, 29) * (enough.comparisons[0].std_error or 0)
    )


@pytest.mark.parametrize("posthoc", ["auto", "t_holm"])
@pytest.mark.parametrize("moved", [0.0, 0.25])
def test_clusters_whose_totals_do_not_vary_are_no_test_although_rows_differ(moved, posthoc):
    control = np.random.default_rng(4).normal(size=400)
    samples = samples_of(np.column_stack([control, control + np.tile([1.0, -1.0], 200) + moved]), cluster=CLUSTERS)
    guardrail = MetricCheck("g", "higher", "continuous", 0.1, samples)
    planned = plan(columns={"cluster": "c"}, posthoc=posthoc)
    found = analysis.analyze(samples, planned, guardrails=(guardrail,))
    for each in (found.comparisons[0], found.guardrails[0].comparison):
        assert (each.estimate, each.std_error) == (pytest.approx(moved, abs=1e-12), 0)
        assert (each.degenerate, each.p_value, each.p_adjusted, each.ci_low, each.ci_high) == (None,) * 5
    assert found.omnibus is not None
    assert (found.omnibus.degenerate, found.omnibus.p_value) == (None, None)
    assert [check.pairs[0].p_adjusted for check in found.checks] == [None] * len(found.checks)
    assert {each.what for each in found.not_testable} == {"omnibus", "comparison", "guardrail"}
    assert all("vary over rows, but cluster totals do not" in each.reason for each in found.not_testable)
    assert not any("every row" in warning for warning in found.warnings)


def test_friedman_of_two_arms_is_not_testable_when_asked_for():
    found = analysis.analyze(samples_of(correlated(40, [0, 0.1])), plan(omnibus="friedman"))
    assert found.omnibus is not None
    assert found.omnibus.p_value is None
    assert [each.what for each in found.not_testable] == ["omnibus"]
    assert found.comparisons[0].p_adjusted is not None


def test_one_arm_has_an_interval_and_nothing_else():
    scores = _binary(20, chances=(0.0,))
    found = analysis.analyze(samples_of(scores), plan(scale="binary"))
    assert (found.omnibus, found.comparisons, found.best, found.power.mde) == (None, (), None, None)
    (arm,) = found.arms
    assert (arm.ci_low, arm.ci_high) == pytest.approx((0, 0.1611), abs=1e-4)  # Wilson; Wald's would be (0, 0)


def test_arms_have_intervals_of_their_own():
    scores = correlated(50, [0, 0.2])
    found = analysis.analyze(samples_of(scores), plan())
    for index, arm in enumerate(found.arms):
        low, high = stats.ttest_1samp(scores[:, index], 0).confidence_interval(0.95)
        assert (arm.ci_low, arm.ci_high) == pytest.approx((low, high))


def test_repeats_are_averaged_with_a_note_and_do_not_inflate_rows():
    rng = np.random.default_rng(0)
    rows = np.tile(np.repeat(np.arange(100), 5), 2)
    samples = from_long(["control"] * 500 + ["a"] * 500, rows, (rng.random(1000) < 0.5).astype(float))
    found = analysis.analyze(samples, plan(scale="binary"))
    assert (found.num_rows, found.num_repeats) == (100, 5)
    assert found.comparisons[0].df == 99
    assert found.comparisons[0].method == "paired_t"
    assert any("5 repeats" in warning for warning in found.warnings)


def test_a_count_of_identical_binary_arms_is_answered():
    scores = np.repeat(_binary(100, chances=(0.7,)), 3, axis=1)
    found = analysis.analyze(samples_of(scores), plan(scale="binary", family="tukey"))
    assert found.omnibus is not None
    assert found.omnibus.p_value == 1
    assert [each.degenerate for each in found.comparisons] == ["identical"] * 3
    assert all(each.p_adjusted == 1 and each.ci_low == each.ci_high == 0 for each in found.comparisons)
    assert set(dict(found.letters).values()) == {"a"}


def test_a_binary_arm_that_is_always_better_is_testable():
    scores = np.stack([np.zeros(50), np.ones(50)], axis=1)
    (found,) = analysis.analyze(samples_of(scores), plan(scale="binary")).comparisons
    assert found.p_adjusted == pytest.approx(2**-50)
    assert found.ci_low is not None
    assert found.ci_low > 0.8


def test_the_estimate_of_the_winner_is_corrected_towards_the_others():
    found = analysis.analyze(samples_of(correlated(100, [0.0] * 9)), plan())
    assert found.best is not None
    assert found.best.estimate == max(each.estimate or 0 for each in found.comparisons)
    assert found.best.estimate_corrected is not None
    assert found.best.estimate_corrected < found.best.estimate
    assert found.best.ci_low_corrected < found.best.estimate_corrected < found.best.ci_high_corrected
    lower = analysis.analyze(samples_of(-correlated(100, [0.0] * 9)), plan(direction="lower"))
    assert lower.best is not None
    assert (lower.best.estimate, lower.best.estimate_corrected) == pytest.approx(
        (-found.best.estimate, -found.best.estimate_corrected)
    )
    assert (lower.best.ci_low_corrected, lower.best.ci_high_corrected) == pytest.approx(
        (-found.best.ci_high_corrected, -found.best.ci_low_corrected)
    )


def test_the_interval_of_the_winner_is_at_the_alpha_of_the_plan():
    """Far ahead of all others, it is a normal interval except for the tenth of alpha spent on the projection."""
    scores = correlated(400, [0.0, 0.0, 5.0])
    for alpha in (0.01, 0.05, 0.2):
        found = analysis.analyze(samples_of(scores), plan(alpha=alpha))
        best, std_error = found.best, found.comparisons[1].std_error
        assert best is not None
        half = stats.norm.isf(0.9 * alpha / (1 - 0.1 * alpha) / 2) * std_error
        assert best.estimate - best.ci_low_corrected == pytest.approx(half, rel=0.02)
        assert best.ci_high_corrected - best.estimate == pytest.approx(half, rel=0.02)


def test_a_winner_that_does_not_vary_has_no_interval():
    found = analysis.analyze(samples_of(np.arange(20.0)[:, None] + [0, 1, 3]), plan()).best
    assert found is not None
    assert (found.arm, found.estimate_corrected, found.ci_low_corrected, found.ci_high_corrected) == (
        "b",
        3,
        None,
        None,
    )


def test_the_mde_is_found_with_its_power():
    """A true difference of the mde is significant in 80 % of repetitions."""
    mde = analysis.analyze(samples_of(correlated(200, [0.0, 0.0, 0.0], seed=9)), plan()).power.pairs[0].mde
    assert mde is not None
    hits = [
        (
            analysis.analyze(samples_of(correlated(200, [0.0, mde, 0.0], seed=seed)), plan()).comparisons[0].p_adjusted
            or 0
        )
        <= 0.05
        for seed in range(150)
    ]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.13)


@pytest.mark.parametrize("discordant", [0.004, 0.02, 0.1])
def test_the_mde_of_rows_of_0_and_1_counts_the_rows_that_make_the_difference(discordant):
    """Against McNemar's own power: the spread of observed differences understates what unseen discordant rows add."""
    num_rows, rng = 1000, np.random.default_rng(5)
    few = round(discordant * num_rows / 2)
    control, arm = np.zeros(num_rows), np.zeros(num_rows)
    control[:few], arm[few : 2 * few] = 1, 1
    mde = analysis.analyze(samples_of(np.column_stack([control, arm])), plan(scale="binary")).power.mde
    better, worse = rng.binomial(num_rows, [[discordant / 2 + mde], [discordant / 2]], size=(2, 4000))
    hits = [proportions.mcnemar_midp(int(b), int(c)) <= 0.05 for b, c in zip(better, worse, strict=True)]
    assert np.mean(hits) == pytest.approx(0.82, abs=0.06)


def test_margins_answer_non_inferiority_and_equivalence():
    """TOST by scipy: two one-sided paired t-tests."""
    scores = correlated(100, [0, 0.1])
    found = analysis.analyze(samples_of(scores), plan(margins={"a": 0.4})).margins[0]
    low = stats.ttest_rel(scores[:, 1] + 0.4, scores[:, 0], alternative="greater").pvalue
    high = stats.ttest_rel(scores[:, 1] - 0.4, scores[:, 0], alternative="less").pvalue
    assert found.p_non_inferior == pytest.approx(low)
    assert found.p_equivalent == pytest.approx(max(low, high))
    assert found.non_inferior == (found.ci_low > -0.4)
    turned = analysis.analyze(samples_of(-scores), plan(margins={"a": 0.4}, direction="lower")).margins[0]
    assert (turned.p_non_inferior, turned.p_equivalent) == pytest.approx((found.p_non_inferior, found.p_equivalent))


def test_the_order_of_rows_never_shows():
    scores = correlated(9000, [0, 0.01, 0.02])  # two blocks of rows
    rows = np.arange(9000)
    order = np.random.default_rng(0).permutation(9000)
    arms = np.repeat(["control", "a", "b"], 9000)
    forth = from_long(arms, np.tile(rows, 3), scores.T.ravel())
    back = from_long(arms, np.tile(rows[order], 3), scores[order].T.ravel())
    assert analysis.analyze(forth, plan()).plain() == analysis.analyze(back, plan()).plain()


def test_threads_of_linear_algebra_never_show():
    """Families of two and of twenty arms, in a fresh process on one thread and on many."""
    import os
    import subprocess
    import sys

    program = (
        "from tests.stats.plans import correlated, plan, samples_of; from assay.stats import analysis; import hashlib, json\n"
        "found = [analysis.analyze(samples_of(correlated(9000, [0.0] * k)), plan(family='tukey')) for k in (2, 10)]\n"
        "print(hashlib.sha256(json.dumps([f.plain() for f in found]).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "8")
    }
    assert len(digests) == 1


EVERYTHING = (
    lambda: analysis.analyze(samples_of(correlated(400, [0, 0.1, 0.2])), plan(family="tukey", margins={"a": 1.0})),
    lambda: analysis.analyze(samples_of(_binary(30)), plan(scale="binary")),
    lambda: analysis.analyze(samples_of([[0.0, 1.0, 2.0]]), plan()),
    lambda: analysis.analyze(samples_of(np.arange(20.0)[:, None] + [0, 1]), plan(), exploratory=True),
    lambda: analysis.analyze(
        samples_of(correlated(400, [0, 0.1]), segment=np.arange(400) % 3, cluster=CLUSTERS),
        plan(columns={"segment": "s", "cluster": "c"}),
        guardrails=(MetricCheck("g", "higher", "continuous", 0.1, samples_of(correlated(400, [0, 0]))),),
    ),
)


@pytest.mark.parametrize("make", EVERYTHING, ids=("tukey", "binary", "one_row", "constant", "segments"))
def test_the_json_keeps_to_its_schema(make):
    jsonschema.validate(make().plain(), Analysis.model_json_schema(mode="serialization"))


def test_the_json_has_the_documented_keys():
    plain = EVERYTHING[0]().plain()
    assert {
        "design", "num_rows", "arms", "omnibus", "comparisons", "segments", "power", "warnings", "not_testable",
        "plan_digest", "exploratory",
    } <= set(plain)  # fmt: skip
    assert {"arm", "mean", "std_error", "ci_low", "ci_high"} <= set(plain["arms"][0])
    assert {"test", "statistic", "df_numerator", "df_denominator", "p_value", "p_value_corrected", "epsilon"} <= set(
        plain["omnibus"]
    )
    assert {
        "arm", "reference", "estimate", "std_error", "statistic", "df", "p_value", "p_adjusted", "ci_low", "ci_high",
        "method",
    } <= set(plain["comparisons"][0])  # fmt: skip
    assert "mde" in plain["power"]
    assert plain["plan_digest"] == plan(family="tukey", margins={"a": 1.0}).digest()


def test_infinite_scores_are_refused_by_row():
    scores = correlated(40, [0, 0.1])
    samples = samples_of(scores)
    samples.scores_RA[7, 1] = np.inf
    with pytest.raises(SamplesError, match=r"arm 'a', row 7: score: 1 of 80 scores are infinite"):
        analysis.analyze(samples, plan())


@pytest.mark.parametrize("unit", [1e-141, 1e151])
def test_scores_whose_squares_leave_float64_are_refused_wherever_they_come_in(unit):
    scores, guard = (replace(samples_of([[1.0, 1.0]] * 40), kept_RA=correlated(40, [0, 0.1])) for _ in range(2))
    beyond = replace(scores, kept_RA=scores.scores_RA * unit)
    with pytest.raises(SamplesError, match=r"outside the range of float64.*rescale"):
        analysis.analyze(beyond, plan())
    guardrail = MetricCheck("g", "higher", "continuous", unit, beyond)
    with pytest.raises(SamplesError, match=r"outside the range of float64.*rescale"):
        analysis.analyze(guard, plan(), guardrails=(guardrail,))


def test_rows_of_no_segment_are_a_segment():
    segments = np.array(["x", None] * 50, dtype=object)
    samples = replace(samples_of(correlated(100, [0, 0.1])), segments_R=segments)
    found = analysis.analyze(samples, plan(columns={"segment": "s"}))
    assert [(segment.segment, segment.num_rows) for segment in found.segments] == [("(none)", 50), ("x", 50)]


def test_two_best_variants_are_tied():
    scores = _binary(200, chances=(0.5, 0.8, 0.6))
    found = analysis.analyze(samples_of(np.column_stack([scores, scores[::-1, 1]])), plan(scale="binary")).best
    assert found is not None
    assert (found.arm, found.estimate_corrected, found.method) == ("a", None, "none: tied with another variant")
    assert (found.ci_low_corrected, found.ci_high_corrected) == (None, None)
