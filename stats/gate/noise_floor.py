"""The noise floor: by how much a run's scores move between runs of the same model."""

from dataclasses import dataclass

from assay.stats.gate.evidence import ArmEvidence
from assay.stats.results.analysis_record import Analysis


@dataclass(frozen=True)
class NoiseFloor:
    """What an improvement has to exceed to be one.

    Attributes:
        size: In units of the primary metric.
        reason: What it is, in words.
        next_step: What would lower it.
    """

    size: float
    reason: str
    next_step: str


def of(analysis: Analysis, arm: str, evidence: ArmEvidence) -> NoiseFloor:
    """The largest noise that is known: of the batch size, or of the control that was scored twice.

    Args:
        analysis: The analysis.
        arm: A variant.
        evidence: Noise floors, and the A/A arm: where that has no score, noise has no bound.
    """
    noise_floors, aa_arm = evidence.noise_floors, evidence.aa_arm
    size = max(noise_floors.get(arm, 0.0), noise_floors.get(analysis.control, 0.0))
    of_batches = NoiseFloor(
        size,
        f"the batch size alone moves it by {size:.4g}",
        "find out why its scores depend on the batch, or let the suite score rows one by one",
    )
    if aa_arm is None:
        return of_batches
    comparison = analysis.against_control(aa_arm)
    if comparison is None or comparison.estimate is None:
        return NoiseFloor(
            float("inf"), f"nobody knows it, for the A/A arm '{aa_arm}' has no score", f"measure '{aa_arm}'"
        )
    size = abs(comparison.estimate)
    of_control = NoiseFloor(
        size,
        f"the control differs from itself by {size:.4g} ('{aa_arm}', the A/A arm)",
        "find out what its scores depend on beside rows and seed, or let the suite repeat rows more often",
    )
    return max(of_batches, of_control, key=lambda noise: noise.size)
