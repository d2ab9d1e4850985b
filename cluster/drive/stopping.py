"""Requests from outside to stop a run: SIGTERM, sent by Ray Jobs, a scheduler or a person."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


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
    _previous_handlers.append(previous_handler or signal.SIG_DFL)
    try:
        yield request
    finally:
        _previous_handlers.pop()
        signal.signal(signal.SIGTERM, previous_handler)


_previous_handlers: list[Any] = []
"""What SIGTERM did before each of the requests that are open."""
_forking = threading.local()
"""`mask`: the signals that the thread that is forking had blocked before."""


def _block_before_fork() -> None:
    """Keeps a SIGTERM to a child back until the child has its own handler; Python discards those that come before."""
    if _previous_handlers:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _restore_in_parent() -> None:
    mask = vars(_forking).pop("mask", None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _restore_in_child() -> None:
    """Lets SIGTERM end a process that user code has forked, such as a worker of a pool: it is not this run's driver."""
    if _previous_handlers:
        signal.signal(signal.SIGTERM, _previous_handlers[0])
        _previous_handlers.clear()
    _restore_in_parent()


os.register_at_fork(before=_block_before_fork, after_in_parent=_restore_in_parent, after_in_child=_restore_in_child)
