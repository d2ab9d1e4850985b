"""Publishes a run's progress in the ledger and checks there whether its submission was cancelled."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from assay.cluster.cost.projects import spent_before
from assay.cluster.drive.events import utc_now
from assay.cluster.errors import StoppedError
from assay.evaluator.errors import StoreError
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import cancel_key, progress_key
from assay.manifests.plain_text import text_of
from assay.manifests.progress import ArmProgress, Progress, ProgressState
from assay.manifests.run import Run
from assay.manifests.spent import Spent

_INTERVAL_S = 1.0


@dataclass(frozen=True)
class SlotCounts:
    """What a driver's slots are doing.

    Attributes:
        num_slots: Slots that are ready.
        num_slots_busy: Slots with a unit in flight.
        num_retries: Units that were retried.
        spent: What this driver's slots have cost.
    """

    num_slots: int = 0
    num_slots_busy: int = 0
    num_retries: int = 0
    spent: Spent = field(default_factory=Spent)


class ProgressReporter:
    """Publishes a run's progress in the ledger and checks there whether its submission was cancelled.

    While a run works, it does both at most once a second, however short units are.
    """

    def __init__(
        self,
        run: Run,
        *,
        num_units: int,
        num_rows: int,
        store: Store,
        submission_id: str,
        on_progress: Callable[[str, int], None] = lambda _arm, _num_units: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts with no unit done.

        Args:
            run: The opened run.
            num_units: Units per arm.
            num_rows: Rows per arm.
            store: The ledger.
            submission_id: The submission that this driver works for; empty if the run was not submitted.
            on_progress: Called with an arm's name and how many more of its units are in the ledger; negative if a
                damaged unit was taken back.
            clock: A monotonic clock, in seconds.
        """
        self._run, self._store, self._submission_id, self._clock = run, store, submission_id, clock
        self._on_progress = on_progress
        self._num_units, self._num_rows = num_units, num_rows
        self._show: Callable[[Progress], None] = lambda _progress: None
        self._rows = {arm.name: dict[int, int]() for arm in run.experiment.arms}
        self._failed: dict[str, str] = {}
        self._eliminated: dict[str, str] = {}
        self._counts = SlotCounts()
        self._spent_before = spent_before(store, run)
        self._num_evaluated = self._num_rows_evaluated = self._bytes_fetched = 0
        self._began_at_s = clock()
        self._published_at_s = float("-inf")
        self._started_at = utc_now()

    def show_on(self, show: Callable[[Progress], None]) -> None:
        """Sets a function that is called with every progress published from now on."""
        self._show = show

    def add_existing_unit(self, receipt: UnitReceipt) -> None:
        """Counts a unit that was in the ledger already or was reused."""
        self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self._on_progress(receipt.arm, 1)

    def add_published_unit(self, receipt: UnitReceipt) -> None:
        """Counts a unit that this driver's slots have evaluated."""
        self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self._num_evaluated += 1
        self._num_rows_evaluated += receipt.num_rows
        if receipt.facts.attempt is not None:
            self._bytes_fetched += receipt.facts.attempt.timing.bytes_fetched
        self._on_progress(receipt.arm, 1)

    def take_back(self, receipt: UnitReceipt) -> None:
        """Takes back a unit that was counted, because its file is damaged."""
        del self._rows[receipt.arm][receipt.unit]
        self._on_progress(receipt.arm, -1)

    def arm_failed(self, arm: str, reason: str) -> None:
        """Marks an arm as failed."""
        self._failed[arm] = reason

    def arm_eliminated(self, arm: str, reason: str) -> None:
        """Marks an arm as eliminated from the race."""
        self._eliminated[arm] = reason

    @property
    def spent(self) -> Spent:
        """What the run has cost, including what its earlier drivers had recorded."""
        return self._spent_before + self._counts.spent

    def update(self, counts: SlotCounts) -> None:
        """Sets what slots are doing now."""
        self._counts = counts

    def poll_cancelled(self) -> str:
        """Publishes the progress and looks for a cancellation, unless it did so within the last second.

        Returns:
            A message if the submission was cancelled; empty if it was not or if the last check was under a second ago.
        """
        if self._clock() - self._published_at_s < _INTERVAL_S:
            return ""
        self._published_at_s = self._clock()
        self.publish()
        return f"submission '{self._submission_id}' was cancelled" if self.is_cancelled() else ""

    def publish(self) -> None:
        """Publishes the current progress, whenever it was last published."""
        self._publish("running", "")

    def is_cancelled(self) -> bool:
        """Whether the ledger has the submission's cancel marker; False if the ledger does not answer."""
        try:
            return bool(self._submission_id) and self._store.exists(cancel_key(self._submission_id))
        except (StoreError, OSError):  # the check is repeated in a second, and units retry the same store themselves
            return False

    def end(self, error: BaseException | None) -> None:
        """Publishes the run's final state: committed, stopped, cancelled or failed."""
        if error is None:
            self._publish("committed", "")
            return
        state = "stopped" if isinstance(error, StoppedError) else "failed"
        self._publish("cancelled" if self.is_cancelled() else state, text_of(error) or type(error).__name__)

    def progress(self, state: ProgressState, reason: str) -> Progress:
        """The progress record as of now."""
        out = {*self._failed, *self._eliminated}
        num_left = sum(self._num_units - len(done) for arm, done in self._rows.items() if arm not in out)
        elapsed_s = self._clock() - self._began_at_s
        return Progress(
            run_id=self._run.run_id,
            state=state,
            reason=reason,
            num_units=self._num_units,
            num_rows=self._num_rows,
            arms=tuple(
                ArmProgress(
                    arm=arm,
                    num_units_done=len(done),
                    num_rows_done=sum(done.values()),
                    failed=self._failed.get(arm, ""),
                    eliminated=self._eliminated.get(arm, ""),
                )
                for arm, done in self._rows.items()
            ),
            num_slots=self._counts.num_slots,
            num_slots_busy=self._counts.num_slots_busy,
            num_retries=self._counts.num_retries,
            rows_per_s=self._num_rows_evaluated / max(elapsed_s, 1e-9) if self._num_evaluated else None,
            bytes_fetched=self._bytes_fetched,
            spent=self.spent,
            eta_s=elapsed_s / self._num_evaluated * num_left if self._num_evaluated else None,
            started_at=self._started_at,
            updated_at=utc_now(),
        )

    def _publish(self, state: ProgressState, reason: str) -> None:
        progress = self.progress(state, reason)
        self._show(progress)
        try:
            self._store.replace(progress_key(self._run.run_id), progress.model_dump_json().encode())
        except (StoreError, OSError):  # a run does not fail because its progress could not be published
            return


@contextmanager
def reporting(reporter: ProgressReporter) -> Iterator[ProgressReporter]:
    """Publishes the run's final state when the block ends or raises."""
    try:
        yield reporter
    except BaseException as error:
        reporter.end(error)
        raise
    reporter.end(None)
