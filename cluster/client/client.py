"""The Python client: submits experiments to a Ray cluster through the HTTP API of Ray Jobs and finds them again."""

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
from assay.evaluator.ledger.opening import open_ledger
from assay.evaluator.storage import Store, open_store, split_uri
from assay.evaluator.storage.file_errors import described
from assay.manifests import Experiment, InvalidInput
from assay.manifests.environment_variables import LEDGER_VARIABLE, SUBMISSION_VARIABLE

_OUR_METADATA = ("assay_name", "assay_digest", "assay_ledger")
_EXPERIMENT_FILE = "assay-experiment.json"
_ENTRYPOINT = f"python -m assay.cluster.cli run {_EXPERIMENT_FILE}"  # a shell command: must not contain user input
_IGNORED = (".git", ".venv", "__pycache__", "*.pyc")
_MAX_ATTEMPTS = 1000
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Client:
    """Client of one Ray cluster. Calls the head's dashboard over HTTP; every call has a timeout.

    A client can be pickled. The pickle does not contain the token; unpickling reads it from the environment.

    Attributes:
        address: URL of the cluster's dashboard.
    """

    def __init__(self, address: str, token: str | None = None, *, timeout_s: float = 10.0) -> None:
        """Creates a client without contacting the cluster.

        Args:
            address: URL of the head's dashboard: `http://HEAD:8265`.
            token: The cluster's token. None: read from `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH`, if set.
            timeout_s: Timeout of one call in seconds.

        Raises:
            InvalidInput: The address is not an HTTP URL.
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
        """Submits an experiment to the cluster, or joins an existing submission of it.

        Submitting the same experiment (its text, ledger, code in `working_dir` and `runtime_env`) under the same name
        joins the existing submission while that is pending, running or succeeded. After it failed, was stopped or
        cancelled, a new submission starts and resumes from the ledger. Files that the experiment refers to by location
        are not compared: pin their digests if weights may be replaced.

        Args:
            experiment: Path of the experiment file, or the manifest.
            ledger: Folder or URI of the ledger, which the cluster must be able to reach. Default: the experiment's.
            name: Name of the submission. Default: the experiment's name.
            working_dir: Folder with the code of the entrypoints. It is uploaded to the cluster, except a ledger or
                dataset store inside it. None: the code is installed on the cluster, in distributions that the experiment names.
            runtime_env: More fields of Ray's runtime environment, such as `pip`. They are visible on the cluster's
                dashboard: set secrets in the environment of the cluster instead.
            metadata: Your own key-value pairs for the dashboard.

        Raises:
            InvalidInput: An argument is invalid; nothing was submitted.
            RunError: The cluster does not answer or rejects the request.
        """
        resolved = _experiment(experiment, ledger)
        name = checked_id(resolved.name if name is None else name, field="name")
        environment, labels = dict(runtime_env or {}), dict(metadata or {})
        self._check_arguments(environment, labels)
        with tempfile.TemporaryDirectory(prefix="assay-submit-") as folder:
            _stage(Path(folder), resolved, working_dir)
            digest = _digest(Path(folder), environment)
            labels |= dict(zip(_OUR_METADATA, (name, digest, resolved.ledger), strict=True))
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                submission_id = _submission_id(name, digest, attempt)
                submission = Submission(self._jobs, submission_id, name=name, ledger=resolved.ledger)
                if submission.is_marked_cancelled():
                    continue
                job = self._jobs.job(submission_id)
                if job is None:
                    variables = self._variables(environment, submission_id, ledger=resolved.ledger)
                    complete = {**environment, "working_dir": folder, "env_vars": variables}
                    if self._jobs.submit(submission_id, entrypoint=_ENTRYPOINT, runtime_env=complete, metadata=labels):
                        return submission
                    job = self._jobs.job(submission_id)  # another client submitted it first
                if job is None or job.status not in ("FAILED", "STOPPED"):
                    return submission
        raise RunError(f"'{name}' has failed {_MAX_ATTEMPTS} times; submit it under another name")

    def find(self, name: str) -> Submission:
        """Finds the newest submission with this name, or the submission with this ID.

        Raises:
            InvalidInput: The cluster knows no such submission.
            RunError: The cluster does not answer.
        """
        checked_id(name, field="name")
        ours = [job for job in self._jobs.all() if set(_OUR_METADATA) <= set(job.metadata or {})]
        matches = [job for job in ours if name in (job.submission_id, (job.metadata or {})["assay_name"])]
        if not matches:
            from assay.manifests.errors import did_you_mean

            names = sorted({(job.metadata or {})["assay_name"] for job in ours})
            raise InvalidInput(
                "the cluster has no submission of this name or ID",
                place=self.address,
                value=name,
                remedy=did_you_mean(name, names) or "a restarted cluster forgets its submissions: submit again",
            )
        newest = max(matches, key=lambda job: job.start_time or 0)
        metadata = newest.metadata or {}
        return Submission(
            self._jobs, str(newest.submission_id), name=metadata["assay_name"], ledger=metadata["assay_ledger"]
        )

    def _variables(self, runtime_env: Mapping[str, Any], submission_id: str, *, ledger: str) -> dict[str, str]:
        """The driver's environment variables, without the token, which drivers inherit from the head."""
        return {
            "RAY_AUTH_MODE": "token" if self._jobs.token else "disabled",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
            **runtime_env.get("env_vars", {}),
            SUBMISSION_VARIABLE: submission_id,
            LEDGER_VARIABLE: ledger,  # overrides that of the head
        }

    def _check_arguments(self, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
        if "working_dir" in runtime_env:
            raise InvalidInput(
                "cannot be set in runtime_env",
                field="runtime_env.working_dir",
                remedy="pass it as submit(..., working_dir=...)",
            )
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise InvalidInput(
                    "keys and values must be strings", field=f"metadata.{key}", value=type(value).__name__
                )
            if key in _OUR_METADATA:
                raise InvalidInput("this key is reserved", field=f"metadata.{key}", remedy="choose another key")
        for source, secret in (
            ("the cluster's token", self._jobs.token),
            *((f"the value of {name}", os.environ.get(name)) for name in _SECRET_VARIABLES),
        ):
            for field, content in (("runtime_env", runtime_env), ("metadata", metadata)):
                if secret and secret in json.dumps(content, default=str):
                    raise InvalidInput(
                        f"contains {source}, which everyone with access to the dashboard could read",
                        field=field,
                        remedy="set it in the environment of the cluster's nodes",
                    )


def _submission_id(name: str, digest: str, attempt: int) -> str:
    """The ID of one attempt. It is the same for every client that submits the same experiment."""
    return checked_id(f"{name}-{digest[:12]}" + (f".{attempt}" if attempt > 1 else ""), field="name")


def _experiment(source: str | Path | Experiment, ledger: str | None) -> Experiment:
    """The experiment with every manifest that it refers to inlined, and absolute locations of ledger and dataset."""
    if not isinstance(source, Experiment):
        from assay.cluster.prepare import resolve

        source = resolve.read_experiment(str(source))
    uri = open_ledger(source.ledger if ledger is None else ledger).uri
    if uri.startswith("memory://"):
        raise InvalidInput(
            "a cluster cannot reach the memory of this process",
            field="ledger",
            value=uri,
            remedy="use a shared folder or a URI",
        )
    folder, reference = split_uri(source.dataset)
    return source.model_copy(update={"ledger": uri, "dataset": posixpath.join(open_store(folder).uri, reference)})


def _stage(folder: Path, experiment: Experiment, working_dir: str | Path | None) -> None:
    """Copies what is uploaded, the experiment and the user's code, but not a ledger or dataset store among the code."""
    if working_dir is not None:
        from assay.evaluator.predictors.entrypoint import check_import_path

        if not Path(working_dir).is_dir():
            raise InvalidInput("there is no such folder", field="working_dir", value=str(working_dir))
        check_import_path(str(working_dir))
        stores = {_local(open_ledger(experiment.ledger)), _local(open_store(split_uri(experiment.dataset)[0]))}
        usual = shutil.ignore_patterns(*_IGNORED)

        def ignored(parent: str, names: list[str]) -> set[str]:
            return {name for name in names if Path(parent, name).absolute() in stores} | set(usual(parent, names))

        try:
            shutil.copytree(Path(working_dir).absolute(), folder, dirs_exist_ok=True, ignore=ignored)
        except shutil.Error as error:  # what could not be copied, each with its copy and reason
            source, _, reason = error.args[0][0]
            raise InvalidInput(
                f"{len(error.args[0])} files cannot be copied: the first because of {reason}",
                field="working_dir",
                place=str(source),
                remedy="remove them from the folder, or let this user read them",
            ) from None
        except OSError as error:
            raise InvalidInput(
                f"cannot be copied: {described(error)}", field="working_dir", place=str(error.filename or working_dir)
            ) from None
    (folder / _EXPERIMENT_FILE).write_text(experiment.model_dump_json(indent=2), encoding="utf-8")


def _local(store: Store) -> Path | None:
    return None if "://" in store.uri else Path(store.uri)


def _digest(folder: Path, runtime_env: Mapping[str, Any]) -> str:
    """SHA-256 of a submission's files and runtime environment, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(runtime_env, sort_keys=True, default=str).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(json.dumps([path.relative_to(folder).as_posix(), content]).encode())
    return digest.hexdigest()
