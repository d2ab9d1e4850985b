"""Submitting experiments to a Ray cluster from Python, over HTTP to Ray Jobs, and finding them again."""

import hashlib
import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.cluster.client.ray_jobs import Jobs, checked_address, checked_id, token_of_environment
from assay.cluster.client.submission import STOP_WAIT_S, Submission
from assay.cluster.errors import RunError
from assay.evaluator.storage import Store, open_store, split_uri
from assay.manifests import Experiment, InvalidInput
from assay.manifests.environment_variables import LEDGER_VARIABLE, SUBMISSION_VARIABLE

_OUR_METADATA = ("assay_name", "assay_digest", "assay_ledger")
_EXPERIMENT_FILE = "assay-experiment.json"
_ENTRYPOINT = f"python -m assay.cluster.cli run {_EXPERIMENT_FILE}"  # nothing that a user wrote: it is a shell command
_LEFT_BEHIND = (".git", ".venv", "__pycache__", "*.pyc")
_MAX_ATTEMPTS = 1000
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Client:
    """A cluster that takes experiments. Talks HTTP to the head's dashboard; every call has a timeout.

    It can be pickled; the pickle holds no token, and whoever opens it uses that of the environment.

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
        self._jobs = Jobs(self.address, token or token_of_environment(), timeout_s)

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
        same submission while that one waits, runs or has succeeded; after it failed, was stopped or cancelled, it is
        a new one, which goes on from what is in the ledger. What lies at a location is not looked at: pin digests where
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
        environment, labels = dict(runtime_env or {}), dict(metadata or {})
        self._refuse_unusable(environment, labels)
        with tempfile.TemporaryDirectory(prefix="assay-submit-") as folder:
            _stage(Path(folder), wanted, working_dir)
            digest = _digest(Path(folder), environment)
            labels |= dict(zip(_OUR_METADATA, (name, digest, wanted.ledger), strict=True))
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                submission_id = _submission_id(name, digest, attempt)
                submission = Submission(self._jobs, submission_id, name=name, ledger=wanted.ledger)
                if submission.is_marked_cancelled():
                    continue
                job = self._jobs.job(submission_id)
                if job is None:
                    variables = self._variables(environment, submission_id, ledger=wanted.ledger)
                    whole = {**environment, "working_dir": folder, "env_vars": variables}
                    if self._jobs.submit(submission_id, entrypoint=_ENTRYPOINT, runtime_env=whole, metadata=labels):
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
            from assay.manifests.errors import did_you_mean

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

    def _variables(self, runtime_env: Mapping[str, Any], submission_id: str, *, ledger: str) -> dict[str, str]:
        """The driver's environment variables. The token is not among them: drivers inherit that of the head."""
        return {
            "RAY_AUTH_MODE": "token" if self._jobs.token else "disabled",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
            **runtime_env.get("env_vars", {}),
            SUBMISSION_VARIABLE: submission_id,
            LEDGER_VARIABLE: ledger,  # the head may have one of its own
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
        for what, secret in (
            ("the cluster's token", self._jobs.token),
            *((f"the value of {name}", os.environ.get(name)) for name in _SECRET_VARIABLES),
        ):
            for field, given in (("runtime_env", runtime_env), ("metadata", metadata)):
                if secret and secret in json.dumps(given, default=str):
                    raise InvalidInput(
                        f"holds {what}, which everyone with the dashboard could read",
                        field=field,
                        remedy="set it in the environment of the cluster's nodes",
                    )


def _submission_id(name: str, digest: str, attempt: int) -> str:
    """The id of one attempt: the same for everyone who submits the same thing."""
    return checked_id(f"{name}-{digest[:12]}" + (f".{attempt}" if attempt > 1 else ""), field="name")


def _experiment(given: str | Path | Experiment, ledger: str | None) -> Experiment:
    """The experiment, everything that it refers to inlined, with the ledger it will be kept in."""
    if not isinstance(given, Experiment):
        from assay.cluster.prepare import resolve

        given = resolve.read_experiment(str(given))
    uri = open_store(given.ledger if ledger is None else ledger).uri
    if uri.startswith("memory://"):
        raise InvalidInput("the cluster cannot reach this process's memory", field="ledger", value=uri)
    folder, reference = split_uri(given.dataset)
    return given.model_copy(update={"ledger": uri, "dataset": posixpath.join(open_store(folder).uri, reference)})


def _stage(folder: Path, experiment: Experiment, working_dir: str | Path | None) -> None:
    """Gathers what travels: the experiment and the user's code, not the ledger and datasets beside it."""
    if working_dir is not None:
        from assay.evaluator.predictors.entrypoint import check_import_path

        if not Path(working_dir).is_dir():
            raise InvalidInput("no such folder", field="working_dir", value=str(working_dir))
        check_import_path(str(working_dir))
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
