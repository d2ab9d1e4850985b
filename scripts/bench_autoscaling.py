"""Measures how a run makes a cluster grow and shrink: the real autoscaler, with a raylet for every node, here.

    python scripts/bench_autoscaling.py [--quick]

A cluster of 0 nodes may grow to some nodes of one pretended GPU. Five runs follow each other on it, through the
command line: one whose slots no node has room for, which must be refused, one that ends, one that meets a damaged
shard, one that gets SIGTERM and one that gets SIGKILL; with --quick, the first two. After each of them, no node may be
left for long. Exits with 1 if a bound is broken.

The share in compute is the arms' seconds in `predict` over the seconds of slots, which Ray's own table of actors gives:
from an actor being up until it is dead. The arms sleep, so that cores do not limit it.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"  # one machine, one cluster of its own

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from autoscaled_ray import Autoscaled, autoscaled_ray
from tests import builders

from assay.cluster.report.timing import timing
from assay.evaluator.storage import open_store

NUM_UNITS = 5  # of an arm
BATCHES_A_UNIT = 40  # enough that the few batches of the probe weigh little
BATCH_SIZE = 8
NUM_ARMS_TO_STOP = 40  # more than one node alone can do before the last one is up
MOST_S_UNTIL_EMPTY = 15.0
LEAST_SHARE_IN_COMPUTE = 0.85
WITHIN_S = 600.0
CODE = '''
import time

import numpy as np


def sleepy(features, *, delay_s, flip_every):
    """Right but for every n-th row; sleeps for each batch, and not for single rows, which only the probe asks for."""
    x = features["x"]
    if len(x) > 1:
        time.sleep(delay_s)
    is_wrong = (np.round(x * 1e6).astype(np.int64) % flip_every) == 0
    return np.where((x > 0.5) != is_wrong, 0.9, 0.1)
'''


@dataclass(frozen=True)
class Size:
    """How much there is to do.

    Attributes:
        num_arms: Arms of the sweep.
        arm_s: Seconds that an arm computes.
        max_nodes: The most nodes, and slots.
        least_share: The least share in compute; None: too little to do for a bound.
    """

    num_arms: int
    arm_s: float
    max_nodes: int
    least_share: float | None


FULL = Size(num_arms=40, arm_s=5.0, max_nodes=4, least_share=LEAST_SHARE_IN_COMPUTE)
QUICK = Size(num_arms=4, arm_s=3.0, max_nodes=2, least_share=None)  # not done before the second node comes


@dataclass(frozen=True)
class Ended:
    """What one run left.

    Attributes:
        began_at: When it was started, as Unix time.
        code: The exit code of the command line.
        output: Its answer.
        errors: What it printed on standard error.
        nodes: Seconds since its start, and the number of nodes from then on.
        until_empty_s: Seconds from its end until there was no node.
    """

    began_at: float
    code: int
    output: str
    errors: str
    nodes: list[tuple[float, int]]
    until_empty_s: float

    @property
    def most_nodes(self) -> int:
        """The most nodes at once."""
        return max(num_nodes for _, num_nodes in self.nodes)


class Bench:
    """One cluster, and the runs on it."""

    def __init__(self, cluster: Autoscaled, size: Size, top: Path) -> None:
        self.cluster, self.size, self.top = cluster, size, top
        self.broken: list[str] = []

    def refused(self) -> None:
        """No node type has room for a slot: the run says so soon, and no node is started."""
        ended = self.run(self.experiment("refused", num_arms=2, num_gpus=8))
        print(f"\n### no room for a slot: exit code {ended.code}, {ended.most_nodes} nodes")
        is_told = "a slot needs 1 CPU and 8 GPU, and the cluster's autoscaler has no node type" in ended.errors
        self.bound(is_told and "Traceback" not in ended.errors, f"no room for a slot: {ended.errors[-500:]}")
        self.bound((ended.code, ended.most_nodes) == (1, 0), "no room for a slot: the run was not refused")

    def sweep(self) -> None:
        """Everything goes well."""
        file = self.experiment("sweep", num_arms=self.size.num_arms)
        ended = self.run(file)
        self.show("sweep", ended, ok=ended.code == 0)
        if ended.code == 0:
            self.show_share(ended, file.parent / "ledger")

    def damaged(self) -> None:
        """A shard was changed: the run fails on its first unit."""
        file = self.experiment("damaged", num_arms=self.size.max_nodes)
        for shard in (file.parent / "datasets").rglob("*.arrow"):
            shard.chmod(0o644)
            shard.write_bytes(bytes(shard.stat().st_size))
        ended = self.run(file)
        self.show("damaged shard", ended, ok=ended.code == 1)

    def stopped(self) -> None:
        """SIGTERM to the driver."""
        ended = self.run(self.experiment("stopped", num_arms=NUM_ARMS_TO_STOP), signal.SIGTERM)
        self.show("SIGTERM", ended, ok=ended.code != 0)

    def killed(self) -> None:
        """SIGKILL to the driver: nothing of ours can tidy up."""
        ended = self.run(self.experiment("killed", num_arms=NUM_ARMS_TO_STOP), signal.SIGKILL)
        self.show("SIGKILL", ended, ok=ended.code == -signal.SIGKILL)

    def experiment(self, name: str, *, num_arms: int, num_gpus: int = 1) -> Path:
        """Writes rows and an experiment with a ledger of its own."""
        folder = self.top / name
        folder.mkdir()
        shard_rows = BATCHES_A_UNIT * BATCH_SIZE
        builders.freeze_rows(folder, num_rows=NUM_UNITS * shard_rows, shard_rows=shard_rows)
        delay_s = self.size.arm_s / (NUM_UNITS * BATCHES_A_UNIT)
        arms = {
            "control" if number == 0 else f"arm-{number:02}": builders.variant(
                "sleepy", delay_s=delay_s, flip_every=5 + number
            )
            for number in range(num_arms)
        }
        resources = {"num_gpus": num_gpus, "num_cpus": 1, "max_slots": self.size.max_nodes}
        file = builders.write_experiment(folder, arms=arms, resources=resources)
        (folder / "variants_under_test.py").write_text(CODE)
        return file

    def run(self, file: Path, number: signal.Signals | None = None) -> Ended:
        """Runs an experiment; with a signal, sends it when all nodes are up and a unit is published."""
        published = file.parent / "ledger" / "v1" / "data" / "scores"
        began_at = time.time()
        with timeline(self.cluster) as nodes:
            process = subprocess.Popen(
                [sys.executable, "-m", "assay.cluster.cli", "run", str(file), "--json"],
                env={**os.environ, **self.cluster.variables},
                cwd=Path(__file__).resolve().parent.parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if number is not None:
                _wait_until(
                    lambda: (
                        process.poll() is not None
                        or (nodes[-1][1] == self.size.max_nodes and any(published.rglob("*.parquet")))
                    )
                )
                process.send_signal(number)
            output, errors = process.communicate(timeout=WITHIN_S)
            try:
                until_empty_s = self.cluster.wait_for(0, within_s=4 * MOST_S_UNTIL_EMPTY)
            except TimeoutError:
                until_empty_s = float("inf")
        if process.returncode not in (0, -signal.SIGKILL):
            print("\n".join(errors.splitlines()[-5:]))
        return Ended(began_at, process.returncode, output, errors, nodes, until_empty_s)

    def show(self, name: str, ended: Ended, *, ok: bool) -> None:
        """Prints a run's nodes over time, and notes which bounds it broke."""
        print(f"\n### {name}: exit code {ended.code}\n\n| seconds | nodes |\n|---|---|")
        for at_s, num_nodes in ended.nodes:
            print(f"| {at_s:.1f} | {num_nodes} |")
        print(f"\n0 nodes {ended.until_empty_s:.1f} s after the end", flush=True)
        self.bound(ok, f"{name}: exit code {ended.code}")
        self.bound(ended.until_empty_s <= MOST_S_UNTIL_EMPTY, f"{name}: nodes stay {ended.until_empty_s:.1f} s")
        grown = ended.most_nodes == self.size.max_nodes or name == "damaged shard"  # the first node suffices to fail
        self.bound(grown and ended.most_nodes > 0, f"{name}: {ended.most_nodes} nodes of {self.size.max_nodes}")

    def show_share(self, ended: Ended, ledger: Path) -> None:
        """Prints how much of the time of slots the arms computed, and how long nodes outlived the slots."""
        run_id = json.loads(ended.output)["run_id"]
        compute_s = sum(arm["predict_s"] for arm in timing(open_store(str(ledger)), run_id)["arms"])
        with urllib.request.urlopen(f"{self.cluster.dashboard}/logical/actors") as answer:
            actors = json.load(answer)["data"]["actors"].values()
        spans = [  # an actor that never was up has no start
            (actor["endTime"] - actor["startTime"]) / 1000 for actor in actors if actor["startTime"]
        ]
        share = compute_s / sum(spans)
        last_slot_s = max(actor["endTime"] for actor in actors) / 1000 - ended.began_at
        print(f"and {ended.nodes[-1][0] - last_slot_s:.1f} s after the last slot")
        print(f"{len(spans)} slots were up for {sum(spans):.1f} s, {compute_s:.1f} s of it in compute: {share:.3f}")
        if self.size.least_share is not None:
            self.bound(share >= self.size.least_share, f"{share:.3f} of the time of slots in compute")

    def bound(self, holds: bool, told: str) -> None:
        """Remembers what does not hold."""
        if not holds:
            self.broken.append(told)


