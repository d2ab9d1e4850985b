"""A Ray head of a test's own: `ray start` on free ports, in its own folder and session, ended by its own pids."""

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
    """Where a head is.

    Attributes:
        folder: For its sessions, logs and sockets.
        port: Of its control store.
        dashboard: The address of its dashboard.
    """

    folder: Path
    port: int
    dashboard: str


@contextmanager
def ray_start(
    arguments: Callable[[Place], Sequence[str]], *, variables: Mapping[str, str], is_up: Callable[[Place], bool]
) -> Iterator[Place]:
    """A head for as long as the context lasts.

    Args:
        arguments: What `ray start --head` is told beside its ports and its folder.
        variables: Its environment beside ours, from which everything of Ray's is taken away.
        is_up: Whether it answers; asked once its dashboard's port is open.
    """
    for attempt in (1, 2):  # under load, Ray gives up on its own start after 30 s
        with _started(arguments, variables, is_up) as place:
            if place is not None:
                yield place
                return
            assert attempt == 1, "Ray did not start"


@contextmanager
def _started(
    arguments: Callable[[Place], Sequence[str]], variables: Mapping[str, str], is_up: Callable[[Place], bool]
) -> Iterator[Place | None]:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-", dir="/tmp"))  # Ray's socket names must stay short
    port, dashboard_port, agent_port, client_port = _free_ports(4)
    place = Place(folder, port, f"http://127.0.0.1:{dashboard_port}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "RAY_memory_monitor_refresh_ms": "0",  # a shared machine: others fill its memory
        "RAY_worker_niceness": "0",  # which works beside them
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
    """Ends what a head has left behind: all its processes are of the session that its start began."""
    while left := _processes_of(session):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes_of(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(its_session) == session and state != "Z":
                    found.append(int(entry.name))
    return found
