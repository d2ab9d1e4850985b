"""One experiment submitted to a cluster: its status, progress, logs and result, and how to cancel it."""

import datetime as dt
import json
import math
import time
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ray.job_submission import JobDetails

from assay.cluster.client.ray_jobs import Jobs
from assay.cluster.errors import NoAnswerError, RunError
from assay.evaluator.ledger.opening import open_ledger
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import cancel_key, progress_key, submission_key
from assay.manifests.progress import Progress, ProgressState

if TYPE_CHECKING:
    from assay.cluster.client.result import SubmissionResult

Status = Literal["pending", "running", "succeeded", "stopped", "failed", "cancelled"]
"""`stopped`: by a signal or an exhausted budget; complete arms may be committed. `cancelled`: by `cancel()`."""

STOP_WAIT_S = 60
"""Seconds that a stopped driver gets to commit complete arms. Ray's default of 3 s is too short for that."""

_POLL_S = 1.0
_AWAY_S = 60.0  # a head that is replaced, with its storage, is back within that time
_MAX_REASON_LINES = 60
_ENDS: dict[ProgressState, Status] = {
    "committed": "succeeded",
    "stopped": "stopped",
    "failed": "failed",
    "cancelled": "cancelled",
}


class Submission:
    """One experiment submitted to a cluster. Holds no connection; `Client.find` finds it again.

    A submission can be pickled. The pickle does not contain the token; unpickling reads it from the environment.

    Attributes:
        submission_id: Its ID at Ray.
        name: The name it was submitted under.
        ledger: URI of the ledger.
    """

    def __init__(self, jobs: Jobs, submission_id: str, *, name: str, ledger: str) -> None:
        """Refers to a submission without contacting the cluster.

        Args:
            jobs: The cluster's jobs.
            submission_id: Its ID at Ray.
            name: The name it was submitted under.
            ledger: URI of the ledger.
        """
        self.submission_id = submission_id
        self.name = name
        self.ledger = ledger
        self._jobs = jobs

    @property
    def run_id(self) -> str | None:
        """ID of the run; None until the driver has recorded it."""
        try:
            return json.loads(self._store.get(submission_key(self.submission_id)).to_pybytes())["run_id"]
        except FileNotFoundError:
            return None

    def status(self) -> Status:
        """The submission's status.

        Raises:
            RunError: The cluster does not answer, or does not know the submission.
        """
        return self._status(self._jobs.job(self.submission_id))

    def progress(self) -> Progress | None:
        """The run's progress, read from the ledger without contacting the cluster. None until the driver has reported."""
        run_id = self.run_id
        if run_id is None:
            return None
        try:
            return Progress.model_validate_json(self._store.get(progress_key(run_id)).to_pybytes())
        except FileNotFoundError:
            return None

    def stream(self, *, timeout_s: float) -> Iterator[Progress]:
        """Yields the run's progress after every change, until the submission has ended.

        The last item tells how the run ended, if the driver could report it.

        Args:
            timeout_s: Timeout in seconds; `math.inf` waits without limit.

        Raises:
            RunError: The submission has not ended by then (it continues), or the cluster has not answered for a
                minute.
        """
        last = None
        for _ in self._polls(timeout_s=timeout_s):
            progress = self.progress()
            if progress not in (None, last):
                yield progress
                last = progress

    def logs(self, *, follow: bool = True) -> Iterator[str]:
        """Yields the driver's output piece by piece.

        Args:
            follow: Whether to keep yielding until the submission has ended.

        Raises:
            RunError: The cluster does not answer.
        """
        num_seen = 0
        for _ in self._polls(timeout_s=math.inf) if follow else (None,):
            text = self._jobs.logs(self.submission_id)
            if len(text) > num_seen:
                yield text[num_seen:]
                num_seen = len(text)

    def wait(self, *, timeout_s: float) -> Status:
        """Waits until the submission has ended and returns its status.

        Args:
            timeout_s: Timeout in seconds; `math.inf` waits without limit.

        Raises:
            RunError: The submission has not ended by then (it continues), or the cluster has not answered for a
                minute.
        """
        *_, status = self._polls(timeout_s=timeout_s)
        assert status is not None
        return status

    def _polls(self, *, timeout_s: float) -> Iterator[Status | None]:
        """Polls the status once a second until the submission has ended; `wait`, `stream` and `logs` use it.

        Yields:
            The status; None while the cluster does not answer, which is tolerated for a minute.

        Raises:
            RunError: The submission has not ended after `timeout_s`, or the cluster has not answered for a minute.
        """
        answered_at_s = time.monotonic()
        deadline_s = answered_at_s + timeout_s
        last: Status | None = None
        while True:
            try:
                status = last = self.status()
                answered_at_s = time.monotonic()
            except NoAnswerError:
                if time.monotonic() - answered_at_s > _AWAY_S:
                    raise
                status = None
            yield status
            if status not in ("pending", "running", None):
                return
            if time.monotonic() + _POLL_S > deadline_s:
                raise RunError(
                    f"submission '{self.submission_id}' is still {last or 'unreachable'} after {timeout_s:g} s and "
                    "continues: wait longer, or cancel it"
                )
            time.sleep(_POLL_S)

    def cancel(self, *, grace_s: float = 5.0) -> Status:
        """Cancels the submission. Published units are kept; submitting the same experiment again resumes from them.

        First writes a marker to the ledger. A pending driver, which Ray cannot stop, finds it when it starts; a running
        driver commits complete arms and ends within seconds.

        Args:
            grace_s: Seconds that the driver gets to end by itself before Ray stops it.

        Returns:
            The status afterwards.

        Raises:
            RunError: The cluster does not answer; the marker is written nevertheless.
        """
        self._store.put_if_absent(cancel_key(self.submission_id), json.dumps({"name": self.name}).encode())
        deadline_s = time.monotonic() + grace_s
        while (status := self.status()) == "running" and time.monotonic() < deadline_s:
            time.sleep(min(_POLL_S, grace_s))
        if status == "running":
            self._jobs.stop(self.submission_id)
            status = self.wait(timeout_s=STOP_WAIT_S + 10)
        return status

    def result(self) -> "SubmissionResult":
        """The result of the run, from the ledger. The cluster is contacted only if nothing is committed.

        A run that was stopped or cancelled has committed its complete arms, provided that the control is one of them.
        The other arms are `missing`; submitting the experiment again resumes with them.

        Raises:
            RunError: Nothing is committed, because the run has not ended, was stopped or cancelled too early, or
                failed. After a failure, the message has the driver's error: arm, unit, node and traceback.
        """
        from assay.cluster.client.result import read_result
        from assay.evaluator.ledger import reader

        run_id = self.run_id
        if run_id is None or not reader.is_committed(self._store, run_id):
            raise RunError(self._no_result_message())
        return read_result(self._store, run_id, ledger=self.ledger)

    def is_marked_cancelled(self) -> bool:
        """Whether the ledger has a cancel marker for this submission, whatever its status on the cluster."""
        return self._store.exists(cancel_key(self.submission_id))

    @cached_property
    def _store(self) -> Store:
        return open_ledger(self.ledger)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_store"}  # the store may hold credentials

    def _status(self, job: JobDetails | None) -> Status:
        if job is None:
            return self._status_by_ledger()
        if job.status == "SUCCEEDED":
            return "succeeded"
        if job.status == "RUNNING":
            return "running"
        if self.is_marked_cancelled():
            return "cancelled"
        if job.status == "PENDING":
            return "pending"
        progress = self._last_progress(job)
        if progress is not None and progress.state in _ENDS:
            return _ENDS[progress.state]
        return "stopped" if job.status == "STOPPED" else "failed"

    def _status_by_ledger(self) -> Status:
        """The status according to the ledger, for a submission that the cluster does not know any more."""
        from assay.evaluator.ledger import reader

        progress = self.progress()
        if progress is not None and progress.state in _ENDS:
            return _ENDS[progress.state]
        if progress is not None and reader.is_committed(self._store, progress.run_id):
            return "succeeded"  # the driver was killed before it could report it
        raise RunError(
            f"{self._jobs.address}: the cluster does not know submission '{self.submission_id}', probably because it was "
            "restarted; submit the experiment again to resume from the ledger"
        )

    def _last_progress(self, job: JobDetails | None) -> Progress | None:
        """The last progress reported by this job's driver; None if the driver of another attempt reported it."""
        progress = self.progress()
        if progress is None or job is None:
            return progress
        began_ms = dt.datetime.fromisoformat(progress.started_at).timestamp() * 1000
        return progress if (job.start_time or 0) <= began_ms <= (job.end_time or math.inf) else None

    def _no_result_message(self) -> str:
        job = self._jobs.job(self.submission_id)
        status = self._status(job)
        progress = self._last_progress(job)
        reason = progress.reason if progress is not None else ""
        problem = f"submission '{self.submission_id}' has no result"
        if status in ("pending", "running"):
            return f"{problem} yet: it is {status}; call wait() first"
        if status in ("stopped", "cancelled"):
            because = f": {reason}" if status == "stopped" and reason else ""
            return f"{problem}: it was {status}; submit it again to resume{because}"
        return f"{problem}: it {status}: {reason or _failure_message(job)}"


def _failure_message(job: JobDetails | None) -> str:
    """The end of a failed driver's output, from Assay's own error message on if there is one."""
    lines = ((job.message if job else None) or "the driver printed no message").strip().splitlines()
    ours = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    reason = lines[ours[-1] :] if ours else lines[-_MAX_REASON_LINES:]
    return "\n".join(reason[:_MAX_REASON_LINES]).removeprefix("error: ")
