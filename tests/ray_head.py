"""A Ray head of our own with token authentication, and experiments that are submitted to it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import Client
from cluster.errors import RunError
from manifests import InvalidInput
from tests import builders

_BIN = Path(sys.executable).parent
_START_LIMIT_S = 60
_STOP_LIMIT_S = 20


@dataclass(frozen=True)
class Head:
    """A running head.

    Attributes:
        address: Its dashboard.
        token: What it wants from everyone.
        folder: Where it keeps its session: logs, sockets, packages.
    """

    address: str
    token: str
    folder: Path

    def client(self) -> Client:
        """A client that has the token."""
        return Client(self.address, self.token)


@contextmanager
def ray_head(token: str, variables: Mapping[str, str]) -> Iterator[Head]:
    """A head on free ports, in its own folder, for as long as the context lasts.

    Args:
        token: The token that `variables` give it.
        variables: Its environment beside ours, from which everything of Ray's is taken away.
    """
    for attempt in (1, 2):  # under load, Ray gives up on its own start after 30 s
        with _started(token, variables) as found:
            if found is not None:
                yield found
                return
            assert attempt == 1, "Ray did not start"


def with_code_apart(folder: Path, **options) -> tuple[Path, Path]:
    """An experiment, and the folder with the code that its entrypoints name: nowhere near the experiment."""
    experiment = builders.write_experiment(folder / "experiment", **options)
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (folder / "experiment" / "variants_under_test.py").replace(code / "variants_under_test.py")
    return experiment, code


@contextmanager
def _started(token: str, variables: Mapping[str, str]) -> Iterator[Head | None]:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-", dir="/tmp"))  # Ray's socket names must stay short
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "RAY_AUTH_MODE": "token",
        "RAY_memory_monitor_refresh_ms": "0",  # a shared machine: others fill its memory
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        **variables,
    }
    ports = ("port", "dashboard-agent-listen-port", "ray-client-server-port")
    command = [_BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=2"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={port}", f"--temp-dir={folder}"]
    command += [f"--{name}={_free_port()}" for name in ports]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={100 << 20}"]
    log = (folder / "start.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    found = Head(f"http://127.0.0.1:{port}", token, folder)
    try:
        yield found if _is_up(found, process) else None
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
        for pid in _processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _is_up(head: Head, process: subprocess.Popen) -> bool:
    deadline = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(head.address.rpartition(":")[2]))) == 0:
                try:
                    head.client().find("nothing-yet")
                except InvalidInput:
                    return True
                except RunError:
                    pass
        time.sleep(0.25)
    return False


def _processes_of(folder: Path) -> list[int]:
    """What this head has left behind: known by its own folder on the command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{folder}/".encode() in command or f"{folder}\0".encode() in command:
                found.append(int(entry.name))
    return found
