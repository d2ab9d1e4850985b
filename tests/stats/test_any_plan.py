"""Any plan on any scores: a result of finite numbers, or an error of ours."""

import jsonschema
import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from assay.manifests.analysis import Analysis
from assay.manifests.errors import InvalidInput
from assay.manifests.plan import Omnibus, Posthoc
from assay.stats import analysis
from assay.stats.errors import SamplesError
from assay.stats.gate import decide
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.samples.columns import from_long, from_wide
from tests.stats.plans import IMPROVEMENT, NON_INFERIORITY, holding, plan

SCHEMA = jsonschema.Draft202012Validator(Analysis.model_json_schema(mode="serialization"))
VALUES = {
    "binary": st.sampled_from([0.0, 1.0]),
    "ordinal": st.sampled_from([1.0, 2.0, 3.0]),
    "count": st.integers(0, 4).map(float),
    "continuous": st.sampled_from([0.0, 0.1, 0.5, -3.0, 1e9, 1e-9]) | st.floats(-1, 1),
}


@st.composite
def questions(draw):
    """Samples and a plan, more often degenerate than not."""
    scale = draw(st.sampled_from(sorted(VALUES)))
    num_rows, num_arms = draw(st.sampled_from([1, 2, 3, 8, 31, 70])), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    few = draw(st.lists(VALUES[scale], min_size=1, max_size=4))
    scores = rng.choice(few, size=(num_rows, num_arms))
    if draw(st.booleans()) and scale == "continuous":
        scores = scores + rng.normal(size=scores.shape)
    for index in range(1, num_arms):
        kind = draw(st.sampled_from(["own", "copy", "moved"]))
        if kind != "own":
            scores[:, index] = scores[:, 0] + (0.25 if kind == "moved" and scale == "continuous" else 0)
    if draw(st.integers(0, 3)) == 0:
        scores[rng.random(scores.shape) < 0.1] = np.nan
    arms = ("control", "a", "b", "c")[:num_arms]
    grouping = {
        "segment": rng.integers(0, 2, size=num_rows) if draw(st.integers(0, 2)) == 0 else None,
        "cluster": rng.integers(0, 12, size=num_rows) if draw(st.integers(0, 2)) == 0 else None,
    }
    columns = {name: name for name, values in grouping.items() if values is not None}
    design = draw(st.sampled_from(["paired", "paired", "unpaired"]))
    try:
        if design == "paired":
            samples = from_wide(arms, np.arange(num_rows), scores, **grouping)
        else:
            long = {name: None if values is None else np.tile(values, num_arms) for name, values in grouping.items()}
            samples = from_long(np.repeat(arms, num_rows), None, scores.T.ravel(), order=arms, **long)
    except SamplesError:  # all scores too small for a variance: covered by another test
        reject()
    planned = plan(
        design=design,
        scale=scale,
        columns=columns,
        family=draw(st.sampled_from(["dunnett", "tukey"])),
        direction=draw(st.sampled_from(["higher", "lower"])),
        missing=draw(st.sampled_from(["refuse", "worst", "listwise"])),
        omnibus=draw(st.sampled_from(["auto"] * 9 + list(Omnibus.__args__))),
        posthoc=draw(st.sampled_from(["auto"] * 9 + list(Posthoc.__args__))),
        margins=draw(st.sampled_from([{}, {"a": 0.1}, {"a": 0.0}])),
        guardrails=draw(st.sampled_from([(), holding("g")])),
    )
    guardrails = ()
    if design == "paired" and planned.guardrails:
        guardrails = (MetricCheck("g", "lower", "continuous", 0.1, samples),)
    return samples, planned, guardrails


def answered(samples, planned, guardrails):
    """The result, or the message of an error."""
    try:
        return analysis.analyze(samples, planned, guardrails=guardrails)
    except InvalidInput as refusal:
        return str(refusal)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions())
def test_any_question_is_answered_or_refused(question):
    samples, planned, guardrails = question
    found = answered(samples, planned, guardrails)
    if isinstance(found, str):
        assert len(found) > 20
        return
    SCHEMA.validate(found.plain())
    for comparison in found.comparisons:
        tested = comparison.p_adjusted is not None
        assert tested == (comparison.not_testable is None)
        assert tested == (comparison.ci_low is not None)
        if tested:
            assert 0 <= comparison.p_value <= comparison.p_adjusted <= 1
            assert comparison.ci_low <= comparison.estimate <= comparison.ci_high
        if comparison.degenerate == "identical":
            assert (comparison.p_adjusted, comparison.ci_low, comparison.ci_high) == (1, 0, 0)
    for policy in (IMPROVEMENT, NON_INFERIORITY):
        decisions = decide.decide(found, policy, planned)
        assert [decision.arm for decision in decisions] == list(samples.arms[1:] or samples.arms)
        assert all(decision.reasons and decision.next_step for decision in decisions)
