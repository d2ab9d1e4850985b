"""A Ray of one machine that grows and shrinks: the real autoscaler, and a real raylet for every node it asks for."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray.util
from ray.autoscaler.v2 import sdk

_HEAD = "f" * 51 + "00000"  # the provider's counter goes on from here: its nodes end in 00001, 00002, …
_START_WITHIN_S = 60.0
_END_WITHIN_S = 20.0
_OBJECT_STORE_BYTES = 100 << 20


@dataclass(frozen=True)
class Autoscaled:
    """A Ray head without CPUs or GPUs, and the nodes that come and go.

    Attributes:
        address: Of the head, for `RAY_ADDRESS`.
        dashboard: Of the head, for Ray's state API.
        folder: Everything that Ray writes.
    """

    address: str
    dashboard: str
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a driver needs to join."""
        return {"RAY_ADDRESS": self.address, "RAY_AUTH_MODE": "disabled"}

    def num_nodes(self) -> int:
        """Nodes that are up, the head apart."""
        status = sdk.get_cluster_status(self.address)
        return len(status.active_nodes) + len(status.idle_nodes) - 1

    def wait_for(self, num_nodes: int, *, within_s: float) -> float:
        """Waits until so many nodes are up, and says how many seconds it took.

        Raises:
            TimeoutError: It took longer.
        """
        started = time.monotonic()
        while (found := self.num_nodes()) != num_nodes:
            if time.monotonic() - started > within_s:
                raise TimeoutError(f"{found} nodes after {within_s:g} s, not {num_nodes}")
            time.sleep(0.25)
        return time.monotonic() - started


@contextmanager
def autoscaled_ray(*, max_nodes: int = 4, idle_s: float = 6.0) -> Iterator[Autoscaled]:
    """A cluster of 0 nodes that may grow to `max_nodes`, each with two CPUs and one pretended GPU.

    Args:
        max_nodes: The most nodes.
        idle_s: How long a node without work stays.
    """
    for attempt in (1, 2):  # under load, Ray gives up on its own start after 30 s
        with _started(max_nodes, idle_s) as found:
            if found is not None:
                yield found
                return
            assert attempt == 1, "Ray did not start"


@contextmanager
def _started(max_nodes: int, idle_s: float) -> Iterator[Autoscaled | None]:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-", dir="/tmp"))  # Ray's socket names must stay short
    port, dashboard_port, *other_ports = _free_ports(4)
    found = Autoscaled(f"{ray.util.get_node_ip_address()}:{port}", f"http://127.0.0.1:{dashboard_port}", folder)
    (folder / "autoscaling.json").write_text(json.dumps(_autoscaling(found.address, max_nodes, idle_s)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_CLOUD_INSTANCE_ID": _HEAD,
        "RAY_FAKE_CLUSTER": "1",
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD,
        "RAY_enable_autoscaler_v2": "1",
        "RAY_memory_monitor_refresh_ms": "0",  # a shared machine: others fill its memory
    }
    command = [Path(sys.executable).parent / "ray", "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--num-cpus=0", "--num-gpus=0", f"--object-store-memory={_OBJECT_STORE_BYTES}"]
    command += [f"--port={port}", "--min-worker-port=0", "--max-worker-port=0"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard_port}"]
    command += [f"--{name}={other_ports.pop()}" for name in ("dashboard-agent-listen-port", "ray-client-server-port")]
    command += [f"--temp-dir={folder}", f"--autoscaling-config={folder / 'autoscaling.json'}"]
    with (folder / "start.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield found if _is_up(found, process) else None
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_WITHIN_S)
        _end_session(process.pid)
        shutil.rmtree(folder, ignore_errors=True)


def _autoscaling(address: str, max_nodes: int, idle_s: float) -> dict:
    # The wheel has no file for Ray's own `fake_multinode` provider; the same class works as an external one.
    provider = {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "gcs_address": address,
        "head_node_id": _HEAD,
        "launch_multiple": True,
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    }
    node = {"resources": {"CPU": 2, "GPU": 1, "object_store_memory": _OBJECT_STORE_BYTES}, "node_config": {}}
    head = {"resources": {}, "node_config": {}, "max_workers": 0}
    return {
        "cluster_name": "autoscaled",
        "max_workers": max_nodes,
        "idle_timeout_minutes": idle_s / 60,
        "upscaling_speed": max_nodes,
        "provider": provider,
        "available_node_types": {
            "ray.head.default": head,
            "gpu": node | {"min_workers": 0, "max_workers": max_nodes},
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


def _is_up(cluster: Autoscaled, process: subprocess.Popen) -> bool:
    deadline = time.monotonic() + _START_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        places = (cluster.address, cluster.dashboard.removeprefix("http://"))
        if all(map(_listens, places)) and cluster.num_nodes() == 0:  # -1 before the head has joined itself
            return True
        time.sleep(0.25)
    return False


def _listens(place: str) -> bool:
    host, _, port = place.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _end_session(session: int) -> None:
    """Ends what this cluster has left behind: all its processes are of the session that its start began."""
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
