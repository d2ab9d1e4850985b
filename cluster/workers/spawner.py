"""Starts each worker as a new interpreter: for systems other than Linux, on which forking is unsafe or orphans stay.

A worker then takes seconds to start. Its memory is not limited, and what it has started outlives it unless it is in its
process group.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import suppress

from assay.cluster.workers.channel import Channel
from assay.cluster.workers.inherited import of_workers, search_path
from assay.cluster.workers.worker_process import Ending, WorkerProcess

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from assay.cluster.workers import worker; worker.main()"
)
_STACK_S = 0.1


class Spawner:
    """Starts and ends the workers of one slot."""

    is_alive = True

    def __init__(self, import_paths: Sequence[str], *, devices: str | None) -> None:
        """Starts nothing yet.

        Args:
            import_paths: Folders that come first on `sys.path` in workers.
            devices: The GPUs that workers see, as `CUDA_VISIBLE_DEVICES`; None: those of this process.
        """
        self._search_path, self._environment = search_path(import_paths), of_workers(devices)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._numbers = itertools.count()

    def start(self) -> WorkerProcess:
        """Starts an interpreter as a worker."""
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as output:
            worker = WorkerProcess(next(self._numbers), Channel(ours), os.dup(output.fileno()))
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), json.dumps(self._search_path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=self._environment,
                start_new_session=True,  # a process group of its own, so that it can be killed with what it starts
            )
        theirs.close()
        self._running[worker.number] = process
        threading.Thread(target=self._wait, args=(worker, process), daemon=True).start()
        return worker

    def end(self, worker: WorkerProcess, *, stack: bool = False) -> None:
        """Kills a worker and its process group."""
        process = self._running.get(worker.number)
        if process is not None:
            with suppress(ProcessLookupError):
                if stack:
                    process.send_signal(signal.SIGUSR2)
                    time.sleep(_STACK_S)
                os.killpg(process.pid, signal.SIGKILL)
        wait([worker.ended])

    def close(self) -> None:
        """Kills every worker."""
        for process in list(self._running.values()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _wait(self, worker: WorkerProcess, process: "subprocess.Popen[bytes]") -> None:
        code = process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has started
        del self._running[worker.number]
        worker.note_end(Ending(exit_code=code) if code >= 0 else Ending(signal=-code))
