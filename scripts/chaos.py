"""Breaks runs on a real cluster by a seeded schedule, and looks whether they keep their promises.

    python scripts/chaos.py [--schedules N] [--seed S] [--quick]

Three Ray nodes, a real S3 server behind a proxy, and `assay run`. While a run is on its way, a schedule kills processes
of slots (`actor`), a whole node, which another replaces some seconds later (`node`), and the driver, which is started
again (`driver`); and for some seconds it answers S3 requests with 503 (`s3-errors`), cuts their connections before or
after the server has acted (`s3-cuts`), holds them up (`s3-delays`) or lets none through (`s3-outage`). Every run must
end by itself with the scores of the undisturbed one, each unit in the ledger once.

Recovery is told in seconds from the moment of the fault. Killed processes: until each arm that they worked on, and that
has units left, has a unit published by a process that took its place. S3: until every unit is stored of whose requests
for publication one was disturbed; so the fault's own length is in it, and stands beside it.
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
"""The shortest and the longest that a fault lasts; a node's is the time until another is started."""
NUM_FAULTS = 5
NUM_MOMENTS = 18  # few enough that faults often coincide
NUM_SLOTS = 6
ROWS_PER_UNIT = 20
LIMIT_S = 600.0  # only so that a run that hangs ends: on a busy machine a start takes a minute
MAX_STARTS = 6

