"""What a slot does with each unit once its arm is loaded: evaluates and publishes it, unless a caller passes other work."""

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Published
from assay.evaluator.batches import Unit
from assay.evaluator.ledger.writer import publish_unit
from assay.evaluator.probes.batch_size import BatchSizeSensitivity
from assay.evaluator.storage import Store


class UnitWork(Protocol):
    """The work of a slot. It is pickled to the slot's process, so each slot has its own copy.

    Attributes:
        checks_weights: Whether an arm fails if its weights have changed since the run was opened.
        times_control: Whether arms are timed against the control, if the plan has a latency guardrail.
    """

    checks_weights: bool
    times_control: bool

    def perform(
        self, task: Task, unit: Unit, *, scorer: ArmScorer, sensitivity: BatchSizeSensitivity, ledger: Store, slot: str
    ) -> Callable[[], Published]:
        """Works on one unit of the loaded arm, except for what need not be done before the next unit.

        Args:
            task: The arm, the unit's index and the number of the attempt.
            unit: The unit, with the batch size to score it with.
            scorer: Has the task's arm loaded and probed.
            sensitivity: The batch-size sensitivity that the probe measured.
            ledger: The run's ledger.
            slot: The slot's name in the ledger.

        Returns:
            Does the rest, in another thread, while the slot works on the next unit of the same arm.
        """
        ...


class PublishUnit:
    """Evaluates a unit and publishes it in the ledger."""

    checks_weights = True
    times_control = True

    def perform(
        self, task: Task, unit: Unit, *, scorer: ArmScorer, sensitivity: BatchSizeSensitivity, ledger: Store, slot: str
    ) -> Callable[[], Published]:
        """Scores the unit; the rest is to publish it with the conditions under which it was scored."""
        started_at = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
        result = scorer.score(unit)
        resources = scorer.run.experiment.resources
        circumstance = {
            "slot": slot,
            "device": scorer.device.type,
            "attempt": task.attempt,
            "first_row": unit.first_row,
            "started_at": started_at,
            **scorer.take_preparation(),
            "num_cpus": resources.num_cpus,
            "num_gpus": resources.num_gpus,
            "accelerator_type": scorer.accelerator_type,
            "shard_cache": scorer.cache_problem or "shared",
            "environment_digest": scorer.environment.identity_digest,
            **scorer.conditions(),
            "batch_size": unit.batch_size,
            "batch_sensitivity": asdict(sensitivity),
            **scorer.footprint(),
            "opened_files": scorer.opened_files(),
        }
        times, scorer.paired_times = scorer.paired_times, None  # recorded with one unit per load
        if times is not None:
            circumstance["latency"] = asdict(times)

        def publish() -> Published:
            receipt, is_ours = publish_unit(
                ledger, result, run=scorer.run, arm=task.arm, unit=task.unit, circumstance=circumstance
            )
            if times is not None and not is_ours:
                scorer.paired_times = times  # for a later unit
            return Published(receipt, is_ours, result.digest)

        return publish
