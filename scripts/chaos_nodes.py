"""Three Ray nodes on this host, each with a folder for its shard cache; one of them can be killed and replaced."""

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
SLOTS_PER_NODE = 3  # the runs have six slots: two nodes still have room for them

_SETTINGS = {
    # A dead node refuses connections at once, so three failures suffice; a slow node gets 10 s per check.
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 3,
    "prestart_worker_first_driver": False,  # otherwise Ray starts nine workers per driver, of which six are used
}


class Nodes:
    """A Ray cluster. Its head, to which drivers connect, is never killed, because Ray does not survive that."""

    def __init__(self, folder: Path) -> None:
        """Starts the nodes. They inherit the environment, so it must be set up before."""
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
        """The address that drivers connect to."""
        return self._cluster.address

    def workers(self) -> set[int]:
        """The IDs of the processes that the nodes have started."""
        return {pid for node in self._cluster.list_all_nodes() for pid in _children(_process(node).pid)}

    def lose_one(self, generator: random.Random, *, away_s: float) -> set[int]:
        """Kills one node with all its processes.

        Args:
            generator: Chooses the node.
            away_s: Seconds after which `mend_if_due` replaces the node.

        Returns:
            The IDs of the killed processes.
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
        """Replaces a killed node once that is due. Call it from the main thread: Ray adds nodes only from there."""
        if time.time() > self._due_at:
            self.mend()

    def mend(self) -> None:
        """Adds nodes until all are up again; replaces those that ended by themselves, too."""
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
        for node in reversed(
            self._cluster.list_all_nodes()
        ):  # the head last; a graceful removal would take seconds per node
            self._cluster.remove_node(node, allow_graceful=False)

    def _add(self, **options: Any) -> None:
        """Starts a node with its own folder: its processes inherit TMPDIR from this process."""
        own = self._folder / f"node-{self._num_started}"
        own.mkdir()
        self._num_started += 1
        os.environ["TMPDIR"] = str(own)
        self._cluster.add_node(num_cpus=SLOTS_PER_NODE, **options)


@contextlib.contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """A cluster that is shut down when the context ends."""
    started = Nodes(folder)
    try:
        yield started
    finally:
        started.close()


def kill(pid: int) -> None:
    """Sends SIGKILL, unless the process has already ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _process(node: Any) -> subprocess.Popen:
    """The raylet: the node's main process, and the parent of its workers."""
    return node.all_processes["raylet"][0].process


def _children(pid: int) -> list[int]:
    """The IDs of a process's children."""
    try:
        return [
            int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
        ]
    except OSError:
        return []
