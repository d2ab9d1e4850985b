"""Injects faults into runs on a real cluster, following a seeded schedule, and checks that the results are unaffected.

    python scripts/chaos.py [--schedules N] [--seed S] [--quick]

The setup is three Ray nodes, a real S3 server behind a proxy, and `assay run`. During a run, a schedule kills a slot's
process (`actor`), a whole node, which is replaced some seconds later (`node`), and the driver, which is started again
(`driver`). For some seconds, it also answers S3 requests with 503 (`s3-errors`), cuts their connections before or after
the server has acted (`s3-cuts`), delays them (`s3-delays`) or lets none through (`s3-outage`). Every run must finish by
itself with the scores of the undisturbed run, and with each unit in the ledger exactly once.

The recovery time is counted in seconds from the moment of the fault. For killed processes, it ends when each arm that
they were working on, and that has units left, has had a unit published by another process. For S3 faults, it ends when
every unit for which a request to publish was disturbed is stored; so it includes the fault's own duration, which the
table shows as well. Exits with 1 if a schedule failed.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml
from chaos_ledger import Evidence, evidence
from chaos_nodes import Nodes, kill, nodes
from chaos_proxy import DISTURBANCES, Disturbance, FaultyProxy
from pyarrow import fs
from tests import seaweed

KINDS = ("actor", "node", "driver", *DISTURBANCES)
LENGTHS_S = {"node": (3, 10), "s3-errors": (3, 10), "s3-cuts": (3, 10), "s3-delays": (3, 10), "s3-outage": (5, 30)}
"""The shortest and the longest duration of a fault; for a node, the time until it is replaced."""
NUM_FAULTS = 5
NUM_MOMENTS = 18  # so few that faults often coincide
NUM_SLOTS = 6
ROWS_PER_UNIT = 20  # the batch size: up to 64 batches, each is a unit
LIMIT_S = 600.0  # only ends a run that hangs: on a busy machine, starting takes a minute
MAX_STARTS = 6

CODE = '''
"""The arms: each is wrong on a share of its rows, sleeps `row_s` seconds per row, and logs its calls."""
import os
import time

import numpy as np


def threshold(features, *, arm, flip_every, row_s, calls):
    x = features["x"]
    with open(calls, "a") as file:
        file.write(f"{time.time()} {os.getpid()} {arm}\\n")
    time.sleep(row_s * len(x))
    wrong = (np.round(x * 1e6).astype(np.int64) % flip_every) == 0
    return np.where((x > 0.5) ^ wrong, 0.9, 0.1)
'''

CONTRACT = {
    "kind": "Contract",
    "version": 1,
    "columns": [
        {"name": "key", "role": "id", "type": "string"},
        {"name": "x", "role": "feature", "type": "float64"},
        {"name": "y", "role": "label", "type": "int64"},
    ],
}

SUITE = {
    "kind": "Suite",
    "version": 1,
    "batch_size": ROWS_PER_UNIT,
    "metrics": [{"name": "accuracy", "measure": "accuracy"}, {"name": "log_loss", "measure": "log_loss"}],
    "plan": {"kind": "Plan", "version": 1, "metric": "accuracy", "scale": "binary", "control": "arm-0"},
    "policy": {"kind": "Policy", "version": 1},
}


@dataclass(frozen=True)
class Fault:
    """A fault of a schedule.

    Attributes:
        kind: One of `KINDS`.
        after: The share of all units that must be published before it happens.
        length_s: How long it lasts, in seconds; 0 for processes that are replaced at once.
    """

    kind: str
    after: float
    length_s: float

    def __str__(self) -> str:
        return f"{self.kind}@{self.after:.0%}" + (f" {self.length_s:.0f}s" if self.length_s else "")


@dataclass
class Strike:
    """A fault that has happened.

    Attributes:
        fault: The fault.
        at: When it happened, in Unix time.
        pids: The IDs of the processes that it killed.
        arms: The arms that these processes were working on.
        disturbance: The disturbance of S3; None for killed processes.
    """

    fault: Fault
    at: float
    pids: set[int] = field(default_factory=set)
    arms: set[str] = field(default_factory=set)
    disturbance: Disturbance | None = None


@dataclass(frozen=True)
class RunResult:
    """The result of a disturbed run.

    Attributes:
        seconds: Seconds from its first start to its end.
        recoveries_s: Each fault with its recovery time in seconds; None if it affected no unit.
        missed: The faults that did not happen, because the run finished before them.
        problems: What went wrong; empty if the run passed.
    """

    seconds: float
    recoveries_s: tuple[tuple[Fault, float | None], ...]
    missed: tuple[Fault, ...]
    problems: tuple[str, ...]


def schedule(seed: int, *, quick: bool) -> tuple[Fault, ...]:
    """The faults of one run, in order: random kinds at random moments; with `quick`, two fixed ones."""
    generator = random.Random(seed)
    if quick:
        return (Fault("actor", 0.2, 0), Fault("s3-cuts", 0.4, 3))
    kinds = generator.sample(KINDS * 2, NUM_FAULTS)
    moments = sorted(generator.randrange(NUM_MOMENTS) / NUM_MOMENTS for _ in kinds)
    lengths = [generator.randint(*LENGTHS_S.get(kind, (0, 0))) for kind in kinds]
    return tuple(Fault(*fault) for fault in zip(kinds, moments, lengths, strict=True))


@dataclass(frozen=True)
class Bench:
    """What all runs share.

    Attributes:
        folder: The folder with manifests and logs.
        server: The S3 server.
        num_arms: Arms of each run.
        num_units: Units of each arm.
        unit_s: Seconds that a unit takes.
    """

    folder: Path
    server: seaweed.S3Server
    num_arms: int
    num_units: int
    unit_s: float

    @property
    def arms(self) -> list[str]:
        """The names of the arms."""
        return [f"arm-{number}" for number in range(self.num_arms)]

    @property
    def num_rows(self) -> int:
        """Rows of the dataset; its last unit is not full."""
        return self.num_units * ROWS_PER_UNIT - 3

    def freeze(self) -> None:
        """Freezes the dataset; a unit is a batch and has a shard of its own."""
        generator = random.Random(0)
        xs = [round(generator.random(), 6) for _ in range(self.num_rows)]
        rows = [{"key": f"row-{number:05d}", "x": x, "y": int(x > 0.5)} for number, x in enumerate(xs)]
        source, contract = self.folder / "rows.jsonl", self.folder / "contract.yaml"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        contract.write_text(yaml.safe_dump(CONTRACT))
        (self.folder / "variants_under_chaos.py").write_text(CODE)
        store = ["--to", f"s3://{seaweed.BUCKET}/datasets", "--shard-rows", str(ROWS_PER_UNIT)]
        command = ["freeze", str(source), "--contract", str(contract), "--as", "rows@v1", *store]
        _wait_for_success(self.start(command, log=self.folder / "freeze.log"), self.folder / "freeze.log")

    def experiment(self, name: str) -> Path:
        """Writes an experiment with its own ledger; apart from that, all experiments are the same."""
        arms = [
            {
                "name": arm,
                "variant": {
                    "kind": "Variant",
                    "version": 1,
                    "predictor": "callable",
                    "entrypoint": "variants_under_chaos:threshold",
                    "parameters": {
                        "arm": arm,
                        "flip_every": 5 + index,
                        "row_s": self.unit_s / ROWS_PER_UNIT,
                        "calls": str(self.calls),
                    },
                    "output": "probabilities",
                },
            }
            for index, arm in enumerate(self.arms)
        ]
        content = {
            "kind": "Experiment",
            "version": 1,
            "name": "chaos",
            "dataset": f"s3://{seaweed.BUCKET}/datasets/rows@v1",
            "suite": SUITE,
            "arms": arms,
            "resources": {"max_slots": NUM_SLOTS},
            "ledger": f"s3://{seaweed.BUCKET}/{name}",
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    @property
    def calls(self) -> Path:
        """The file in which the variants log their calls."""
        return self.folder / "calls.log"

    def logged_calls(self) -> list[tuple[float, int, str]]:
        """Every call of a variant in this run: Unix time, process ID, arm."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [(float(at), int(pid), arm) for at, pid, arm in (line.split() for line in lines)]

    def start(self, arguments: Sequence[str], *, log: Path, **variables: str) -> subprocess.Popen:
        """Starts `assay` with these arguments; appends its output to the log."""
        environment = {**os.environ, "TMPDIR": str(self.folder), **self.server.variables, **variables}
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "assay.cluster.cli", *arguments],
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    def undisturbed(self) -> Evidence:
        """Runs the experiment in one process, without the proxy, and returns what its ledger holds."""
        experiment, log = self.experiment("undisturbed"), self.folder / "undisturbed.log"
        _wait_for_success(self.start(["run", str(experiment), "--in-process"], log=log), log)
        undisturbed = self.evidence("undisturbed")
        if undisturbed.problems:
            raise SystemExit(f"error: the undisturbed run failed: {'; '.join(undisturbed.problems)}")
        return undisturbed

    def evidence(self, name: str) -> Evidence:
        """What the ledger of an experiment holds, read without the proxy."""
        files = fs.S3FileSystem(
            access_key=seaweed.ACCESS_KEY,
            secret_key=seaweed.SECRET_KEY,
            endpoint_override=self.server.endpoint.removeprefix("http://"),
            scheme="http",
            region="us-east-1",
        )
        ledger = f"{seaweed.BUCKET}/{name}"
        return evidence(files, ledger, arms=self.arms, num_units=self.num_units, num_rows=self.num_rows)