CODE = '''
"""The arms: each answers a share of its rows wrongly, as slowly as it is told, and notes who calls it."""
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
    "metrics": [{"name": "accuracy", "measure": "correct"}, {"name": "log_loss", "measure": "log_loss"}],
    "plan": {"kind": "Plan", "version": 1, "metric": "accuracy", "scale": "binary", "control": "arm-0"},
    "policy": {"kind": "Policy", "version": 1},
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: One of `KINDS`.
        after: It happens once this share of all units is published.
        length_s: How long it lasts; 0 for what is killed and replaced by Assay.
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
        fault: Which.
        at: When, as `time.time()` tells.
        pids: The processes that it ended.
        arms: The arms that those worked on.
        disturbance: What it does to S3.
    """

    fault: Fault
    at: float
    pids: set[int] = field(default_factory=set)
    arms: set[str] = field(default_factory=set)
    disturbance: Disturbance | None = None


@dataclass(frozen=True)
class Ended:
    """How a disturbed run went.

    Attributes:
        seconds: From its first start to its end.
        recoveries_s: Each fault with the seconds until what it had hindered went on; None if it hindered nothing.
        missed: The faults that it was too fast for.
        problems: The promises that it broke.
    """

    seconds: float
    recoveries_s: tuple[tuple[Fault, float | None], ...]
    missed: tuple[Fault, ...]
    problems: tuple[str, ...]


def schedule(seed: int, *, quick: bool) -> tuple[Fault, ...]:
    """The faults of one run, in order: any kinds at any moments, or, quickly, two."""
    generator = random.Random(seed)
    if quick:
        return (Fault("actor", 0.2, 0), Fault("s3-cuts", 0.4, 3))
    kinds = generator.sample(KINDS * 2, NUM_FAULTS)
    moments = sorted(generator.randrange(NUM_MOMENTS) / NUM_MOMENTS for _ in kinds)
    lengths = [generator.randint(*LENGTHS_S.get(kind, (0, 0))) for kind in kinds]
    return tuple(Fault(*fault) for fault in zip(kinds, moments, lengths, strict=True))


@dataclass(frozen=True)
class Bench:
    """What the runs have in common.

    Attributes:
        folder: Where manifests, notes and logs lie.
        server: The S3 server.
        num_arms: Arms of each run.
        num_units: Units of each arm.
        unit_s: How long a unit takes.
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
        """Rows of the dataset; its last unit is no whole one."""
        return self.num_units * ROWS_PER_UNIT - 3

    def freeze(self) -> None:
        """Freezes the dataset, a shard a unit."""
        generator = random.Random(0)
        xs = [round(generator.random(), 6) for _ in range(self.num_rows)]
        rows = [{"key": f"row-{number:05d}", "x": x, "y": int(x > 0.5)} for number, x in enumerate(xs)]
        source, contract = self.folder / "rows.jsonl", self.folder / "contract.yaml"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        contract.write_text(yaml.safe_dump(CONTRACT))
        (self.folder / "variants_under_chaos.py").write_text(CODE)
        store = ["--to", f"s3://{seaweed.BUCKET}/datasets", "--shard-rows", str(ROWS_PER_UNIT)]
        command = ["freeze", str(source), "--contract", str(contract), "--as", "rows@v1", *store]
        _finished(self.start(command, log=self.folder / "freeze.log"), self.folder / "freeze.log")

    def experiment(self, name: str) -> Path:
        """An experiment with a ledger of its own; the same run in each."""
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
        """Where the variants note who calls them."""
        return self.folder / "calls.log"

    def called(self) -> list[tuple[float, int, str]]:
        """Every call of a variant in this run: when, by which process, for which arm."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [(float(at), int(pid), arm) for at, pid, arm in (line.split() for line in lines)]

    def start(self, arguments: Sequence[str], *, log: Path, **variables: str) -> subprocess.Popen:
        """Starts the command line; what it says is added to the log."""
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
        """The run in one process, straight on S3."""
        experiment, log = self.experiment("undisturbed"), self.folder / "undisturbed.log"
        _finished(self.start(["run", str(experiment), "--in-process"], log=log), log)
        found = self.evidence("undisturbed")
        if found.problems:
            raise SystemExit(f"the undisturbed run: {'; '.join(found.problems)}")
        return found

    def evidence(self, name: str) -> Evidence:
        """What the ledger of an experiment holds, read past the proxy."""
        files = fs.S3FileSystem(
            access_key=seaweed.ACCESS_KEY,
            secret_key=seaweed.SECRET_KEY,
            endpoint_override=self.server.endpoint.removeprefix("http://"),
            scheme="http",
            region="us-east-1",
        )
        ledger = f"{seaweed.BUCKET}/{name}"
        return evidence(files, ledger, arms=self.arms, num_units=self.num_units, num_rows=self.num_rows)


class Disturbed:
    """One run and the faults that meet it."""

    def __init__(self, bench: Bench, cluster: Nodes, proxy: FaultyProxy, *, seed: int) -> None:
        """Makes everything as it is before a first run."""
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

    def go(self, faults: Sequence[Fault], *, expected: Evidence) -> Ended:
        """Runs it to its end, through all faults, and compares it with the undisturbed one."""
        waiting, num_units = deque(faults), self._bench.num_arms * self._bench.num_units
        started, num_starts, problems = time.time(), 1, list[str]()
        self._driver = self._started()
        try:
            while (code := self._driver.poll()) != 0:
                if time.time() - started > LIMIT_S:
                    problems.append(f"not finished after {LIMIT_S:.0f} s")
                    break
                if code is not None:
                    problems.append(f"the driver ended by itself with {code}: {self._last_words()}")
                    if num_starts == MAX_STARTS:
                        break
                    self._driver, num_starts = self._started(), num_starts + 1
                if waiting and len(self._proxy.published) >= waiting[0].after * num_units and self._strike(waiting[0]):
                    waiting.popleft()
                self._cluster.mend_if_due()
                time.sleep(0.02)
        finally:
            kill(self._driver.pid)
            self._driver.wait()
        seconds = time.time() - started
        found = self._bench.evidence(self._name)
        problems += found.problems
        if (found.digest, found.arm_digests) != (expected.digest, expected.arm_digests):
            problems.append("the scores are not those of the undisturbed run")
        recoveries_s = tuple((strike.fault, self._recovery_s(strike)) for strike in self._strikes)
        return Ended(seconds, recoveries_s, tuple(waiting), tuple(problems))

    def _started(self) -> subprocess.Popen:
        variables = {"RAY_ADDRESS": self._cluster.address, "AWS_ENDPOINT_URL_S3": self._proxy.endpoint}
        return self._bench.start(["run", str(self._experiment), "--json"], log=self._log, **variables)

    def _last_words(self) -> str:
        said = " ".join(self._log.read_text(errors="replace").split())
        return said[max(said.rfind("error: "), len(said) - 1000) :]

    def _strike(self, fault: Fault) -> bool:
        """Lets a fault happen, unless what it would meet is not there yet."""
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
                self._driver, pids = self._started(), set(slots)
        self._strikes.append(Strike(fault, at, pids, {arm for pid, arm in slots.items() if pid in pids}))
        return True

    def _slots(self) -> dict[int, str]:
        """The live processes of slots that work on an arm with units left, and which arm."""
        arm_of = {pid: arm for _, pid, arm in self._bench.called()}
        num_done = [arm for arm, _ in self._proxy.published]
        return {
            pid: arm
            for pid, arm in arm_of.items()
            if num_done.count(arm) < self._bench.num_units and pid in self._cluster.workers()
        }

    def _recovery_s(self, strike: Strike) -> float | None:
        """See the top of this file."""
        published = self._proxy.published
        if strike.disturbance is not None:
            moments = [published[unit] for unit in strike.disturbance.units if unit in published]
            return max(moments) - strike.at if moments else None
        moments = []
        for arm in strike.arms:
            others = [at for at, pid, of in self._bench.called() if of == arm and pid not in strike.pids]
            began = min((at for at in others if at > strike.at), default=float("inf"))
            moments += sorted(at for (of, _), at in published.items() if of == arm and at > began)[:1]
        return max(moments) - strike.at if moments else None


def report(ended: Sequence[Ended]) -> None:
    """Prints a line per kind of fault."""
    print("\n| fault | count | hindered something | median recovery, s | longest, s | longest fault, s |")
    print("|---|---|---|---|---|---|")
    recoveries = [recovery for each in ended for recovery in each.recoveries_s]
    for kind in KINDS:
        own = [(fault, seconds) for fault, seconds in recoveries if fault.kind == kind]
        if not own:
            continue
        told = [seconds for _, seconds in own if seconds is not None]
        times = f"{statistics.median(told):.1f} | {max(told):.1f}" if told else "- | -"
        print(f"| {kind} | {len(own)} | {len(told)} | {times} | {max(fault.length_s for fault, _ in own) or '-'} |")


@contextlib.contextmanager
def stage(*, num_arms: int, num_units: int, unit_s: float) -> Iterator[tuple[Bench, Nodes, FaultyProxy, Evidence]]:
    """Everything that the runs need, and what the undisturbed run came to, while the cluster was started."""
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        server = stack.enter_context(seaweed.s3_server())
        proxy = stack.enter_context(FaultyProxy(server.endpoint))
        bench = Bench(top, server, num_arms, num_units, unit_s)
        bench.freeze()
        with ThreadPoolExecutor(1) as thread:
            expected = thread.submit(bench.undisturbed)
            os.environ.update({**server.variables, "AWS_ENDPOINT_URL_S3": proxy.endpoint})  # nodes hand it to slots
            cluster = stack.enter_context(nodes(top))
        yield bench, cluster, proxy, expected.result()


def _finished(process: subprocess.Popen, log: Path) -> None:
    if process.wait() != 0:
        raise SystemExit(f"{process.args} failed:\n{log.read_text()}")


def main() -> None:
    """Runs the schedules, one after the other on one cluster; exit code 1 if one broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=20, help="how many runs are disturbed")
    parser.add_argument("--seed", type=int, default=0, help="the first run's seed; each further run's is one more")
    parser.add_argument("--quick", action="store_true", help="one small run with two faults")
    options = parser.parse_args()
    size: dict[str, Any] = {"num_arms": 6, "num_units": 60, "unit_s": 0.16}
    if options.quick:
        size = {"num_arms": 3, "num_units": 16, "unit_s": 0.08}
    ended = []
    with stage(**size) as (bench, cluster, proxy, expected):
        print(f"{size['num_arms']} arms x {size['num_units']} units, undisturbed: scores {expected.digest[:12]}\n")
        for seed in range(options.seed, options.seed + (1 if options.quick else options.schedules)):
            faults = schedule(seed, quick=options.quick)
            one = Disturbed(bench, cluster, proxy, seed=seed).go(faults, expected=expected)
            ended.append(one)
            told = [f"{fault} {'-' if s is None else f'+{s:.1f}'}" for fault, s in one.recoveries_s]
            told += [f"{fault} came too late" for fault in one.missed]
            print(
                f"seed {seed}: {'BROKEN' if one.problems else 'ok'} in {one.seconds:.1f} s: {', '.join(told)}",
                flush=True,
            )
            for problem in one.problems:
                print(f"    {problem}", flush=True)
    report(ended)
    num_broken = sum(bool(each.problems) for each in ended)
    print(f"\n{len(ended) - num_broken} of {len(ended)} schedules kept every promise")
    sys.exit(num_broken > 0)


if __name__ == "__main__":
    main()
