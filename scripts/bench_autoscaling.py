"""Measures how a run makes a cluster grow and shrink, with Ray's autoscaler and one raylet per node on this machine.

    python scripts/bench_autoscaling.py [--quick]

A cluster of 0 nodes may grow to a few nodes with one simulated GPU each. Five runs follow each other on it, started
through the command line: one whose slots fit on no node type and which must fail, one that succeeds, one that reads a
damaged shard, one that gets SIGTERM and one that gets SIGKILL; with --quick, only the first two. After each run, all
nodes must be removed within a few seconds. Exits with 1 if a bound is violated.

The compute share is the time that the arms spend in `predict`, divided by the time that slots are up, both in seconds.
The latter comes from Ray's list of actors: from the moment an actor is up until it is dead. The arms sleep, so the
number of cores does not limit them.
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

os.environ["RAY_AUTH_MODE"] = "disabled"  # the cluster is local and used by this script only

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from autoscaled_ray import Autoscaled, autoscaled_ray
from tests import builders

from assay.cluster.report.timing import timing
from assay.evaluator.storage import open_store

NUM_BATCHES = 200  # per arm, in 50 units; enough that the few batches of the batch-size probe hardly count
BATCH_SIZE = 8
NUM_ARMS_TO_STOP = 40  # too many for one node to finish before the last node is up
MAX_S_UNTIL_EMPTY = 15.0
MIN_COMPUTE_SHARE = 0.85
TIMEOUT_S = 600.0
CODE = '''
import time

import numpy as np


def sleepy(features, *, delay_s, flip_every):
    """Wrong on every n-th row; sleeps once per batch, except for the batch-size probe's single rows."""
    x = features["x"]
    if len(x) > 1:
        time.sleep(delay_s)
    is_wrong = (np.round(x * 1e6).astype(np.int64) % flip_every) == 0
    return np.where((x > 0.5) != is_wrong, 0.9, 0.1)
