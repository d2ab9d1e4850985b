"""Ray Jobs over HTTP: the jobs of one cluster, with a timeout for every call and errors that name a remedy."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from assay.cluster.errors import NoAnswerError, RunError
from assay.cluster.prepare.user_file import read_text
from assay.manifests import InvalidInput

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
_ID_BOUND = "1 to 101 letters, digits, '_', '.' and '-', starting with a letter or digit"


class _TimedClient(JobSubmissionClient):
    """Ray's client with a timeout for every call, for exactly the given address.

    Ray's own constructor prefers `RAY_ADDRESS` over its argument and would send the token there.
    """

    def __init__(self, address: str, *, headers: dict[str, str], timeout_s: float) -> None:
        super(JobSubmissionClient, self).__init__(address=address, headers=headers)
        self._timeout_s = timeout_s

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, timeout=self._timeout_s, **options)


class Jobs:
    """The jobs of one cluster. Raises only `AssayError`s. A pickle does not contain the token."""

    def __init__(self, address: str, token: str | None, timeout_s: float) -> None:
        self.address = address
        self.token = token
        self._timeout_s = timeout_s
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._ray = _TimedClient(address, headers=headers, timeout_s=timeout_s)

    def __reduce__(self) -> "tuple[Callable[[str, float], Jobs], tuple[str, float]]":
        return _with_own_token, (self.address, self._timeout_s)

    def job(self, submission_id: str) -> JobDetails | None:
        """Ray's details of a job; None if the cluster does not know it."""
        with self._explained():
            try:
                return self._ray.get_job_info(submission_id)
            except RuntimeError as error:
                if "status code 404" in str(error):
                    return None
                raise

    def all(self) -> list[JobDetails]:
        """All jobs that the cluster knows."""
        with self._explained():
            return self._ray.list_jobs()

    def submit(
        self, submission_id: str, *, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> bool:
        """Submits a job. Returns False if a job with this ID exists already."""
        checked_id(
            submission_id, field="submission_id"
        )  # Ray does not check IDs: a bad one leaves a job that never ends
        with self._explained():
            try:
                self._ray.submit_job(
                    entrypoint=entrypoint, submission_id=submission_id, runtime_env=runtime_env, metadata=metadata
                )
            except RuntimeError as error:
                if "already exists" in str(error):
                    return False
                raise
            return True

    def stop(self, submission_id: str) -> None:
        """Asks the driver to terminate; Ray kills it after `RAY_JOB_STOP_WAIT_TIME_S`."""
        with self._explained():
            self._ray.stop_job(submission_id)

    def logs(self, submission_id: str) -> str:
        """Everything that the driver has printed so far."""
        with self._explained():
            return self._ray.get_job_logs(submission_id)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError:  # Ray's message is about variables of the server
            problem = "rejects this token" if self.token else "requires a token"
            raise RunError(
                f"{self.address}: the cluster {problem}; set RAY_AUTH_TOKEN to the cluster's token (or "
                "RAY_AUTH_TOKEN_PATH to a file with it), or pass it as Client(address, token=...)"
            ) from None
        except requests.Timeout:
            raise NoAnswerError(
                f"{self.address}: no answer within {self._timeout_s:g} s; the head may be overloaded or down"
            ) from None
        except requests.RequestException as error:
            raise NoAnswerError(
                f"{self.address}: the cluster cannot be reached ({type(error).__name__}); check that the head is up and "
                "that this is the address of its dashboard"
            ) from None
        except (RuntimeError, ValueError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            if "status code 5" in lines[0]:  # a proxy answers 502 or 503 while the head is being replaced
                raise NoAnswerError(f"{self.address}: server error of the cluster: {lines[0]}") from error
            raise RunError(f"{self.address}: the cluster rejected the request: {lines[0]}") from error


def _with_own_token(address: str, timeout_s: float) -> Jobs:
    """Unpickles `Jobs` with the token of the environment, if one is set."""
    return Jobs(address, token_of_environment(), timeout_s)


def checked_address(address: str) -> str:
    """The address of a dashboard, without a trailing slash.

    Raises:
        InvalidInput: It is not an HTTP URL.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in ("http", "https") or not rest.strip("/"):
        remedy = "use the address of the dashboard, not of the Ray Client" if scheme == "ray" else ""
        raise InvalidInput(
            "not the address of a dashboard", field="address", value=address, bound="http://HEAD:8265", remedy=remedy
        )
    return address.rstrip("/")


def token_of_environment() -> str | None:
    """The token from the environment, read from the same places as Ray does; None if there is none.

    Raises:
        InvalidInput: The file of `RAY_AUTH_TOKEN_PATH` cannot be read.
    """
    token = os.environ.get("RAY_AUTH_TOKEN")
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if not token and not path and os.environ.get("RAY_AUTH_MODE") == "token":
        usual = Path.home() / ".ray" / "auth_token"
        path = str(usual) if usual.exists() else None
    if token or not path:
        return token or None
    try:
        return read_text(path).strip() or None
    except InvalidInput as error:
        raise error.within("", field="RAY_AUTH_TOKEN_PATH") from None


def checked_id(text: str, *, field: str) -> str:
    """Returns a submission's ID or name after checking it.

    Raises:
        InvalidInput: It has characters that are not allowed, or is too long.
    """
    if not _ID.fullmatch(text):
        raise InvalidInput("not a valid name or ID", field=field, value=text, bound=_ID_BOUND)
    return text
