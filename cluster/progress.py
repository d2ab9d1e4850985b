"""Progress of a run, told through the ledger, and the word that its submission was cancelled, heard there."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from cluster.errors import RunError
from evaluator.errors import StoreError
from evaluator.ledger.reader import UnitReceipt
from evaluator.storage import Store
from manifests.ledger import ArmProgress, Progress, Run, cancel_key, progress_key

_INTERVAL_S = 1.0


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
        self._rows = {arm.name: dict[int, int]() for arm in run.experiment.arms}
        self._failed: dict[str, str] = {}
        self._num_evaluated = 0
        self._began_at_s = clock()
        self._looked_at_s = float("-inf")
        self._started_at = now()

    def found(self, receipts: Sequence[UnitReceipt]) -> None:
        """These units were in the ledger already, or were taken over."""
        for receipt in receipts:
            self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self.look()

    def published(self, receipt: UnitReceipt) -> None:
        """This unit was evaluated now."""
        self._rows[receipt.arm][receipt.unit] = receipt.num_rows
        self._num_evaluated += 1
        self.look()

    def arm_failed(self, arm: str, reason: str) -> None:
        """This arm will not be finished."""
        self._failed[arm] = reason

    def look(self) -> None:
        """Tells and listens, unless it has done so within the last second.

        Raises:
            RunError: The submission was cancelled.
        """
        if self._clock() - self._looked_at_s < _INTERVAL_S:
            return
        self._looked_at_s = self._clock()
        self._tell("running", "")
        if self.is_cancelled():
            raise RunError(
                f"run '{self._run.run_id}' was cancelled: submission '{self._submission_id}'; what was published "
                "stays: submit it again to go on"
            )

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
        else:
            self._tell("cancelled" if self.is_cancelled() else "failed", str(error) or type(error).__name__)

    def progress(self, state: Literal["running", "committed", "failed", "cancelled"], reason: str) -> Progress:
        """What there is to tell."""
        left = sum(self._num_units - len(done) for arm, done in self._rows.items() if arm not in self._failed)
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
                )
                for arm, done in self._rows.items()
            ),
            eta_s=spent_s / self._num_evaluated * left if self._num_evaluated else None,
            started_at=self._started_at,
            updated_at=now(),
        )

    def _tell(self, state: Literal["running", "committed", "failed", "cancelled"], reason: str) -> None:
        try:
            self._store.replace(progress_key(self._run.run_id), self.progress(state, reason).model_dump_json().encode())
        except (StoreError, OSError):  # a run does not end because nobody could be told how far it is
            return


@contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """Looks once at the start, and tells at the end how it went."""
    try:
        watch.look()
        yield watch
    except BaseException as error:
        watch.end(error)
        raise
    watch.end(None)


def now() -> str:
    """The time: UTC, ISO 8601, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