class DisturbedRun:
    """A run, and the faults that happen during it."""

    def __init__(self, bench: Bench, cluster: Nodes, proxy: FaultyProxy, *, seed: int) -> None:
        """Resets the cluster, the proxy and the log of calls."""
        self._bench, self._cluster, self._proxy = bench, cluster, proxy
        self._generator = random.Random(seed)
        self._name = f"seed-{seed}"
        self._experiment = bench.experiment(self._name)
        self._log = bench.folder / f"{self._name}.log"
        self._strikes: list[Strike] = []
        bench.calls.unlink(missing_ok=True)
        cluster.mend()
        cluster.forget_shards()
        proxy.begin()

    def finish(self, faults: Sequence[Fault], *, expected: Evidence) -> RunResult:
        """Runs to the end, injecting the faults, and compares the result with that of the undisturbed run."""
        waiting, num_units = deque(faults), self._bench.num_arms * self._bench.num_units
        started, num_starts, problems = time.time(), 1, list[str]()
        self._driver = self._start_driver()
        try:
            while (code := self._driver.poll()) != 0:
                if time.time() - started > LIMIT_S:
                    problems.append(f"the run has not finished after {LIMIT_S:.0f} s")
                    break
                if code is not None:
                    problems.append(f"the driver ended by itself with exit code {code}: {self._end_of_log()}")
                    if num_starts == MAX_STARTS:
                        break
                    self._driver, num_starts = self._start_driver(), num_starts + 1
                if waiting and len(self._proxy.published) >= waiting[0].after * num_units and self._strike(waiting[0]):
                    waiting.popleft()
                self._cluster.mend_if_due()
                time.sleep(0.02)
        finally:
            kill(self._driver.pid)
            self._driver.wait()
        seconds = time.time() - started
        evidence = self._bench.evidence(self._name)
        problems += evidence.problems
        if (evidence.digest, evidence.arm_digests) != (expected.digest, expected.arm_digests):
            problems.append("the scores differ from those of the undisturbed run")
        recoveries_s = tuple((strike.fault, self._recovery_s(strike)) for strike in self._strikes)
        return RunResult(seconds, recoveries_s, tuple(waiting), tuple(problems))

    def _start_driver(self) -> subprocess.Popen:
        variables = {"RAY_ADDRESS": self._cluster.address, "AWS_ENDPOINT_URL_S3": self._proxy.endpoint}
        return self._bench.start(["run", str(self._experiment), "--json"], log=self._log, **variables)

    def _end_of_log(self) -> str:
        output = " ".join(self._log.read_text(errors="replace").split())
        return output[max(output.rfind("error: "), len(output) - 1000) :]

    def _strike(self, fault: Fault) -> bool:
        """Makes a fault happen; returns False if no slot is working yet, so that the fault must wait."""
        if fault.kind in DISTURBANCES:
            disturbance = self._proxy.disturb(
                fault.kind, length_s=fault.length_s, seed=self._generator.randrange(1 << 32)
            )
            self._strikes.append(Strike(fault, time.time(), disturbance=disturbance))
            return True
        at, slots = time.time(), self._slots()
        if not slots:
            return False
        match fault.kind:
            case "actor":
                pids = {self._generator.choice(sorted(slots))}
                for pid in pids:
                    kill(pid)
            case "node":
                pids = self._cluster.lose_one(self._generator, away_s=fault.length_s)
            case _:
                kill(self._driver.pid)
                self._driver.wait()
                self._driver, pids = self._start_driver(), set(slots)
        self._strikes.append(Strike(fault, at, pids, {arm for pid, arm in slots.items() if pid in pids}))
        return True

    def _slots(self) -> dict[int, str]:
        """The live slot processes whose arm has units left, by process ID, with the arm."""
        arm_of = {pid: arm for _, pid, arm in self._bench.logged_calls()}
        published = [arm for arm, _ in self._proxy.published]
        return {
            pid: arm
            for pid, arm in arm_of.items()
            if published.count(arm) < self._bench.num_units and pid in self._cluster.workers()
        }

    def _recovery_s(self, strike: Strike) -> float | None:
        """The recovery time as the docstring of this module defines it; None if the fault affected no unit."""
        published = self._proxy.published
        if strike.disturbance is not None:
            moments = [published[unit] for unit in strike.disturbance.units if unit in published]
            return max(moments) - strike.at if moments else None
        moments = []
        for arm in strike.arms:
            others = [at for at, pid, of in self._bench.logged_calls() if of == arm and pid not in strike.pids]
            began = min((at for at in others if at > strike.at), default=float("inf"))
            moments += sorted(at for (of, _), at in published.items() if of == arm and at > began)[:1]
        return max(moments) - strike.at if moments else None


