"""The zygote: a process that has imported torch and Assay, and forks a fresh worker for each variant.

    slot's process - guard - zygote - workers - whatever these start

The zygote has no other threads and never computes anything, so a worker is as new as a fresh interpreter, but starts in
milliseconds. It ends every process that comes from it when its slot's process ends, however that happens: it sees the
end of their connection. Ray kills the children of an actor that it kills, so the child is only a guard: it waits for
the zygote, and ends what is left if the zygote itself was killed.

Run as `python -c PROGRAM DESCRIPTOR`: see `zygote_handle.PROGRAM`. Linux only.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from assay.cluster.workers import memory_limit
from assay.cluster.workers.process_tree import be_subreaper, descendants, die_with, kill_children, kill_group

_PRELOADED = (
    "torch",
    "torch._inductor.config",  # the first use of deterministic algorithms imports it, in seconds
    "pandas",  # pyarrow imports it at the first table
    "pyarrow.compute",
    "pyarrow.parquet",
    "assay.cluster.workers.worker",
)
_TICK_S = 0.05
_STACK_S = 0.1
"""How long a hung worker has for writing its stack."""
_MOST_OUTPUT_BYTES, _KEPT_OUTPUT_BYTES = 4 << 20, 64 << 10
_MOST_BYTES = 1 << 16
"""The longest message about a worker."""


def main() -> NoReturn:
    """Becomes the guard and, in its child, the zygote."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # Ray's workers block SIGINT
    be_subreaper()
    guard, child = os.getpid(), os.fork()
    if child:
        control.close()
        _guard(child)
    die_with(guard, signal.SIGTERM)
    be_subreaper()
    for name in _PRELOADED:
        importlib.import_module(name)
    from assay.evaluator.provenance import environment

    environment.capture()  # reads hundreds of small files, once rather than in every worker
    gc.collect()
    gc.freeze()  # otherwise every worker's first collection copies the memory that it shares with the zygote
    _Zygote(control).serve()


def _guard(zygote: int) -> NoReturn:
    """Waits for the zygote; ends whatever it leaves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError):
        while os.wait()[0] != zygote:
            pass
    kill_children()
    os._exit(0)


@dataclass
class _Worker:
    """A live worker.

    Attributes:
        number: Its number in messages.
        output: The file with its standard output and error.
        used_bytes: The memory for which it was killed; None if it was not.
    """

    number: int
    output: int
    used_bytes: int | None = None


class _Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, _Worker] = {}  # by process id
        self._limit = memory_limit.Limit()
        self._is_over = False
        self._looked_at_s = 0.0

    def serve(self) -> NoReturn:
        """Forks and ends workers as the slot requests, until the slot's process or the guard ends."""
        woken, wakes = os.pipe()
        for descriptor in (woken, wakes):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        poll = select.poll()
        for descriptor in (woken, self._control.fileno()):
            poll.register(descriptor, select.POLLIN)
        self._send(is_="ready", pid=os.getpid())
        while not self._is_over:
            ready = [descriptor for descriptor, _ in poll.poll(_TICK_S * 1e3 if self._workers else None)]
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 1 << 12)
            if self._control.fileno() in ready:
                self._obey()
            self._reap()
            if time.monotonic() - self._looked_at_s >= _TICK_S:
                self._looked_at_s = time.monotonic()
                self._watch()
        for pid in self._workers:
            kill_group(pid)
        kill_children()
        os._exit(0)

    def _end(self, *_: object) -> None:
        self._is_over = True

    def _send(self, *, is_: str, **more: Any) -> None:
        try:
            self._control.send(json.dumps({"is": is_, **more}).encode())
        except OSError:
            self._is_over = True

    def _obey(self) -> None:
        """Does what the slot's next message says; its end means that the slot's process has ended."""
        try:
            content, descriptors, _, _ = socket.recv_fds(self._control, _MOST_BYTES, 2)
        except OSError:
            content, descriptors = b"", []
        if not content:
            self._is_over = True
            return
        message = json.loads(content)
        if message["do"] == "limit":
            self._limit = memory_limit.Limit(message["memory_bytes"], message["share"])
        elif message["do"] == "fork":
            self._fork(message["worker"], *descriptors)
        elif message["do"] == "end":
            for pid, worker in self._workers.items():
                if worker.number == message["worker"]:
                    if message["stack"]:
                        _have_stack_written(pid, worker.output)
                    kill_group(pid)

    def _fork(self, number: int, connection: int, output: int) -> None:
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._send(is_="ended", worker=number, problem=f"no process could be started: {error.strerror}")
            os.close(connection)
            os.close(output)
            return
        if pid == 0:
            from assay.cluster.workers import worker

            signal.set_wakeup_fd(-1)
            worker.become_worker(connection, output, zygote=zygote)
        os.close(connection)
        self._workers[pid] = _Worker(number, output)

    def _reap(self) -> None:
        """Reports workers that have ended, once every process that they have started is gone."""
        while True:
            try:
                # The process is left as it is until its group was killed: otherwise its number may be somebody else's.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            worker = self._workers.pop(ended.si_pid, None)
            if worker is None:  # an orphan
                os.waitpid(ended.si_pid, 0)
                continue
            kill_group(ended.si_pid)
            os.waitpid(ended.si_pid, 0)
            if not self._workers:  # otherwise it is not known whose these are
                kill_children()
            is_exit = ended.si_code == os.CLD_EXITED
            self._send(
                is_="ended",
                worker=worker.number,
                exit_code=ended.si_status if is_exit else None,
                signal=None if is_exit else ended.si_status,
                used_bytes=worker.used_bytes,
            )
            os.close(worker.output)

    def _watch(self) -> None:
        """Kills the largest worker if memory exceeds its limit, and cuts output that is too long."""
        if not self._workers:
            return
        pids = descendants(os.getpid())
        if self._limit.is_exceeded(memory_limit.most_bytes(pids)) and self._limit.is_exceeded(
            memory_limit.used_bytes(pids)
        ):
            used = {pid: memory_limit.used_bytes([pid, *descendants(pid)]) for pid in self._workers}
            largest = max(used, key=used.__getitem__)
            # What no worker's tree has belongs to processes that have left it: to the largest one's, most probably.
            self._workers[largest].used_bytes = memory_limit.used_bytes(pids) - sum(used.values()) + used[largest]
            kill_group(largest)
        for worker in self._workers.values():
            size_bytes = os.fstat(worker.output).st_size
            if size_bytes > _MOST_OUTPUT_BYTES:
                end = os.pread(worker.output, _KEPT_OUTPUT_BYTES, size_bytes - _KEPT_OUTPUT_BYTES)
                os.ftruncate(worker.output, 0)
                os.write(worker.output, b"[...]" + end)  # it is opened for appending


def _have_stack_written(pid: int, output: int) -> None:
    """Has a worker write the stacks of its threads to its output, if it still can."""
    before, until = os.fstat(output).st_size, time.monotonic() + _STACK_S
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR2)
        while os.fstat(output).st_size == before and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(0.01)  # until it is complete
