"""A trial: times a few batches of an arm in this process, for a forecast."""

import time
from dataclasses import dataclass, replace

from assay.cluster.drive.arm_scorer import ArmScorer
from assay.evaluator.batches import Unit


@dataclass(frozen=True)
class Trial:
    """How long a few batches of an arm took.

    Attributes:
        num_rows: Rows in these batches.
        seconds: Seconds to score them the second time, without writing a unit.
        setup_s: Seconds for loading and the batch-size probe, plus how much longer the first time took.
        device: The type of device, such as `cpu` or `cuda`.
    """

    num_rows: int
    seconds: float
    setup_s: float
    device: str


def time_batches(scorer: ArmScorer, arm: str, *, num_batches: int) -> Trial:
    """Loads an arm and scores its first batches twice; publishes nothing.

    Raises:
        Exception: Whatever the variant's code raises.
    """
    first = scorer.first_batches
    unit = replace(first, num_rows=min(first.num_rows, num_batches * first.batch_size))
    scorer.load(arm)
    scorer.probe()
    first_s, second_s = _seconds(scorer, unit), _seconds(scorer, unit)
    preparation = scorer.take_preparation()
    setup_s = preparation.load_s + preparation.probe_s + max(first_s - second_s, 0.0)
    return Trial(unit.num_rows, second_s, setup_s, scorer.device.type)


def _seconds(scorer: ArmScorer, unit: Unit) -> float:
    started = time.perf_counter()
    scorer.score(unit)
    return time.perf_counter() - started
