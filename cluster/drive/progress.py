"""Progress of a run, told through the ledger, and the word that its submission was cancelled, heard there."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from assay.cluster.cost.projects import told_spent
from assay.cluster.errors import StoppedError
from assay.evaluator.errors import StoreError
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import cancel_key, progress_key
from assay.manifests.progress import ArmProgress, Progress, ProgressState
from assay.manifests.run import Run
from assay.manifests.spent import Spent

_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Pulse:
    """What a driver's slots are doing.

    Attributes:
        num_slots: Slots that are ready.
        num_slots_busy: Slots with a unit in hand.
        num_retries: Units that had to be tried again.
        spent: What this driver's slots have cost.
    """

    num_slots: int = 0
    num_slots_busy: int = 0
    num_retries: int = 0
    spent: Spent = field(default_factory=Spent)


class Watch:
    """Tells, through the ledger, how far a run is, and hears there whether its submission was cancelled.

    Cheap whatever units cost: the ledger is written and asked at most once a second.
    """

    def __init__(
        self,
        run: Run,
        *,
        num_units: int,
        num_rows: int,
        store: Store,
        submission_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Knows nothing as done yet.

        Args:
            run: The opened run.
            num_units: Units per arm.
            num_rows: Rows per arm.
            store: The ledger.
            submission_id: The submission that this driver carries out; empty if nobody submitted it.
            clock: Seconds that only go on.
        """
        self._run, self._store, self._submission_id, self._clock = run, store, submission_id, clock
        self._num_units, self._num_rows = num_units, num_rows
        self._show: Callable[[Progress], None] = lambda _progress: None
        self._rows = {arm.name: dict[int, int]() for arm in run.experiment.arms}
        self._failed: dict[str, str] = {}
        self._dropped: dict[str, str] = {}
        self._pulse = Pulse()
        self._spent_before = self._told_before()
        self._num_evaluated = self._num_rows_evaluated = self._bytes_fetched = 0
        self._began_at_s = clock()
        self._looked_at_s = float("-inf")
        self._started_at = now()

    def show_on(self, show: Callable[[Progress], None]) -> None:
        """Everything that is told from now on is shown there, too."""
        self._show = show

    def found(self, receipts: Sequence[UnitReceipt]) -> None:
        """These units were in the ledger already, or were taken over."""
        for receipt in receipts:
            self._rows[receipt.arm][receipt.unit] = receipt.num_rows

    def published(self, receipt: UnitReceipt) -> None:
        """This unit was evaluated now."""
        self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self._num_evaluated += 1
        self._num_rows_evaluated += receipt.num_rows
        self._bytes_fetched += receipt.facts.get("bytes_fetched", 0)

    def arm_failed(self, arm: str, reason: str) -> None:
        """This arm will not be finished."""
        self._failed[arm] = reason

    def arm_dropped(self, arm: str, reason: str) -> None:
        """This arm is out of the race."""
        self._dropped[arm] = reason

    @property
    def spent(self) -> Spent:
        """What the run has cost, its earlier drivers included as far as they could tell."""
        return self._spent_before + self._pulse.spent

    def beat(self, pulse: Pulse) -> None:
        """This is what slots are doing now."""
        self._pulse = pulse

    def look(self) -> str:
        """Tells and listens, unless it has done so within the last second.

        Returns:
            That the submission was cancelled, in words; empty if it was not, or if nobody looked.
        """
        if self._clock() - self._looked_at_s < _INTERVAL_S:
            return ""
        self._looked_at_s = self._clock()
        self.tell()
        return f"submission '{self._submission_id}' was cancelled" if self.is_cancelled() else ""

    def tell(self) -> None:
        """Tells how far it is, now."""
        self._tell("running", "")

    def is_cancelled(self) -> bool:
        """Whether the ledger holds the submission's cancel marker; no, if the ledger does not answer."""
        try:
            return bool(self._submission_id) and self._store.exists(cancel_key(self._submission_id))
        except (StoreError, OSError):  # units meet the same trouble, with retries; this is asked again in a second
            return False

    def end(self, error: BaseException | None) -> None:
        """Tells how it ended."""
        if error is None:
            self._tell("committed", "")
            return
        state = "stopped" if isinstance(error, StoppedError) else "failed"
        self._tell("cancelled" if self.is_cancelled() else state, str(error) or type(error).__name__)

    def progress(self, state: ProgressState, reason: str) -> Progress:
        """What there is to tell."""
        out = {*self._failed, *self._dropped}
        left = sum(self._num_units - len(done) for arm, done in self._rows.items() if arm not in out)
        spent_s = self._clock() - self._began_at_s
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
                    dropped=self._dropped.get(arm, ""),
                )
                for arm, done in self._rows.items()
            ),
            num_slots=self._pulse.num_slots,
            num_slots_busy=self._pulse.num_slots_busy,
            num_retries=self._pulse.num_retries,
            rows_per_s=self._num_rows_evaluated / max(spent_s, 1e-9) if self._num_evaluated else None,
            bytes_fetched=self._bytes_fetched,
            spent=self.spent,
            eta_s=spent_s / self._num_evaluated * left if self._num_evaluated else None,
            started_at=self._started_at,
            updated_at=now(),
        )

    def _told_before(self) -> Spent:
        """What the last driver of the run, or of the one that this one supersedes, said that it had cost."""
        for run_id in (self._run.run_id, self._run.supersedes):
            told = None if run_id is None else told_spent(self._store, run_id)
            if told is not None:
                return told
        return Spent()

    def _tell(self, state: ProgressState, reason: str) -> None:
        progress = self.progress(state, reason)
        self._show(progress)
        try:
            self._store.replace(progress_key(self._run.run_id), progress.model_dump_json().encode())
        except (StoreError, OSError):  # a run does not end because nobody could be told how far it is
            return


@contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """Tells at the end how it went."""
    try:
        yield watch
    except BaseException as error:
        watch.end(error)
        raise
    watch.end(None)


def now() -> str:
    """The time: UTC, ISO 8601, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
