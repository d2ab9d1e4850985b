"""Requests from outside to stop a run: SIGTERM, sent by Ray Jobs, a scheduler or a person."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """A request to stop the run.

    Attributes:
        reason: Why it should stop; empty while nobody has requested it.
    """

    reason: str = ""


@contextmanager
def on_sigterm() -> Iterator[StopRequest]:
    """A request whose reason is set on SIGTERM. Enter it after Ray has connected, since Ray sets its own handler."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # Python sets signal handlers in the main thread only
        yield request
        return

    def request_stop(_number: int, _frame: FrameType | None) -> None:
        request.reason = "SIGTERM"

    previous_handler = signal.signal(signal.SIGTERM, request_stop)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
