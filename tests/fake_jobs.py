"""A fake of Ray Jobs for tests of the client: jobs whose status a test sets, and progress as a driver would report it."""

import datetime as dt
import json

from ray.job_submission import JobDetails, JobType

from assay import Client
from assay.cluster.client.submission import Submission
from assay.evaluator.storage import open_store
from assay.manifests.ledger_layout import progress_key, submission_key
from assay.manifests.progress import ArmProgress, Progress, ProgressState
from assay.manifests.spent import Spent

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there
TOKEN = "s3cret-token"


class FakeJobs:
    """Jobs by ID, and everything that was submitted."""

    address = "http://fake"
    token = TOKEN

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.submitted: list[dict] = []
        self.stopped: list[str] = []
        self.errors: list[Exception] = []
        """Raised by the next calls, one each."""
        self.num_asked = 0

    def client(self) -> Client:
        """A client of these jobs."""
        client = Client(NOWHERE, TOKEN)
        client._jobs = self  # pyright: ignore[reportAttributeAccessIssue]
        return client

    def job(self, submission_id):
        self.num_asked += 1
        if self.errors:
            raise self.errors.pop(0)
        if submission_id not in self.jobs:
            return None
        return JobDetails(
            type=JobType.SUBMISSION,
            submission_id=submission_id,
            status=self.jobs[submission_id],  # pyright: ignore[reportArgumentType]
            message="exit code 1, last logs:\nsome line\nerror: arm 'x', unit 3, node n: cannot\nTraceback: y",
            entrypoint="run",
            start_time=_ms(minute=10),
            end_time=_ms(minute=50),
        )

    def submit(self, submission_id, *, entrypoint, runtime_env, metadata):
        self.submitted.append({"id": submission_id, "runtime_env": runtime_env, "metadata": metadata})
        self.jobs[submission_id] = "PENDING"
        return True

    def all(self):
        jobs = []
        for sent in self.submitted:
            job = self.job(sent["id"])
            assert job is not None
            jobs.append(job.model_copy(update={"metadata": sent["metadata"], "start_time": len(jobs)}))
        return jobs

    def stop(self, submission_id):
        self.stopped.append(submission_id)
        self.jobs[submission_id] = "STOPPED"

    def logs(self, submission_id):
        return "all of it"


def report(
    submission: Submission,
    state: ProgressState,
    *,
    reason: str = "",
    run_id: str = "small-0123",
    began_at_minute: int = 20,
    num_units_done: int = 3,
    eliminated: str = "",
    spent: Spent = Spent(),
) -> Progress:
    """Writes progress to the ledger as a driver of this submission would.

    The fake job runs from minute 10 to 50; a driver that began outside that time belongs to another attempt.
    """
    progress = Progress(
        run_id=run_id,
        state=state,
        reason=reason,
        num_units=7,
        num_rows=200,
        arms=(
            ArmProgress(arm="control", num_units_done=7, num_rows_done=200, failed="", eliminated=""),
            ArmProgress(
                arm="better", num_units_done=num_units_done, num_rows_done=96, failed="", eliminated=eliminated
            ),
        ),
        num_slots=2,
        num_slots_busy=1,
        num_retries=4,
        rows_per_s=1234.5,
        bytes_fetched=1 << 20,
        spent=spent,
        eta_s=30.0,
        started_at=dt.datetime.fromtimestamp(_ms(minute=began_at_minute) / 1000, dt.UTC).isoformat(),
        updated_at="2026-11-21T10:00:00+00:00",
    )
    store = open_store(submission.ledger)
    store.replace(submission_key(submission.submission_id), json.dumps({"run_id": run_id}).encode())
    store.replace(progress_key(run_id), progress.model_dump_json().encode())
    return progress


def _ms(*, minute: int) -> int:
    return int(dt.datetime(2026, 11, 21, 10, minute, tzinfo=dt.UTC).timestamp() * 1000)
