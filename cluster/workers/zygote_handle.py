"""A slot's hold on its zygote: starts it, has workers forked and ended, and learns how they ended."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import suppress
from typing import Any

from assay.cluster.errors import RunError
from assay.cluster.workers.channel import Channel
from assay.cluster.workers.inherited import of_workers, search_path
from assay.cluster.workers.worker_process import SHOWN_BYTES, Ending, WorkerProcess

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from assay.cluster.workers import zygote; zygote.main()"
)
_MOST_BYTES = 1 << 16
_ANSWERS_WITHIN_S = 5.0


class ZygoteHandle:
    """A zygote, from its start to the end of everything that comes from it."""

    def __init__(
        self, import_paths: Sequence[str], *, memory_bytes: int | None, share: float, devices: str | None
    ) -> None:
        """Starts the zygote, and waits until it has imported everything.

        Args:
            import_paths: Folders that come first on `sys.path` in it.
            memory_bytes: How much memory its workers may use; None: see `memory_limit.Limit`.
            share: The slot's share of the machine, between 0 and 1.
            devices: The GPUs that its workers see, as `CUDA_VISIBLE_DEVICES`; None: those of this process.

        Raises:
            RunError: It could not start.
        """
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._output = os.fdopen(os.memfd_create("assay-zygote"), "rb")
        try:
            self._guard = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-c",
                    PROGRAM,
                    str(theirs.fileno()),
                    json.dumps(search_path(import_paths)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                env=of_workers(devices),
            )
        except OSError as error:
            raise RunError(f"the process that starts workers could not be started: {error}") from error
        finally:
            theirs.close()
        self._workers: dict[int, WorkerProcess] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pid = 0
        message = self._receive()
        if message is None:
            shown = os.pread(self._output.fileno(), SHOWN_BYTES, 0).decode(errors="replace").strip()
            self.close()
            self._control.close()
            raise RunError(f"the process that starts workers ended while it imported torch and Assay:\n{shown}")
        self._pid = message["pid"]
        self._send(do="limit", memory_bytes=memory_bytes, share=share)
        self.is_alive = True
        """False once it has ended; no worker can be started then."""
        threading.Thread(target=self._listen, name="zygote", daemon=True).start()

    def start(self) -> WorkerProcess:
        """Has a worker forked."""
        ours, theirs = socket.socketpair()
        output = os.memfd_create("assay-output")
        appending = os.open(f"/proc/self/fd/{output}", os.O_RDWR | os.O_APPEND)
        worker = WorkerProcess(next(self._numbers), Channel(ours), output)
        with self._lock:
            self._workers[worker.number] = worker
        try:
            content = json.dumps({"do": "fork", "worker": worker.number}).encode()
            socket.send_fds(self._control, [content], [theirs.fileno(), appending])
        except OSError:
            self._ended(worker.number, Ending(problem="the process that starts workers has ended"))
        finally:
            theirs.close()
            os.close(appending)
        return worker

    def end(self, worker: WorkerProcess, *, stack: bool = False) -> None:
        """Kills a worker and everything that it has started.

        If the zygote does not answer, because a variant's code has stopped it, it is killed with all its workers.
        """
        if not worker.ended.done():
            self._send(do="end", worker=worker.number, stack=stack)
            if not wait([worker.ended], _ANSWERS_WITHIN_S).done:
                self.kill()
                wait([worker.ended])

    def kill(self) -> None:
        """Kills the zygote and thereby all workers, for a zygote that does not answer; its guard ends what is left."""
        for pid, number in ((self._guard.pid, signal.SIGCONT), (self._pid or self._guard.pid, signal.SIGKILL)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """Ends the zygote and everything that comes from it. Does nothing more if it is called again."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._guard.wait(_ANSWERS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._guard.wait()
        self._output.close()

    def _listen(self) -> None:
        while (message := self._receive()) is not None:
            if message.pop("is") == "ended":
                self._ended(message.pop("worker"), Ending(**message))
        self.is_alive = False
        for number in list(self._workers):
            self._ended(number, Ending(problem="the process that starts workers has ended: it may have been killed"))
        self._control.close()

    def _ended(self, number: int, ending: Ending) -> None:
        with self._lock:
            worker = self._workers.pop(number, None)
        if worker is not None:
            worker.note_end(ending)

    def _receive(self) -> dict[str, Any] | None:
        try:
            content = self._control.recv(_MOST_BYTES)
        except OSError:
            return None
        return json.loads(content) if content else None

    def _send(self, **message: Any) -> None:
        with suppress(OSError):  # it has ended: so have its workers
            self._control.send(json.dumps(message).encode())
