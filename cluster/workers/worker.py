"""The worker: a fresh process that loads one variant, scores its units and publishes them."""

import base64
import contextlib
import faulthandler
import io
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.slot import Slot
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.workers.channel import Channel
from assay.cluster.workers.messages import to_message
from assay.cluster.workers.process_tree import die_with
from assay.evaluator.predictors import PredictionError
from assay.evaluator.probes.latency import BatchTimer
from assay.manifests.plain_text import error_text

_CONNECTION = 3
_LOOKS_EVERY_S = 1.0
_HIGHEST = 1 << 20  # more descriptors than a process may have open
_exit = os._exit  # a variant's code may replace that of `os`


def main() -> NoReturn:
    """Turns a new interpreter into a worker: see `spawner`. Its standard output and error are set already."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _work(int(sys.argv[1]))


def _end_with(parent: int) -> NoReturn:
    """Ends this process when its parent ends."""
    while os.getppid() == parent:
        time.sleep(_LOOKS_EVERY_S)
    os._exit(1)


def become_worker(connection: int, output: int, *, zygote: int) -> NoReturn:
    """Turns a process that was just forked from the zygote into a worker. Never returns, whatever happens in it.

    Args:
        connection: The descriptor of the worker's end of its channel.
        output: The descriptor of the file for its standard output and error, opened for appending.
        zygote: The zygote's process id.
    """
    try:
        os.setsid()  # a process group of its own, so that it can be killed with what it starts
        die_with(zygote, signal.SIGKILL)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(connection, _CONNECTION, inheritable=False)
        os.closerange(_CONNECTION + 1, _HIGHEST)
        _work(_CONNECTION)
    finally:
        os._exit(1)


def _work(connection: int) -> NoReturn:
    """Works until the slot closes the channel, and ends the process."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)  # what was printed is known even if the process is killed
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR2)
        _serve(Channel(socket.socket(fileno=connection)))
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
    except BaseException:  # noqa: BLE001  # also what a variant's code has raised in ours by replacing parts of Python
        with contextlib.suppress(BaseException):
            traceback.print_exc()
        _exit(1)
    finally:
        _exit(0)  # threads and exit handlers of a variant's code could keep the process; only receipts end units


def _serve(channel: Channel) -> None:
    """Does what the slot requests until it closes the channel."""
    setup = channel.receive()
    if setup is None:
        return
    work = pickle.loads(base64.b64decode(setup["work"]))  # noqa: S301  # from the slot, which is trusted
    try:
        slot = Slot(setup["slot"], setup["run"], setup["import_paths"], work)
    except BaseException as error:  # noqa: BLE001  # the slot reports it as its own
        channel.send({"is": "unusable", "reason": error_text(error)})
        return
    # The slot has opened the cache of shards, which all processes of the host share; everything later is the variant's.
    tempfile.tempdir = os.environ["TMPDIR"] = setup["folder"]
    if setup["assists"]:
        _assist(channel, slot)
        return
    channel.send({"is": "ready"})
    slot.scorer.timer_of_control = partial(_control_elsewhere, channel)
    while (message := channel.receive()) is not None:
        if message["do"] == "close":
            break
        end = slot.perform(Task(*message["task"]), message["upcoming"])
        channel.send({"is": "scored"})
        end.add_done_callback(partial(_report, channel))
    slot.close()


def _report(channel: Channel, end: Future[Published | Failure]) -> None:
    """Tells the slot how its oldest task has ended. Nobody is left to be told if the channel is closed."""
    with contextlib.suppress(OSError):
        channel.send({"is": "end", **to_message(end.result())})


def _assist(channel: Channel, slot: Slot) -> None:
    """Does what the worker of an arm cannot do itself: times the control, and reads what a unit needs without its code."""
    timer: BatchTimer | None = None
    while (message := channel.receive()) is not None and message["do"] != "close":
        try:
            answer = {}
            if message["do"] == "check":
                slot.check(message["unit"])
            elif timer is None:
                slot.scorer.load(slot.scorer.run.experiment.suite.plan.control)
                timer = slot.scorer.timer()
            if message["do"] == "time" and timer is not None:
                answer = {"seconds": timer.seconds()}
        except Exception as error:  # noqa: BLE001  # a variant's code may raise anything
            answer = {"problem": error_text(error)}
        channel.send({"is": "answer", **answer})


@contextmanager
def _control_elsewhere(channel: Channel) -> Iterator[Callable[[], float]]:
    """Times the control in a worker of its own: gives the seconds of its next batch."""

    def request(message: dict[str, Any]) -> dict[str, Any]:
        channel.send({"is": "control", **message})
        answer = channel.receive()
        if answer is None:
            os._exit(0)  # the slot has ended
        if "problem" in answer:
            raise PredictionError(answer["problem"])
        return answer

    request({"do": "load"})
    try:
        yield lambda: request({"do": "time"})["seconds"]
    finally:
        request({"do": "close"})
