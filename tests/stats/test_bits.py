"""Scores of 0 and 1 stored as bool: an eighth of the memory, the same results to the last bit."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from assay.stats import analysis
from assay.stats.guardrails.metric_check import MetricCheck
from tests.stats.plans import holding, plan, samples_of

NUM_ROWS = 400
CLUSTERS, SEGMENTS = np.repeat(np.arange(40), NUM_ROWS // 40), np.resize(["x", "y", "y", "z"], NUM_ROWS)


def both(*, num_rows=NUM_ROWS, chances=(0.5, 0.6, 0.7), **columns):
    """The same samples as float64 and as bool."""
    numbers = samples_of(np.random.default_rng(0).random((num_rows, len(chances))) < chances, **columns)
    return numbers, replace(numbers, kept_RA=numbers.scores_RA == 1)


ANYWHERE = (
    *({"family": family, "posthoc": posthoc} for family in ("dunnett", "tukey") for posthoc in ("auto", "t_holm")),
    {"scale": "continuous"},
    {"scale": "ordinal"},
    {"missing": "worst"},
)
ON_INDEPENDENT_ROWS = (
    *({"omnibus": omnibus} for omnibus in ("friedman", "rm_anova", "hotelling")),
    {"posthoc": "mcnemar_holm"},
)


@pytest.mark.parametrize(
    ("columns", "changes"),
    [
        *(({"cluster": CLUSTERS}, changes) for changes in ANYWHERE),
        *((columns, changes) for columns in ({}, {"segment": SEGMENTS}) for changes in ANYWHERE + ON_INDEPENDENT_ROWS),
    ],
)
@pytest.mark.parametrize("chances", [(0.5, 0.6, 0.7), (0.5, 0.6), (1, 1, 0.99)])
def test_analyses_are_equal_to_the_last_bit(changes, columns, chances):
    planned = plan(columns={name: name for name in columns}, **{"scale": "binary", **changes})
    numbers, bits = (analysis.analyze(samples, planned) for samples in both(chances=chances, **columns))
    assert bits == numbers


def test_so_are_guardrails():
    planned = plan(scale="binary", guardrails=holding("guard"))
    primary, _ = both()
    numbers, bits = (
        analysis.analyze(primary, planned, guardrails=[MetricCheck("guard", "higher", "binary", 0.1, samples)])
        for samples in both(chances=(0.7, 0.65, 0.5))
    )
    assert bits.guardrails
    assert bits == numbers


def test_an_analysis_makes_no_whole_copy_of_them():
    _, few = both(chances=np.linspace(0.6, 0.7, 10))
    _, bits = both(num_rows=400_000, chances=np.linspace(0.6, 0.7, 10))
    analysis.analyze(few, plan(scale="binary"))  # imports
    tracemalloc.start()
    analysis.analyze(bits, plan(scale="binary"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < bits.scores_RA.nbytes / 2
