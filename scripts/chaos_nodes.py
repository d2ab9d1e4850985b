"""Three Ray nodes on this host, each with a folder for its shards, and how one of them is lost and comes back."""

import contextlib
import logging
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NUM_NODES = 3
SLOTS_PER_NODE = 3  # six slots: two nodes have room for what three had

_SETTINGS = {
    # A dead node refuses connections at once: three refusals are enough. A slow one is waited for.
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 3,
    "prestart_worker_first_driver": False,  # or every driver would have nine processes started, and use six
}


class Nodes:
    """A cluster. Its head, to which drivers connect, is never lost: Ray does not survive that."""

    def __init__(self, folder: Path) -> None:
        """Starts the nodes; what they inherit of the environment must be set."""
        os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", RAY_TMPDIR=str(folder))
        from ray.cluster_utils import Cluster

        logging.getLogger("ray").setLevel(logging.ERROR)
        self._folder = folder
        self._num_started = 0
        self._cluster: Any = Cluster()
        self._due_at = float("inf")
        self._add(include_dashboard=False, _system_config=_SETTINGS)
        self.mend()

    @property
    def address(self) -> str:
        """Where drivers find the cluster."""
        return self._cluster.address

    def workers(self) -> set[int]:
        """The processes that the nodes have started, by id."""
        return {pid for node in self._cluster.list_all_nodes() for pid in _children(_process(node).pid)}

    def lose_one(self, generator: random.Random, *, away_s: float) -> set[int]:
        """Kills one node with all its processes; another is due some seconds later.

        Returns:
            The ids of the killed processes.
        """
        self.mend()
        node = generator.choice(sorted(self._cluster.worker_nodes, key=lambda node: _process(node).pid))
        pids = [_process(node).pid]
        pids += _children(pids[0])
        for pid in pids:
            kill(pid)
        self._cluster.remove_node(node, allow_graceful=False)
        self._due_at = time.time() + away_s
        return set(pids)

    def mend_if_due(self) -> None:
        """Adds the node that is away, once it is due. Ray adds nodes from the main thread only, so nobody else can."""
        if time.time() > self._due_at:
            self.mend()

    def mend(self) -> None:
        """Adds nodes until all are there, also for those that ended by themselves."""
        for node in [node for node in self._cluster.worker_nodes if _process(node).poll() is not None]:
            self._cluster.remove_node(node, allow_graceful=False)
        while len(self._cluster.list_all_nodes()) < NUM_NODES:
            self._add()
        self._due_at = float("inf")

    def forget_shards(self) -> None:
        """Empties the folders of the nodes, so that the next run fetches its shards again."""
        for folder in self._folder.glob("node-*"):
            shutil.rmtree(folder)
            folder.mkdir()

    def close(self) -> None:
        """Ends every node."""
        for node in reversed(self._cluster.list_all_nodes()):  # the head last; gracefully, each would take seconds
            self._cluster.remove_node(node, allow_graceful=False)

    def _add(self, **options: Any) -> None:
        """Starts a node. Processes inherit the folder that is the default for temporary files at this moment."""
        own = self._folder / f"node-{self._num_started}"
        own.mkdir()
        self._num_started += 1
        os.environ["TMPDIR"] = str(own)
        self._cluster.add_node(num_cpus=SLOTS_PER_NODE, **options)


@contextlib.contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """A cluster that ends with the block."""
    started = Nodes(folder)
    try:
        yield started
    finally:
        started.close()


def kill(pid: int) -> None:
    """`kill -9`, unless the process has ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _process(node: Any) -> subprocess.Popen:
    """The raylet: the process that is a node, and the parent of its workers."""
    return node.all_processes["raylet"][0].process


def _children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [
            int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
        ]
    except OSError:
        return []
