"""The client for programs that run an event loop: the same methods, as coroutines and asynchronous iterators.

Every call of the client is made in a thread (`asyncio.to_thread`), so that the loop never waits for HTTP or a store.
What lasts (`wait`, `stream`, `logs`) is many such calls, one a second: a task that is cancelled leaves at most one of
them behind, which ends by itself within a second and the client's timeout.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cluster.client import Client
from cluster.submission import Result, Status, Submission
from manifests import Experiment
from manifests.ledger import Progress

T = TypeVar("T")


class AsyncSubmission:
    """One experiment, handed to a cluster: the asynchronous twin of `Submission`, whose methods say more."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self.submission_id = submission.submission_id
        self.name = submission.name
        self.ledger = submission.ledger

    async def run_id(self) -> str | None:
        """The run that it carries out; None until its driver knows. One call in a thread."""
        return await asyncio.to_thread(lambda: self._submission.run_id)

    async def status(self) -> Status:
        """Where it stands. One call in a thread."""
        return await asyncio.to_thread(self._submission.status)

    async def progress(self) -> Progress | None:
        """How far the run is, from the ledger. One call in a thread."""
        return await asyncio.to_thread(self._submission.progress)

    async def result(self) -> Result:
        """What the run came to, from the ledger. One call in a thread."""
        return await asyncio.to_thread(self._submission.result)

    async def cancel(self, *, grace_s: float = 5.0) -> Status:
        """Ends it. One call in a thread, which lasts until it has ended, whether or not somebody awaits it still."""
        return await asyncio.to_thread(self._submission.cancel, grace_s=grace_s)

    async def wait(self, *, timeout_s: float) -> Status:
        """Waits until it has ended: one call in a thread a second."""
        last = None
        async for status in _stepped(self._submission.polls(timeout_s=timeout_s)):
            last = status
        assert last is not None
        return last

    async def stream(self, *, timeout_s: float) -> AsyncIterator[Progress]:
        """How far the run is, each time that the ledger tells something new: two calls in threads a second."""
        last = None
        async for _ in _stepped(self._submission.polls(timeout_s=timeout_s)):
            progress = await self.progress()
            if progress not in (None, last):
                yield progress
                last = progress

    async def logs(self, *, follow: bool = True) -> AsyncIterator[str]:
        """What the driver printed, in pieces as they come: two calls in threads a second."""
        num_seen = 0
        async for _ in _stepped(self._submission.polls(timeout_s=math.inf) if follow else iter((None,))):
            text = "".join(await asyncio.to_thread(list, self._submission.logs(follow=False)))
            if len(text) > num_seen:
                yield text[num_seen:]
                num_seen = len(text)

    async def is_marked_cancelled(self) -> bool:
        """Whether somebody cancelled it, whatever the cluster says. One call in a thread."""
        return await asyncio.to_thread(self._submission.is_marked_cancelled)


class AsyncClient:
    """A cluster that takes experiments: the asynchronous twin of `Client`, whose methods say more.

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
        self._client = Client(address, token, timeout_s=timeout_s)
        self.address = self._client.address

    async def submit(
        self,
        experiment: str | Path | Experiment,
        *,
        ledger: str | None = None,
        name: str | None = None,
        working_dir: str | Path | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncSubmission:
        """Hands an experiment to the cluster, or joins the submission that has it already, as `Client.submit` does.

        One call in a thread, which goes on if the task is cancelled: submitting the same again joins what it made.

        Raises:
            InvalidInput: Something cannot be used; nothing was submitted.
            RunError: The cluster does not answer, or refuses.
        """
        found = await asyncio.to_thread(
            self._client.submit,
            experiment,
            ledger=ledger,
            name=name,
            working_dir=working_dir,
            runtime_env=runtime_env,
            metadata=metadata,
        )
        return AsyncSubmission(found)

    async def find(self, name: str) -> AsyncSubmission:
        """The newest submission of that name, or the one of that id. One call in a thread.

        Raises:
            InvalidInput: The cluster has none.
            RunError: The cluster does not answer.
        """
        return AsyncSubmission(await asyncio.to_thread(self._client.find, name))


async def _stepped(steps: Iterator[T]) -> AsyncIterator[T]:
    """Each step in a thread of its own: nobody takes the next one once the task that wants it is cancelled."""
    end = object()
    while (step := await asyncio.to_thread(next, steps, end)) is not end:
        yield step  # pyright: ignore[reportReturnType]
