"""One experiment that was handed to a cluster: its status, its progress, its logs, and how to end it."""

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
from assay.evaluator.storage import Store, open_store
from assay.manifests.ledger_layout import cancel_key, progress_key, submission_key
from assay.manifests.progress import Progress, ProgressState

if TYPE_CHECKING:
    from assay.cluster.client.result import SubmissionResult

Status = Literal["pending", "running", "succeeded", "stopped", "failed", "cancelled"]
"""`stopped`: by a signal, or because the budget is spent; what is whole may be committed. `cancelled`: by `cancel()`."""

STOP_WAIT_S = 60
"""How long a driver that is told to end may take to commit what is whole: Ray's own 3 s would cut it short."""

_POLL_S = 1.0
_AWAY_S = 60.0  # a head that is exchanged, with its storage, is back by then
_MAX_REASON_LINES = 60
_ENDS: dict[ProgressState, Status] = {
    "committed": "succeeded",
    "stopped": "stopped",
    "failed": "failed",
    "cancelled": "cancelled",
}


class Submission:
    """One experiment, handed to a cluster. Holds no connection: `Client.find` makes the same one again.

    It can be pickled; the pickle holds no token, and whoever opens it uses that of the environment.
    """

    def __init__(self, jobs: Jobs, submission_id: str, *, name: str, ledger: str) -> None:
        """Names a submission; asks nobody.

        Args:
            jobs: The cluster's jobs.
            submission_id: Its id at Ray.
            name: The name that it was submitted under.
            ledger: The URI of the ledger.
        """
        self.submission_id = submission_id
        self.name = name
        self.ledger = ledger
        self._jobs = jobs

    @property
    def run_id(self) -> str | None:
        """The run that it carries out; None until its driver knows."""
        try:
            return json.loads(self._store.get(submission_key(self.submission_id)).to_pybytes())["run_id"]
        except FileNotFoundError:
            return None

    def status(self) -> Status:
        """Where it stands.

        Raises:
            RunError: The cluster does not answer, or does not know it.
        """
        return self._status(self._jobs.job(self.submission_id))

    def progress(self) -> Progress | None:
        """How far the run is, from the ledger: no cluster is asked. None until its driver told."""
        run_id = self.run_id
        if run_id is None:
            return None
        try:
            return Progress.model_validate_json(self._store.get(progress_key(run_id)).to_pybytes())
        except FileNotFoundError:
            return None

    def stream(self, *, timeout_s: float) -> Iterator[Progress]:
        """How far the run is, each time that the ledger tells something new, until the submission has ended.

        The last one says how it ended, if its driver could tell.

        Args:
            timeout_s: How long at most; `math.inf` for as long as it takes.

        Raises:
            RunError: It has not ended by then (and goes on), or the cluster has not answered for a minute.
        """
        last = None
        for _ in self._polls(timeout_s=timeout_s):
            progress = self.progress()
            if progress not in (None, last):
                yield progress
                last = progress

    def logs(self, *, follow: bool = True) -> Iterator[str]:
        """What the driver printed, in pieces as they come.

        Args:
            follow: Whether to go on until the submission has ended.

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
        """Waits until it has ended, well or not.

        Args:
            timeout_s: How long at most.

        Raises:
            RunError: It has not ended by then (and goes on), or the cluster has not answered for a minute.
        """
        *_, status = self._polls(timeout_s=timeout_s)
        assert status is not None
        return status

    def _polls(self, *, timeout_s: float) -> Iterator[Status | None]:
        """Where it stands, asked once a second until it has ended: what `wait`, `stream` and `logs` are made of.

        Yields:
            Its status; None while the cluster does not answer, which it may do for a minute.

        Raises:
            RunError: It has not ended after `timeout_s`, or the cluster has not answered for a minute.
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
                    f"submission '{self.submission_id}' is still {last or 'out of reach'} after {timeout_s:g} s; it "
                    "goes on: wait longer, or cancel it"
                )
            time.sleep(_POLL_S)

    def cancel(self, *, grace_s: float = 5.0) -> Status:
        """Ends it. What was published stays, and submitting the same experiment again goes on from there.

        A marker in the ledger comes first: a driver that still waits for its turn, which Ray cannot stop, finds it
        when it starts, and one that works ends within seconds and commits what is whole.

        Args:
            grace_s: How long the driver may take to end by itself before Ray tells it to.

        Returns:
            Its status then.

        Raises:
            RunError: The cluster does not answer; the marker is written all the same.
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
        """What the run came to, from the ledger: the cluster is asked only if nothing is committed.

        A run that was stopped or cancelled has committed the arms that were whole, if the control was one of them;
        the others are `missing`, and submitting the experiment again goes on with them.

        Raises:
            RunError: Nothing is committed: it has not ended, was stopped or cancelled too early, or failed; then with
                the driver's own words: arm, unit, node and traceback.
        """
        from assay.cluster.client.result import read_result
        from assay.evaluator.ledger import reader

        run_id = self.run_id
        if run_id is None or not reader.is_committed(self._store, run_id):
            raise RunError(self._why_not())
        return read_result(self._store, run_id, ledger=self.ledger)

    def is_marked_cancelled(self) -> bool:
        """Whether somebody cancelled it, whatever the cluster says."""
        return self._store.exists(cancel_key(self.submission_id))

    @cached_property
    def _store(self) -> Store:
        return open_store(self.ledger)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_store"}  # it may hold credentials

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
        """Where it stands as far as the ledger tells, if the cluster has forgotten it."""
        from assay.evaluator.ledger import reader

        progress = self.progress()
        if progress is not None and progress.state in _ENDS:
            return _ENDS[progress.state]
        if progress is not None and reader.is_committed(self._store, progress.run_id):
            return "succeeded"  # its driver was killed before it could tell
        raise RunError(
            f"{self._jobs.address}: the cluster does not know submission '{self.submission_id}': it was probably "
            "restarted; submit the experiment again, and it goes on from the ledger"
        )

    def _last_progress(self, job: JobDetails | None) -> Progress | None:
        """What the driver of this job published last; None if all there is comes from another attempt's driver."""
        progress = self.progress()
        if progress is None or job is None:
            return progress
        began_ms = dt.datetime.fromisoformat(progress.started_at).timestamp() * 1000
        return progress if (job.start_time or 0) <= began_ms <= (job.end_time or math.inf) else None

    def _why_not(self) -> str:
        job = self._jobs.job(self.submission_id)
        status = self._status(job)
        progress = self._last_progress(job)
        why = progress.reason if progress is not None else ""
        what = f"submission '{self.submission_id}' has no result"
        if status in ("pending", "running"):
            return f"{what} yet: it is {status}; wait() for it"
        if status in ("stopped", "cancelled"):
            because = f": {why}" if status == "stopped" and why else ""
            return f"{what}: it was {status}; submit it again to go on{because}"
        return f"{what}: it {status}: {why or _last_words(job)}"


def _last_words(job: JobDetails | None) -> str:
    """What a driver printed of its failure: from our own message on, if there is one."""
    lines = ((job.message if job else None) or "the driver left no words").strip().splitlines()
    ours = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    reason = lines[ours[-1] :] if ours else lines[-_MAX_REASON_LINES:]
    return "\n".join(reason[:_MAX_REASON_LINES]).removeprefix("error: ")
