"""Starts a Ray head for a test with `ray start`, on free ports and in its own session, and ends its processes by ID."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_BIN = Path(sys.executable).parent
_START_LIMIT_S = 60
_STOP_LIMIT_S = 20


@dataclass(frozen=True)
class Place:
    """The folder and addresses of a head.

    Attributes:
        folder: The folder for its sessions, logs and sockets.
        port: The port of its control store (GCS).
        dashboard: The URL of its dashboard.
    """

    folder: Path
    port: int
    dashboard: str


@contextmanager
def ray_start(
    arguments: Callable[[Place], Sequence[str]], *, variables: Mapping[str, str], is_up: Callable[[Place], bool]
) -> Iterator[Place]:
    """A head that ends with the context.

    Args:
        arguments: Returns arguments of `ray start --head` in addition to its ports and its folder.
        variables: Environment variables in addition to those of this process, whose `RAY_*` variables are removed.
        is_up: Returns whether the head answers; called once the port of its dashboard is open.

    Yields:
        The folder and addresses of the running head.
    """
    for attempt in (1, 2):  # under load, Ray gives up its own start after 30 s
        with _started(arguments, variables, is_up) as place:
            if place is not None:
                yield place
                return
            assert attempt == 1, "Ray did not start in two attempts"


@contextmanager
def _started(
    arguments: Callable[[Place], Sequence[str]], variables: Mapping[str, str], is_up: Callable[[Place], bool]
) -> Iterator[Place | None]:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-", dir="/tmp"))  # Ray's socket names must stay short
    port, dashboard_port, agent_port, client_port = _free_ports(4)
    place = Place(folder, port, f"http://127.0.0.1:{dashboard_port}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "RAY_memory_monitor_refresh_ms": "0",  # others may fill the memory of a shared machine
        "RAY_worker_niceness": "0",  # otherwise other work on that machine starves its workers
        "RAY_prestart_worker_first_driver": "false",  # no slot uses those workers
        **variables,
    }
    command = [_BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", f"--temp-dir={folder}"]
    command += [f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard_port}"]
    command += [f"--dashboard-agent-listen-port={agent_port}", f"--ray-client-server-port={client_port}"]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={100 << 20}", *arguments(place)]
    with (folder / "start.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield place if _comes_up(place, process, is_up) else None
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_LIMIT_S)
        _end_session(process.pid)
        shutil.rmtree(folder, ignore_errors=True)


def _comes_up(place: Place, process: subprocess.Popen, is_up: Callable[[Place], bool]) -> bool:
    deadline = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(place.dashboard.rpartition(":")[2]))) == 0 and is_up(place):
                return True
        time.sleep(0.25)
    return False


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _end_session(session: int) -> None:
    """Kills the processes that a head has left: all of them belong to the session of its `ray start`."""
    while pids := _processes_of(session):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes_of(session: int) -> list[int]:
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(its_session) == session and state != "Z":
                    pids.append(int(entry.name))
    return pids