@contextlib.contextmanager
def timeline(cluster: Autoscaled) -> Iterator[list[tuple[float, int]]]:
    """Seconds since the start and the number of nodes, whenever that changes."""
    started, done = time.monotonic(), threading.Event()
    nodes = [(0.0, cluster.num_nodes())]

    def look() -> None:
        is_over = False
        while not is_over:
            is_over = done.wait(0.25)  # and one more look
            num_nodes = cluster.num_nodes()
            if num_nodes != nodes[-1][1]:
                nodes.append((time.monotonic() - started, num_nodes))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield nodes
    finally:
        done.set()
        thread.join()


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.1)


def main() -> None:
    """Runs everything on one cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="fewer arms and nodes; bounds on growing and shrinking only"
    )
    is_quick = parser.parse_args().quick
    size = QUICK if is_quick else FULL
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; 0 to {size.max_nodes} nodes")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as top, autoscaled_ray(max_nodes=size.max_nodes) as cluster:
        bench = Bench(cluster, size, Path(top))
        for part in (
            (bench.refused, bench.sweep)
            if is_quick
            else (bench.refused, bench.sweep, bench.damaged, bench.stopped, bench.killed)
        ):
            part()
    for told in bench.broken:
        print(f"broken: {told}")
    sys.exit(bool(bench.broken))


if __name__ == "__main__":
    main()
