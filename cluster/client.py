"""Submitting experiments to a Ray cluster from Python: over HTTP to Ray Jobs; progress and results by the ledger."""

import hashlib
import json
import posixpath
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ray.job_submission import JobDetails

from cluster.errors import RunError
from cluster.ray_jobs import Jobs, checked_address, checked_id, token_of_environment
from evaluator.storage import Store, open_store, split_uri
from manifests import Experiment, InvalidInput
from manifests.ledger import SUBMISSION_VARIABLE, Progress, cancel_key, progress_key, submission_key

if TYPE_CHECKING:
    import pandas as pd

    from stats.gate import Decision

Status = Literal["pending", "running", "succeeded", "failed", "cancelled"]

_OUR_METADATA = ("assay_name", "assay_digest", "assay_ledger")
_EXPERIMENT_FILE = "assay-experiment.json"
_ENTRYPOINT = f"python -m cluster.cli run {_EXPERIMENT_FILE}"  # nothing that a user wrote: it is a shell command
_LEFT_BEHIND = (".git", ".venv", "__pycache__", "*.pyc")
_MAX_ATTEMPTS = 1000
_POLL_S = 1.0
_STOP_WAIT_S = 30  # Ray kills what it stops after 3 s unless the job says otherwise
_MAX_REASON_LINES = 60


@dataclass(frozen=True)
class Result:
    """What a finished submission came to.

    Attributes:
        run_id: The run.
        ledger: The ledger that it is in.
        gate: The run's one word: `promote`, `hold` or `reject`.
        decisions: One a variant, with its reasons.
        comparisons: A row per comparison: the recorded analysis.
    """

    run_id: str
    ledger: str
    gate: str
    decisions: "tuple[Decision, ...]"
    comparisons: "pd.DataFrame"


