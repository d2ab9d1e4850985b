"""A worker's process as its slot sees it, and how such a process ends."""

import os
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from assay.cluster.workers.channel import Channel

SHOWN_BYTES = 4_000
"""How much of a process's output is shown."""


@dataclass(frozen=True)
class Ending:
    """How a worker's process ended. At most one of the first three attributes is set.

    Attributes:
        exit_code: Its exit code, if it ended by itself.
        signal: The signal that ended it.
        problem: Why it could not be started, or why nobody knows how it ended.
        used_bytes: The memory for which it was killed; None if that was not the reason.
    """

    exit_code: int | None = None
    signal: int | None = None
    problem: str = ""
    used_bytes: int | None = None


class WorkerProcess:
    """A worker's process, as its slot sees it.

    Attributes:
        channel: The slot's end of the channel.
        ended: How the process ended, once it and everything that it started is gone.
    """

    def __init__(self, number: int, channel: Channel, output: int) -> None:
        self.number, self.channel = number, channel
        self.ended: Future[Ending] = Future()
        self._output = output

    def last_output(self) -> str:
        """The end of what it has printed."""
        size_bytes = os.fstat(self._output).st_size
        content = os.pread(self._output, SHOWN_BYTES, max(0, size_bytes - SHOWN_BYTES))
        return content.decode(errors="replace").strip()

    def note_end(self, ending: Ending) -> None:
        """Says how it has ended; nothing more is received then, even if a process that it has left holds its channel."""
        self.ended.set_result(ending)
        self.channel.hang_up()

    def close(self) -> None:
        """Closes the channel and the output. Call it once the process has ended."""
        self.channel.close()
        os.close(self._output)


class WorkerSource(Protocol):
    """Starts and ends the workers of one slot."""

    is_alive: bool
    """False once it can start no more workers."""

    def start(self) -> WorkerProcess:
        """Starts a worker, or one that has ended at once, with the problem."""
        ...

    def end(self, worker: WorkerProcess, *, stack: bool = False) -> None:
        """Kills a worker and everything that it has started, unless it has ended already; waits until it is gone.

        Args:
            worker: The worker.
            stack: Whether it writes the stacks of its threads to its output before, if it still can.
        """
        ...

    def close(self) -> None:
        """Ends all workers."""
        ...
