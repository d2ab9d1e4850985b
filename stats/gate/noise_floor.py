"""The noise floor: how much the primary metric varies without a change of the model."""

from dataclasses import dataclass

from assay.manifests.analysis import Analysis
from assay.stats.gate.evidence import ArmEvidence


@dataclass(frozen=True)
class NoiseFloor:
    """The size that an improvement must exceed to count.

    Attributes:
        size: Size in units of the primary metric.
        reason: Where the noise comes from, as text.
        next_step: How to lower it.
    """

    size: float
    reason: str
    next_step: str


def of(analysis: Analysis, arm: str, evidence: ArmEvidence) -> NoiseFloor:
    """The larger of two kinds of noise: from the batch size, and between two scorings of the control.

    Args:
        analysis: The analysis.
        arm: A variant.
        evidence: Noise floors and the A/A arm. If the A/A arm has no score, the noise floor is infinite.
    """
    noise_floors, aa_arm = evidence.noise_floors, evidence.aa_arm
    size = max(noise_floors.get(arm, 0.0), noise_floors.get(analysis.control, 0.0))
    of_batches = NoiseFloor(
        size,
        f"the batch size alone changes it by {size:.4g}",
        "find out why its scores depend on the batch size, or set 'batch_size: 1' in the suite",
    )
    if aa_arm is None:
        return of_batches
    comparison = analysis.against_control(aa_arm)
    if comparison is None or comparison.estimate is None:
        return NoiseFloor(
            float("inf"), f"it is unknown, because the A/A arm '{aa_arm}' has no score", f"measure '{aa_arm}'"
        )
    size = abs(comparison.estimate)
    of_control = NoiseFloor(
        size,
        f"the control differs from itself by {size:.4g} ('{aa_arm}', the A/A arm)",
        "find out what its scores depend on other than rows and seed, or raise 'repeats' in the suite",
    )
    return max(of_batches, of_control, key=lambda noise: noise.size)