'''


@dataclass(frozen=True)
class Size:
    """The size of the benchmark.

    Attributes:
        num_arms: Arms of the sweep.
        arm_s: Seconds that each arm computes.
        max_nodes: The maximum number of nodes, and of slots.
        min_compute_share: The lower bound of the compute share; None: no bound, because the run is too short for one.
    """

    num_arms: int
    arm_s: float
    max_nodes: int
    min_compute_share: float | None


FULL = Size(num_arms=40, arm_s=5.0, max_nodes=4, min_compute_share=MIN_COMPUTE_SHARE)
QUICK = Size(num_arms=4, arm_s=3.0, max_nodes=2, min_compute_share=None)  # still busy when the second node comes up


@dataclass(frozen=True)
class RunResult:
    """What was observed of one run.

    Attributes:
        began_at: When it was started, in Unix time.
        code: The exit code of the command line.
        output: Its standard output.
        errors: Its standard error.
        nodes: Each change of the number of nodes: seconds since the run's start, and the new number.
        until_empty_s: Seconds from the run's end until no node was left.
    """

    began_at: float
    code: int
    output: str
    errors: str
    nodes: list[tuple[float, int]]
    until_empty_s: float

    @property
    def max_nodes(self) -> int:
        """The largest number of nodes that were up at once."""
        return max(num_nodes for _, num_nodes in self.nodes)


class Bench:
    """The runs on one cluster, and the bounds that they violated."""

    def __init__(self, cluster: Autoscaled, size: Size, top: Path) -> None:
        self.cluster, self.size, self.top = cluster, size, top
        self.violations: list[str] = []

    def too_large(self) -> None:
        """No node type has room for a slot: the run soon fails with a message, and no node is started."""
        result = self.run(self.experiment("too-large", num_arms=2, num_gpus=8))
        print(f"\n### slot too large for any node: exit code {result.code}, {result.max_nodes} nodes")
        is_explained = "1 CPU and 8 GPU" in result.errors and "no node type" in result.errors
        self.check(is_explained and "Traceback" not in result.errors, f"slot too large: {result.errors[-500:]}")
        self.check(
            (result.code, result.max_nodes) == (1, 0),
            f"slot too large: exit code {result.code} and {result.max_nodes} nodes, expected 1 and 0",
        )

    def sweep(self) -> None:
        """A run without faults."""
        file = self.experiment("sweep", num_arms=self.size.num_arms)
        result = self.run(file)
        self.show("sweep", result, ok=result.code == 0)
        if result.code == 0:
            self.show_compute_share(result, file.parent / "ledger")

    def damaged(self) -> None:
        """The shards are damaged: the run fails on its first unit."""
        file = self.experiment("damaged", num_arms=self.size.max_nodes)
        for shard in (file.parent / "datasets").rglob("*.arrow"):
            shard.chmod(0o644)
            shard.write_bytes(bytes(shard.stat().st_size))
        result = self.run(file)
        self.show("damaged shard", result, ok=result.code == 1)

    def stopped(self) -> None:
        """The driver gets SIGTERM."""
        result = self.run(self.experiment("stopped", num_arms=NUM_ARMS_TO_STOP), signal.SIGTERM)
        self.show("SIGTERM", result, ok=result.code != 0)

    def killed(self) -> None:
        """The driver gets SIGKILL: none of Assay's code can clean up."""
        result = self.run(self.experiment("killed", num_arms=NUM_ARMS_TO_STOP), signal.SIGKILL)
        self.show("SIGKILL", result, ok=result.code == -signal.SIGKILL)

    def experiment(self, name: str, *, num_arms: int, num_gpus: int = 1) -> Path:
        """Freezes a dataset and writes an experiment with its own ledger."""
        folder = self.top / name
        folder.mkdir()
        builders.freeze_rows(folder, num_rows=NUM_BATCHES * BATCH_SIZE, shard_rows=40 * BATCH_SIZE)
        delay_s = self.size.arm_s / NUM_BATCHES
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

    def run(self, file: Path, signal_to_send: signal.Signals | None = None) -> RunResult:
        """Runs an experiment; sends it the signal, if there is one, when all nodes are up and a unit is published."""
        published = file.parent / "ledger" / "v2" / "data" / "scores"
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
            if signal_to_send is not None:
                _wait_until(
                    lambda: (
                        process.poll() is not None
                        or (nodes[-1][1] == self.size.max_nodes and any(published.rglob("*.parquet")))
                    )
                )
                process.send_signal(signal_to_send)
            output, errors = process.communicate(timeout=TIMEOUT_S)
            try:
                until_empty_s = self.cluster.wait_for(0, within_s=4 * MAX_S_UNTIL_EMPTY)
            except TimeoutError:
                until_empty_s = float("inf")
        if process.returncode not in (0, -signal.SIGKILL):
            print("\n".join(errors.splitlines()[-5:]))
        return RunResult(began_at, process.returncode, output, errors, nodes, until_empty_s)

    def show(self, name: str, result: RunResult, *, ok: bool) -> None:
        """Prints a run's number of nodes over time, and records which bounds it violated."""
        print(f"\n### {name}: exit code {result.code}\n\n| seconds | nodes |\n|---|---|")
        for at_s, num_nodes in result.nodes:
            print(f"| {at_s:.1f} | {num_nodes} |")
        print(f"\n0 nodes {result.until_empty_s:.1f} s after the end of the run", flush=True)
        self.check(ok, f"{name}: exit code {result.code}")
        self.check(
            result.until_empty_s <= MAX_S_UNTIL_EMPTY,
            f"{name}: the last node was removed {result.until_empty_s:.1f} s after the end of the run, "
            f"the limit is {MAX_S_UNTIL_EMPTY:g} s",
        )
        is_grown = result.max_nodes == self.size.max_nodes or name == "damaged shard"  # fails on its first node
        self.check(
            is_grown and result.max_nodes > 0, f"{name}: grew to {result.max_nodes} of {self.size.max_nodes} nodes"
        )

    def show_compute_share(self, result: RunResult, ledger: Path) -> None:
        """Prints the compute share, and how long nodes outlived the slots."""
        run_id = json.loads(result.output)["run_id"]
        compute_s = sum(arm.predict_s or 0.0 for arm in timing(open_store(str(ledger)), run_id).arms)
        with urllib.request.urlopen(f"{self.cluster.dashboard}/logical/actors") as answer:
            actors = json.load(answer)["data"]["actors"].values()
        spans = [  # an actor that was never up has no start time
            (actor["endTime"] - actor["startTime"]) / 1000 for actor in actors if actor["startTime"]
        ]
        share = compute_s / sum(spans)
        last_slot_s = max(actor["endTime"] for actor in actors) / 1000 - result.began_at
        print(f"0 nodes {result.nodes[-1][0] - last_slot_s:.1f} s after the end of the last slot")
        print(f"{len(spans)} slots were up for {sum(spans):.1f} s, {compute_s:.1f} s of that in predict: {share:.3f}")
        if self.size.min_compute_share is not None:
            self.check(
                share >= self.size.min_compute_share,
                f"the compute share is {share:.3f}, at least {self.size.min_compute_share:g} is required",
            )

    def check(self, holds: bool, message: str) -> None:
        """Records the message if a bound does not hold."""
        if not holds:
            self.violations.append(message)


@contextlib.contextmanager
def timeline(cluster: Autoscaled) -> Iterator[list[tuple[float, int]]]:
    """Collects the number of nodes whenever it changes, with the seconds since the start."""
    started, done = time.monotonic(), threading.Event()
    nodes = [(0.0, cluster.num_nodes())]

    def poll() -> None:
        is_over = False
        while not is_over:
            is_over = done.wait(0.25)  # polls once more after that
            num_nodes = cluster.num_nodes()
            if num_nodes != nodes[-1][1]:
                nodes.append((time.monotonic() - started, num_nodes))

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield nodes
    finally:
        done.set()
        thread.join()


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.1)


def main() -> None:
    """Runs all parts on one cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="fewer arms and nodes, the first two runs, no bound on the compute share"
    )
    is_quick = parser.parse_args().quick
    size = QUICK if is_quick else FULL
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start; 0 to {size.max_nodes} nodes")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as top, autoscaled_ray(max_nodes=size.max_nodes) as cluster:
        bench = Bench(cluster, size, Path(top))
        for part in (
            (bench.too_large, bench.sweep)
            if is_quick
            else (bench.too_large, bench.sweep, bench.damaged, bench.stopped, bench.killed)
        ):
            part()
    for message in bench.violations:
        print(f"bound violated: {message}")
    sys.exit(bool(bench.violations))


if __name__ == "__main__":
    main()