def report(results: Sequence[RunResult]) -> None:
    """Prints a table with one row per kind of fault."""
    print("\n| fault | count | affected units | median recovery, s | longest recovery, s | longest fault, s |")
    print("|---|---|---|---|---|---|")
    recoveries = [recovery for result in results for recovery in result.recoveries_s]
    for kind in KINDS:
        own = [(fault, seconds) for fault, seconds in recoveries if fault.kind == kind]
        if not own:
            continue
        known = [seconds for _, seconds in own if seconds is not None]
        times = f"{statistics.median(known):.1f} | {max(known):.1f}" if known else "- | -"
        print(f"| {kind} | {len(own)} | {len(known)} | {times} | {max(fault.length_s for fault, _ in own) or '-'} |")


@contextlib.contextmanager
def stage(*, num_arms: int, num_units: int, unit_s: float) -> Iterator[tuple[Bench, Nodes, FaultyProxy, Evidence]]:
    """Starts everything that the runs need; makes the undisturbed run meanwhile and yields its result, too."""
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        server = stack.enter_context(seaweed.s3_server())
        proxy = stack.enter_context(FaultyProxy(server.endpoint))
        bench = Bench(top, server, num_arms, num_units, unit_s)
        bench.freeze()
        with ThreadPoolExecutor(1) as thread:
            expected = thread.submit(bench.undisturbed)
            os.environ.update(
                {**server.variables, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
            )  # slots inherit this from their nodes
            cluster = stack.enter_context(nodes(top))
        yield bench, cluster, proxy, expected.result()


def _wait_for_success(process: subprocess.Popen, log: Path) -> None:
    if process.wait() != 0:
        raise SystemExit(f"error: {process.args} failed with exit code {process.returncode}:\n{log.read_text()}")


def main() -> None:
    """Runs the schedules one after the other on one cluster; exits with 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--schedules", type=int, default=20, help="number of runs, each with its own schedule of faults"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first run; it increases by 1 with each run")
    parser.add_argument("--quick", action="store_true", help="one small run with two faults")
    options = parser.parse_args()
    size: dict[str, Any] = {"num_arms": 6, "num_units": 60, "unit_s": 0.16}
    if options.quick:
        size = {"num_arms": 3, "num_units": 16, "unit_s": 0.08}
    results = []
    with stage(**size) as (bench, cluster, proxy, expected):
        print(
            f"{size['num_arms']} arms x {size['num_units']} units, undisturbed scores digest {expected.digest[:12]}\n"
        )
        for seed in range(options.seed, options.seed + (1 if options.quick else options.schedules)):
            faults = schedule(seed, quick=options.quick)
            result = DisturbedRun(bench, cluster, proxy, seed=seed).finish(faults, expected=expected)
            results.append(result)
            outcomes = [f"{fault} {'-' if s is None else f'+{s:.1f}'}" for fault, s in result.recoveries_s]
            outcomes += [f"{fault} did not happen" for fault in result.missed]
            print(
                f"seed {seed}: {'FAILED' if result.problems else 'ok'} in {result.seconds:.1f} s: "
                f"{', '.join(outcomes)}",
                flush=True,
            )
            for problem in result.problems:
                print(f"    {problem}", flush=True)
    report(results)
    num_failed = sum(bool(result.problems) for result in results)
    print(f"\n{len(results) - num_failed} of {len(results)} schedules passed")
    sys.exit(num_failed > 0)


if __name__ == "__main__":
    main()
