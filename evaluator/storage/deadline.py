"""Deadline: ends calls into a library that may wait for ever, however a server keeps it waiting."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

BYTES_PER_S = 128 * 1024
"""What has to be transferred per second for a call to last longer than its limit."""
_Answer = TypeVar("_Answer")


class DeadlineError(Exception):
    """A call did not end in time. The thread that makes it is left to itself."""


class Deadline:
    """Some seconds for one or more calls, and one more second for every 128 KiB that they transfer.

    So a large object may take as long as it needs at any useful speed, and one byte per second is not progress.

    Attributes:
        limit_s: The seconds that are given whatever is transferred.
        is_over: Whether a call was abandoned. Its thread should end when it sees this.
        num_received: The number of bytes that were received; None before the first answer.
        spent_s: The seconds that calls have taken.
    """

    def __init__(self, limit_s: float, *, num_sent: int = 0) -> None:
        """Begins with nothing spent.

        Args:
            limit_s: The seconds that are given whatever is transferred.
            num_sent: The number of bytes that the calls send.
        """
        self.limit_s, self.is_over, self.spent_s, self._num_sent = limit_s, False, 0.0, num_sent
        self.num_received: int | None = None

    def received(self, num_bytes: int) -> None:
        """Allows more time, since something was received."""
        self.num_received = (self.num_received or 0) + num_bytes

    def run(self, call: Callable[[], _Answer]) -> _Answer:
        """Calls a function in a thread of its own; only the time that it takes counts.

        A thread, because timeouts of sockets bound the wait for each byte, not for all, and nothing bounds the resolution
        of names or the search for credentials. It is a daemon: it does not keep the process from ending.

        Raises:
            DeadlineError: The function did not return in time.
        """
        outcome: Future[_Answer] = Future()

        def work() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
                outcome.set_exception(error)

        started = time.monotonic()
        Thread(target=work, daemon=True, name="deadline").start()
        try:
            while True:
                allowed_s = self.limit_s + (self._num_sent + (self.num_received or 0)) / BYTES_PER_S
                left_s = allowed_s - self.spent_s - (time.monotonic() - started)
                if left_s <= 0 and not outcome.done():
                    self.is_over = True
                    raise DeadlineError
                try:
                    return outcome.result(timeout=max(left_s, 0))
                except TimeoutError:
                    if outcome.done():  # the function's own
                        raise
        finally:
            self.spent_s += time.monotonic() - started
