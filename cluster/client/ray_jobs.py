"""Ray Jobs over HTTP: one cluster's jobs, with a timeout for every call and errors that say what to do."""

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
from assay.manifests import InvalidInput

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
_ID_BOUND = "letters, digits, '_', '.', '-'; starts with a letter or digit; at most 101 characters"


class _TimedClient(JobSubmissionClient):
    """Ray's client with a timeout for every call, for one address, whatever the environment says.

    Ray's own constructor prefers `RAY_ADDRESS` to the address it is given, and would send the token there.
    """

    def __init__(self, address: str, *, headers: dict[str, str], timeout_s: float) -> None:
        super(JobSubmissionClient, self).__init__(address=address, headers=headers)
        self._timeout_s = timeout_s

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, timeout=self._timeout_s, **options)


class Jobs:
    """The jobs of one cluster; its errors are ours. A pickle of it holds no token."""

    def __init__(self, address: str, token: str | None, timeout_s: float) -> None:
        self.address = address
        self.token = token
        self._timeout_s = timeout_s
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._ray = _TimedClient(address, headers=headers, timeout_s=timeout_s)

    def __reduce__(self) -> "tuple[Callable[[str, float], Jobs], tuple[str, float]]":
        return _with_own_token, (self.address, self._timeout_s)

    def job(self, submission_id: str) -> JobDetails | None:
        """What Ray knows of a job; None if it does not know it."""
        with self._explained():
            try:
                return self._ray.get_job_info(submission_id)
            except RuntimeError as error:
                if "status code 404" in str(error):
                    return None
                raise

    def all(self) -> list[JobDetails]:
        """Every job that the cluster remembers."""
        with self._explained():
            return self._ray.list_jobs()

    def submit(
        self, submission_id: str, *, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> bool:
        """Submits a job; False if there is one of that id."""
        checked_id(submission_id, field="submission_id")  # Ray checks nothing: a bad one leaves a job that never ends
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
        """Tells the driver to end; Ray kills it if it has not after a while."""
        with self._explained():
            self._ray.stop_job(submission_id)

    def logs(self, submission_id: str) -> str:
        """All that the driver printed."""
        with self._explained():
            return self._ray.get_job_logs(submission_id)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError:  # its words are about variables of a server
            problem = "does not take this token" if self.token else "wants a token"
            raise RunError(
                f"{self.address}: the cluster {problem}; set RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH, a file) to the "
                "cluster's token, or give it as Client(address, token=...)"
            ) from None
        except requests.Timeout:
            raise NoAnswerError(
                f"{self.address}: no answer within {self._timeout_s:g} s; the head is overloaded or gone"
            ) from None
        except requests.RequestException as error:
            raise NoAnswerError(
                f"{self.address}: the cluster cannot be reached ({type(error).__name__}); is the head up, and is this "
                "the address of its dashboard?"
            ) from None
        except (RuntimeError, ValueError) as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            if "status code 5" in words[0]:  # what stands before a head that is being exchanged says 502 or 503
                raise NoAnswerError(f"{self.address}: the cluster is in trouble: {words[0]}") from error
            raise RunError(f"{self.address}: the cluster refuses: {words[0]}") from error


def _with_own_token(address: str, timeout_s: float) -> Jobs:
    """The same jobs for whoever opens a pickle: with the token of the environment there, if there is one."""
    return Jobs(address, token_of_environment(), timeout_s)


def checked_address(address: str) -> str:
    """The dashboard's address without a slash at its end.

    Raises:
        InvalidInput: It is none.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in ("http", "https") or not rest.strip("/"):
        remedy = "give the dashboard, not the Ray Client" if scheme == "ray" else ""
        raise InvalidInput(
            "no address of a cluster", field="address", value=address, bound="http://HEAD:8265", remedy=remedy
        )
    return address.rstrip("/")


def token_of_environment() -> str | None:
    """The token where Ray looks for it, too."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if not token and not path and os.environ.get("RAY_AUTH_MODE") == "token":
        usual = Path.home() / ".ray" / "auth_token"
        path = str(usual) if usual.exists() else None
    if token or not path:
        return token or None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", field="RAY_AUTH_TOKEN_PATH", value=path) from None


def checked_id(given: str, *, field: str) -> str:
    """The id or name, if it can be one.

    Raises:
        InvalidInput: It cannot.
    """
    if not _ID.fullmatch(given):
        raise InvalidInput("cannot be an id", field=field, value=given, bound=_ID_BOUND)
    return given