class Submission:
    """One experiment, handed to a cluster. Holds no connection: `Client.find` makes the same one again."""

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
        self._store = open_store(ledger)

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

    def logs(self, *, follow: bool = True) -> Iterator[str]:
        """What the driver printed, in pieces as they come.

        Args:
            follow: Whether to go on until the submission has ended.

        Raises:
            RunError: The cluster does not answer.
        """
        num_seen = 0
        while True:
            ended = not follow or self.status() not in ("pending", "running")
            text = self._jobs.logs(self.submission_id)
            if len(text) > num_seen:
                yield text[num_seen:]
                num_seen = len(text)
            if ended:
                return
            time.sleep(_POLL_S)

    def wait(self, *, timeout_s: float) -> Status:
        """Waits until it has ended, well or not.

        Args:
            timeout_s: How long.

        Raises:
            RunError: It has not ended by then (and goes on), or the cluster does not answer.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status()
            if status not in ("pending", "running"):
                return status
            if time.monotonic() + _POLL_S > deadline:
                raise RunError(
                    f"submission '{self.submission_id}' is still {status} after {timeout_s:g} s; it goes on: wait "
                    "longer, or cancel it"
                )
            time.sleep(_POLL_S)

    def cancel(self, *, grace_s: float = 5.0) -> Status:
        """Ends it. What was published stays, and submitting the same experiment again goes on from there.

        A marker in the ledger comes first: a driver that still waits for its turn, which Ray cannot stop, finds it
        when it starts, and one that works ends after the unit in hand.

        Args:
            grace_s: How long the driver may take to end by itself before Ray stops it.

        Returns:
            Its status then.

        Raises:
            RunError: The cluster does not answer; the marker is written all the same.
        """
        self._store.put_if_absent(cancel_key(self.submission_id), json.dumps({"name": self.name}).encode())
        deadline = time.monotonic() + grace_s
        while (status := self.status()) == "running" and time.monotonic() < deadline:
            time.sleep(min(_POLL_S, grace_s))
        if status == "running":
            self._jobs.stop(self.submission_id)
            status = self.wait(timeout_s=_STOP_WAIT_S + 10)
        return status

    def result(self) -> Result:
        """What the run came to, from the ledger: the cluster is asked only if the run is not there.

        Raises:
            RunError: It has not ended, was cancelled, or failed; then with the driver's own words.
        """
        from cluster.report.document import gate_answer
        from evaluator.ledger import reader
        from stats.gate import Decision

        run_id = self.run_id
        if run_id is None or not reader.is_committed(self._store, run_id):
            raise RunError(self._why_not())
        files = reader.committed_files(self._store, run_id)
        rows = reader.read_table(self._store, files, "decisions").drop_columns(["run_id"]).to_pylist()
        return Result(
            run_id=run_id,
            ledger=self.ledger,
            gate=gate_answer(rows),
            decisions=tuple(Decision(**{**row, "reasons": tuple(row["reasons"])}) for row in rows),
            comparisons=reader.read_table(self._store, files, "comparisons").to_pandas(),
        )

    def is_marked_cancelled(self) -> bool:
        """Whether somebody cancelled it, whatever the cluster says."""
        return self._store.exists(cancel_key(self.submission_id))

    def _status(self, job: JobDetails | None) -> Status:
        if job is None:
            if self._is_committed():
                return "succeeded"
            raise RunError(
                f"{self._jobs.address}: the cluster does not know submission '{self.submission_id}': it was probably "
                "restarted; submit the experiment again, and it goes on from the ledger"
            )
        if job.status == "SUCCEEDED":
            return "succeeded"
        if job.status == "RUNNING":
            return "running"
        if job.status == "STOPPED" or self.is_marked_cancelled():
            return "cancelled"
        return "pending" if job.status == "PENDING" else "failed"

    def _is_committed(self) -> bool:
        from evaluator.ledger import reader

        run_id = self.run_id
        return run_id is not None and reader.is_committed(self._store, run_id)

    def _why_not(self) -> str:
        job = self._jobs.job(self.submission_id)
        status = self._status(job)
        what = f"submission '{self.submission_id}' has no result"
        if status in ("pending", "running"):
            return f"{what} yet: it is {status}; wait() for it"
        if status == "cancelled":
            return f"{what}: it was cancelled; submit it again to go on"
        return f"{what}: it {status}: {_last_words(job)}"


class Client:
    """A cluster that takes experiments. Talks HTTP to the head's dashboard; every call has a timeout.

    Attributes:
        address: Where the cluster's dashboard is.
    """

    def __init__(self, address: str, token: str | None = None, *, timeout_s: float = 10.0) -> None:
        """Names a cluster; nobody is asked yet.

        Args:
            address: `http://HEAD:8265`: the head's dashboard.
            token: The cluster's token; None takes that of `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH`, if there is one.
            timeout_s: How long one call may take.

        Raises:
            InvalidInput: The address is none.
        """
        self.address = checked_address(address)
        self._token = token or token_of_environment()
        self._jobs = Jobs(self.address, self._token, timeout_s)

    def submit(
        self,
        experiment: str | Path | Experiment,
        *,
        ledger: str | None = None,
        name: str | None = None,
        working_dir: str | Path | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Submission:
        """Hands an experiment to the cluster, or joins the submission that has it already.

        The same experiment (its text, ledger, code in `working_dir` and `runtime_env`) under the same name is the
        same submission while that one waits, runs or has succeeded; after a failure or a cancellation it is a new
        one, which goes on from what is in the ledger. What lies at a location is not looked at: pin digests where
        weights may be exchanged.

        Args:
            experiment: Its file, or the manifest.
            ledger: Where evidence is kept; default: what the experiment says. The cluster has to reach it, too.
            name: What to find it by; default: the experiment's name.
            working_dir: A folder with the code that entrypoints name. It travels to the cluster, without a ledger or
                datasets in it; None: the code is installed there.
            runtime_env: More of Ray's runtime environment, such as `pip`. It can be read on the cluster's dashboard:
                secrets belong into the environment of the cluster.
            metadata: Own words for the dashboard, texts by name.

        Raises:
            InvalidInput: Something cannot be used; nothing was submitted.
            RunError: The cluster does not answer, or refuses.
        """
        wanted = _experiment(experiment, ledger)
        name = checked_id(wanted.name if name is None else name, field="name")
        environment, told = dict(runtime_env or {}), dict(metadata or {})
        self._refuse_unusable(environment, told)
        with tempfile.TemporaryDirectory(prefix="assay-submit-") as folder:
            _stage(Path(folder), wanted, working_dir)
            digest = _digest(Path(folder), environment)
            told |= dict(zip(_OUR_METADATA, (name, digest, wanted.ledger), strict=True))
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                submission_id = _submission_id(name, digest, attempt)
                submission = Submission(self._jobs, submission_id, name=name, ledger=wanted.ledger)
                if submission.is_marked_cancelled():
                    continue
                job = self._jobs.job(submission_id)
                if job is None:
                    variables = self._variables(environment, submission_id)
                    whole = {**environment, "working_dir": folder, "env_vars": variables}
                    if self._jobs.submit(submission_id, entrypoint=_ENTRYPOINT, runtime_env=whole, metadata=told):
                        return submission
                    job = self._jobs.job(submission_id)  # another client came first
                if job is None or job.status not in ("FAILED", "STOPPED"):
                    return submission
        raise RunError(f"'{name}' failed {_MAX_ATTEMPTS} times; give it another name")

    def find(self, name: str) -> Submission:
        """The newest submission of that name, or the one of that id.

        Raises:
            InvalidInput: The cluster has none.
            RunError: The cluster does not answer.
        """
        checked_id(name, field="name")
        ours = [job for job in self._jobs.all() if set(_OUR_METADATA) <= set(job.metadata or {})]
        found = [job for job in ours if name in (job.submission_id, (job.metadata or {})["assay_name"])]
        if not found:
            from manifests.errors import did_you_mean

            known = sorted({(job.metadata or {})["assay_name"] for job in ours})
            raise InvalidInput(
                "the cluster has no submission of this name",
                place=self.address,
                value=name,
                remedy=did_you_mean(name, known) or "a cluster that was restarted has forgotten: submit again",
            )
        newest = max(found, key=lambda job: job.start_time or 0)
        metadata = newest.metadata or {}
        return Submission(
            self._jobs, str(newest.submission_id), name=metadata["assay_name"], ledger=metadata["assay_ledger"]
        )

    def _variables(self, runtime_env: Mapping[str, Any], submission_id: str) -> dict[str, str]:
        """The driver's environment variables. The token is not among them: drivers inherit that of the head."""
        return {
            "RAY_AUTH_MODE": "token" if self._token else "disabled",
            "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S),
            **runtime_env.get("env_vars", {}),
            SUBMISSION_VARIABLE: submission_id,
        }

    def _refuse_unusable(self, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        if "working_dir" in runtime_env:
            raise InvalidInput(
                "the working folder is an argument of its own",
                field="runtime_env.working_dir",
                remedy="working_dir=...",
            )
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise InvalidInput("metadata is texts by name", field=f"metadata.{key}", value=type(value).__name__)
            if key in _OUR_METADATA:
                raise InvalidInput("this name is taken", field=f"metadata.{key}")
        for field, given in (("runtime_env", runtime_env), ("metadata", metadata)):
            if self._token and self._token in json.dumps(given, default=str):
                raise InvalidInput(
                    "holds the cluster's token, which everyone with the dashboard could read", field=field
                )


def _submission_id(name: str, digest: str, attempt: int) -> str:
    """The id of one attempt: the same for everyone who submits the same thing."""
    return checked_id(f"{name}-{digest[:12]}" + (f".{attempt}" if attempt > 1 else ""), field="name")


def _experiment(given: str | Path | Experiment, ledger: str | None) -> Experiment:
    """The experiment, everything that it refers to inlined, with the ledger it will be kept in."""
    if not isinstance(given, Experiment):
        from cluster import resolve

        given = resolve.read_experiment(str(given))
    uri = open_store(given.ledger if ledger is None else ledger).uri
    if uri.startswith("memory://"):
        raise InvalidInput("the cluster cannot reach this process's memory", field="ledger", value=uri)
    folder, reference = split_uri(given.dataset)
    return given.model_copy(update={"ledger": uri, "dataset": posixpath.join(open_store(folder).uri, reference)})


def _stage(folder: Path, experiment: Experiment, working_dir: str | Path | None) -> None:
    """Gathers what travels: the experiment and the user's code, not the ledger and datasets beside it."""
    if working_dir is not None:
        if not Path(working_dir).is_dir():
            raise InvalidInput("no such folder", field="working_dir", value=str(working_dir))
        stores = {_local(open_store(experiment.ledger)), _local(open_store(split_uri(experiment.dataset)[0]))}
        usual = shutil.ignore_patterns(*_LEFT_BEHIND)

        def left_behind(parent: str, names: list[str]) -> set[str]:
            found = {name for name in names if Path(parent, name).absolute() in stores}
            return found | set(usual(parent, names))

        shutil.copytree(Path(working_dir).absolute(), folder, dirs_exist_ok=True, ignore=left_behind)
    (folder / _EXPERIMENT_FILE).write_text(experiment.model_dump_json(indent=2), encoding="utf-8")


def _local(store: Store) -> Path | None:
    return None if "://" in store.uri else Path(store.uri)


def _digest(folder: Path, runtime_env: Mapping[str, Any]) -> str:
    """What a submission is, in hexadecimal: its files and its environment."""
    found = hashlib.sha256(json.dumps(runtime_env, sort_keys=True, default=str).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(json.dumps([path.relative_to(folder).as_posix(), content]).encode())
    return found.hexdigest()


def _last_words(job: JobDetails | None) -> str:
    """What a driver said of its failure: from our own message on, if there is one."""
    lines = ((job.message if job else None) or "the driver left no words").strip().splitlines()
    ours = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    told = lines[ours[-1] :] if ours else lines[-_MAX_REASON_LINES:]
    return "\n".join(told[:_MAX_REASON_LINES]).removeprefix("error: ")
