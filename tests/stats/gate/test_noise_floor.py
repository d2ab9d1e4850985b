"""The noise floor: from the batch size, between two scorings of the control, or unknown."""

from dataclasses import replace

import numpy as np
import pytest

from assay.stats import analysis
from assay.stats.errors import SamplesError
from assay.stats.gate import calibration, decide, noise_floor
from assay.stats.gate.evidence import ArmEvidence
from tests.stats.plans import IMPROVEMENT, differing, plan

AGAIN = "b"
"""The last arm, which serves as the A/A arm."""


def found(*means, **changes):
    planned = plan(**changes)
    return analysis.analyze(differing(*means), planned), planned


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize(
    ("again", "floors", "size", "words"),
    [
        (0.1, {}, 0.1, "the control differs from itself by 0.1"),
        (-0.1, {}, 0.1, "the control differs from itself by 0.1"),  # noise has no direction
        (0.1, {"a": 0.2}, 0.2, "the batch size alone changes it by 0.2"),
        (0.1, {"control": 0.2}, 0.2, "the batch size alone changes it by 0.2"),
        (0.1, {"a": 0.05, "control": 0.05}, 0.1, "the control differs from itself by 0.1"),
        (
            0.1,
            {AGAIN: 0.2},
            0.1,
            "the control differs from itself by 0.1",
        ),  # the batch-size sensitivity of another arm does not matter
    ],
)
def test_the_largest_noise_counts_and_is_named(direction, again, floors, size, words):
    analysed, _ = found(0.3, again, direction=direction)
    floor = noise_floor.of(analysed, "a", ArmEvidence(noise_floors=floors, aa_arm=AGAIN))
    assert floor.size == pytest.approx(size)
    assert floor.reason.startswith(words)


@pytest.mark.parametrize(
    ("gain", "again", "decision"), [(0.3, 0.2, "promote"), (0.3, 0.4, "hold"), (0.3, -0.4, "hold")]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_only_an_improvement_beyond_it_is_promoted(sign, gain, again, decision):
    direction = {1: "higher", -1: "lower"}[sign]
    analysed, planned = found(sign * gain, again, direction=direction)
    variant, once_more = decide.decide(analysed, IMPROVEMENT, planned, ArmEvidence(aa_arm=AGAIN))
    assert (variant.arm, variant.decision, variant.is_control) == ("a", decision, False)
    assert (once_more.arm, once_more.decision, once_more.is_control) == (AGAIN, "hold", True)
    assert decide.decide(analysed, IMPROVEMENT, planned)[0].decision == "promote"


def test_harm_is_harm_whatever_the_noise():
    analysed, planned = found(-0.3, 0.4)
    assert decide.decide(analysed, IMPROVEMENT, planned, ArmEvidence(aa_arm=AGAIN))[0].decision == "reject"


def test_an_arm_that_was_never_measured_leaves_noise_without_bound():
    analysed, planned = found(0.3)
    decisions = decide.decide(analysed, IMPROVEMENT, planned, ArmEvidence(failed={AGAIN: "no memory"}, aa_arm=AGAIN))
    assert [(each.arm, each.decision) for each in decisions] == [("a", "hold"), (AGAIN, "hold")]
    assert "it is unknown, because the A/A arm" in decisions[0].reasons[0]
    assert "could not be measured: no memory" in decisions[1].reasons[0]


def test_a_calibration_holds_what_the_noise_hides_and_plants_nothing_in_the_control():
    planned = plan()
    given = {"num_permutations": 20, "seed": 1}
    # After permuting, an arm that differs in every row is as far from the control as any other.
    samples = differing(0.0, 0.0)
    alone = calibration.calibrated(samples, (), planned, IMPROVEMENT, evidence=ArmEvidence(), **given)
    beside = calibration.calibrated(samples, (), planned, IMPROVEMENT, evidence=ArmEvidence(aa_arm=AGAIN), **given)
    promoted = {each.multiple: each.promote for each in beside}
    assert promoted[2] > 0.9  # twice the minimum detectable effect is beyond chance
    assert promoted[None] <= alone[0].promote
    with pytest.raises(SamplesError, match="the run has no variant, so there are no arms to permute"):
        calibration.calibrated(differing(0.0), (), planned, IMPROVEMENT, evidence=ArmEvidence(aa_arm="a"), **given)


def test_rows_that_were_repeated_are_moved_as_numbers_when_a_calibration_plants():
    rng = np.random.default_rng(3)
    repeats_PRA = rng.random((4, 300, 3)) < 0.7
    samples = replace(differing(0.0, 0.0, num_rows=300), kept_RA=repeats_PRA.mean(axis=0), num_repeats=4)
    rates = calibration.calibrated(
        samples, (), plan(scale="binary"), IMPROVEMENT, num_permutations=5, seed=1, evidence=ArmEvidence()
    )
    assert rates[-1].multiple == 2
    assert rates[-1].promote == 1.0
