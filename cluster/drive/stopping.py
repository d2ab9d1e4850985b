"""Word from outside that a run shall stop: SIGTERM, as from Ray Jobs, a scheduler or a person."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether someone wants the run to stop.

    Attributes:
        reason: Who, in words; empty while nobody does.
    """

    reason: str = ""


@contextmanager
def on_sigterm() -> Iterator[StopRequest]:
    """A request that SIGTERM fills. Enter it after Ray is connected, which sets a handler of its own."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may listen
        yield request
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        request.reason = "SIGTERM"

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
