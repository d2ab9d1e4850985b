"""A Ray cluster on one machine that grows and shrinks: Ray's autoscaler, and one raylet for every node it requests."""

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray.util
from ray.autoscaler.v2 import sdk
from tests.ray_start import Place, ray_start

_HEAD = "f" * 51 + "00000"  # the provider counts on from this ID: its nodes end in 00001, 00002, …
_OBJECT_STORE_BYTES = 100 << 20
_VARIABLES = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_CLOUD_INSTANCE_ID": _HEAD,
    "RAY_FAKE_CLUSTER": "1",
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD,
    "RAY_enable_autoscaler_v2": "1",
}


@dataclass(frozen=True)
class Autoscaled:
    """A Ray head without CPUs or GPUs, and the nodes that the autoscaler adds and removes.

    Attributes:
        address: The head's address, for `RAY_ADDRESS`.
        dashboard: The URL of the head's dashboard, for Ray's state API.
        folder: The folder that Ray writes to.
    """

    address: str
    dashboard: str
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that a driver needs to join."""
        return {"RAY_ADDRESS": self.address, "RAY_AUTH_MODE": "disabled"}

    def num_nodes(self) -> int:
        """The number of nodes that are up, not counting the head."""
        status = sdk.get_cluster_status(self.address)
        return len(status.active_nodes) + len(status.idle_nodes) - 1

    def wait_for(self, num_nodes: int, *, within_s: float) -> float:
        """Waits until exactly this many nodes are up.

        Args:
            num_nodes: The number of nodes, not counting the head.
            within_s: The timeout in seconds.

        Returns:
            How long it took, in seconds.

        Raises:
            TimeoutError: The number was not reached within the timeout.
        """
        started = time.monotonic()
        while (num_up := self.num_nodes()) != num_nodes:
            if time.monotonic() - started > within_s:
                raise TimeoutError(f"{num_up} nodes are up after {within_s:g} s, expected {num_nodes}")
            time.sleep(0.25)
        return time.monotonic() - started


@contextmanager
def autoscaled_ray(*, max_nodes: int = 4, idle_s: float = 6.0) -> Iterator[Autoscaled]:
    """A cluster that starts with 0 nodes and may grow to `max_nodes`, each with two CPUs and one simulated GPU.

    Args:
        max_nodes: The maximum number of nodes.
        idle_s: Seconds after which an idle node is removed.

    Yields:
        The cluster; it is shut down when the context ends.
    """

    def arguments(place: Place) -> Sequence[str]:
        config = place.folder / "autoscaling.json"
        config.write_text(json.dumps(_autoscaling(_address(place), max_nodes, idle_s)))
        return ["--num-cpus=0", "--num-gpus=0", f"--autoscaling-config={config}"]

    with ray_start(arguments, variables=_VARIABLES, is_up=_is_up) as place:
        yield _autoscaled(place)


def _address(place: Place) -> str:
    return f"{ray.util.get_node_ip_address()}:{place.port}"


def _autoscaled(place: Place) -> Autoscaled:
    return Autoscaled(_address(place), place.dashboard, place.folder)


def _is_up(place: Place) -> bool:
    host, _, port = _address(place).rpartition(":")
    with socket.socket() as probe:
        if probe.connect_ex((host, int(port))) != 0:
            return False
    return _autoscaled(place).num_nodes() == 0  # -1 before the head has joined itself


def _autoscaling(address: str, max_nodes: int, idle_s: float) -> dict:
    # Ray's wheel lacks a file of its `fake_multinode` provider; the same class works as an external provider.
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
