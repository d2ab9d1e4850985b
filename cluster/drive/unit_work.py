"""What a slot does with each unit once its arm is loaded: evaluates and publishes it, unless a caller passes other work."""

import datetime as dt
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Published
from assay.evaluator.batches import Unit
from assay.evaluator.ledger.receipt import Attempt, UnitFacts, UnitReceipt
from assay.evaluator.ledger.writer import publish_unit
from assay.evaluator.results import BatchSizeSensitivity
from assay.evaluator.storage import Store

if TYPE_CHECKING:  # it imports torch, which the process of a slot does not need
    from assay.cluster.drive.arm_scorer import ArmScorer


class UnitWork(Protocol):
    """The work of a slot. It is pickled to the slot's process, so each slot has its own copy.

    Attributes:
        checks_weights: Whether an arm fails if its weights have changed since the run was opened.
        times_control: Whether arms are timed against the control, if the plan has a latency guardrail.
    """

    checks_weights: bool
    times_control: bool

    @property
    def receipt_class(self) -> type[UnitReceipt]:
        """The class of the receipts in its outcomes."""
        ...

    def perform(
        self,
        task: Task,
        unit: Unit,
        *,
        scorer: "ArmScorer",
        sensitivity: BatchSizeSensitivity,
        ledger: Store,
        slot: str,
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
    receipt_class = UnitReceipt

    def perform(
        self,
        task: Task,
        unit: Unit,
        *,
        scorer: "ArmScorer",
        sensitivity: BatchSizeSensitivity,
        ledger: Store,
        slot: str,
    ) -> Callable[[], Published]:
        """Scores the unit; the rest is to publish it with the conditions under which it was scored."""
        started_at = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
        result = scorer.score(unit)
        attempt = Attempt(
            slot=slot,
            number=task.attempt,
            started_at=started_at,
            shard_cache=scorer.cache_problem or "shared",
            preparation=scorer.take_preparation(),
            timing=result.timing,
        )
        times, scorer.paired_times = scorer.paired_times, None  # recorded with one unit per load
        facts = UnitFacts(
            first_row=unit.first_row,
            batch_size=unit.batch_size,
            conditions=scorer.conditions(),
            footprint=scorer.footprint(),
            batch_sensitivity=sensitivity,
            opened_files=scorer.opened_files(),
            unanswered=result.unanswered,
            first_unanswered=result.first_unanswered,
            score_sums=result.score_sums,
            repeat_sums=result.repeat_sums,
            nonce=secrets.token_hex(16),
            latency=times,
            attempt=attempt,
            altered_by=scorer.altered_by(task.arm),
        )

        def publish() -> Published:
            stored = publish_unit(ledger, result, facts, run=scorer.run, arm=task.arm, unit=unit)
            if times is not None and not stored.is_ours:
                scorer.paired_times = times  # for a later unit
            return Published(stored.receipt, stored.is_ours, result.digest, stored.set_aside)

        return publish
