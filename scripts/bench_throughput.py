"""Measures throughput (CPU seconds per arm-row) and compares it with the bare module, a PyTorch loop and Ray Data.

    python scripts/bench_throughput.py [--quick] [--scale SHARE] [--part mlp cnn reads memory sweep]

All contenders run in one call on the same generated rows and take turns, because the machine may be shared: compare CPU
seconds, not wall time. Two processes that run only the module show how much slots on neighbouring cores slow each other
down. One row scored by one arm is an arm-row. `warm` is the time of its process from one unit to the next: fetching,
verifying, computing, scoring, digests and writing the unit's file. It excludes loading an arm, probing its batch-size
sensitivity, and the first unit of each process, which also pays for the first use of each library. The time before the
first unit is reported separately, as start-up.
"""

import argparse
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # the cluster is local and used by this script only

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import torch
import yaml
from counting_proxy import CountingProxy, counting_proxy
from measured_work import MeasuredWork
from process_watch import WorkerMonitor, resident_bytes

from assay.cluster import pipeline
from assay.cluster.on_ray import session
from assay.evaluator import process
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shards import ShardReader, columns_as_numpy
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import open_store
from assay.manifests import Contract, Dataset
from assay.manifests.dataset import Shard

NUM_SLOTS = 2
BUCKET_URI = "s3://assay"
MODELS = '''
"""The arms of the benchmark: the same architecture with different weights."""
import torch
from torch import nn


def mlp(*, seed=0, hidden=256):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def cnn(*, seed=0, channels=8):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * channels, 10),
    )
'''


@dataclass(frozen=True)
class Workload:
    """A dataset and the arms that score it.

    Attributes:
        name: The dataset's name.
        model: The name of the function that builds the arms' modules.
        num_rows: Rows of the dataset.
        shape: The shape of a row, float32.
        batch_size: Rows per batch.
        num_arms: Number of arms; each has its own weights.
        rounds: How often each contender runs; in each round, they take turns.
        shard_rows: Rows per shard; None: shards of about 64 MiB.
    """

    name: str
    model: str
    num_rows: int
    shape: tuple[int, ...]
    batch_size: int
    num_arms: int = 4
    rounds: int = 3
    shard_rows: int | None = None


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds of a contender's work, and of its start-up.

    Attributes:
        arm_rows: Rows that the warm work scored, summed over arms.
        cpu_s: CPU seconds of the warm work, summed over processes.
        wall_s: Wall seconds of the warm work, summed over slots.
        startup_s: Wall seconds before the first unit.
        total_s: Wall seconds of the whole run.
        note: Further observations, for the table.
    """

    arm_rows: int
    cpu_s: float
    wall_s: float
    startup_s: float = 0.0
    total_s: float = 0.0
    note: str = ""

    @property
    def cpu_ns(self) -> float:
        """CPU nanoseconds per arm-row."""
        return self.cpu_s / self.arm_rows * 1e9


def measured_units(prepared: pipeline.Prepared, folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's units table, with what was measured of each unit.

    `bench_wall_s` and `bench_cpu_s` reach from its begin to that of the next unit of the same arm in the same process;
    they are None if there is none, or if the unit is the first one of its process.
    """
    run_id = prepared.run.run_id
    units = [
        {**unit, **json.loads((folder / run_id / f"{unit['arm']}-{unit['unit']}.json").read_text())}
        for unit in CommittedRun(prepared.store, run_id).rows("units")
    ]
    units.sort(key=lambda unit: (unit["bench_pid"], unit["bench_began_at"]))
    for before, unit, after in zip([{"bench_pid": 0}, *units], units, [*units[1:], {"bench_pid": 0}], strict=False):
        is_warm = before["bench_pid"] == unit["bench_pid"] == after["bench_pid"] and unit["arm"] == after["arm"]
        unit["bench_wall_s"] = after["bench_clock_s"] - unit["bench_clock_s"] if is_warm else None
        unit["bench_cpu_s"] = after["bench_clock_cpu_s"] - unit["bench_clock_cpu_s"] if is_warm else None
    return units


def frozen(work: Workload, folder: Path) -> Dataset:
    """Generates the rows and freezes them into a store on disk."""
    rng = np.random.default_rng(0)
    size = int(np.prod(work.shape))
    source = folder / f"{work.name}.arrow"
    schema = pa.schema([("x", pa.list_(pa.float32(), size)), ("y", pa.int64())])
    with pa.ipc.new_file(str(source), schema) as writer:
        for start in range(0, work.num_rows, 65_536):
            rows = min(65_536, work.num_rows - start)
            x = pa.array(rng.standard_normal(rows * size, dtype=np.float32))
            writer.write_table(
                pa.table([pa.FixedSizeListArray.from_arrays(x, size), rng.integers(0, 10, rows)], schema=schema)
            )
    columns = [
        {"name": "x", "role": "feature", "type": "float32", "shape": [size]},
        {"name": "y", "role": "label", "type": "int64"},
    ]
    if len(work.shape) > 1:
        columns[0]["shape"] = list(work.shape)
        _as_tensors(source, work.shape)
    contract = Contract.model_validate_json(json.dumps({"kind": "Contract", "version": 1, "columns": columns}))
    store = open_store(str(folder / "datasets"))
    dataset = freeze([source], contract=contract, reference=f"{work.name}@v1", store=store, shard_rows=work.shard_rows)
    source.unlink()
    return dataset


def _as_tensors(source: Path, shape: tuple[int, ...]) -> None:
    """Rewrites a file whose column x has flat lists so that it has tensors of this shape."""
    table = pa.ipc.open_file(str(source)).read_all()
    tensor_type = pa.fixed_shape_tensor(pa.float32(), shape)
    chunks = [pa.ExtensionArray.from_storage(tensor_type, chunk) for chunk in table["x"].chunks]
    table = table.set_column(0, pa.field("x", tensor_type), pa.chunked_array(chunks, tensor_type))
    with pa.ipc.new_file(str(source.with_suffix(".new")), table.schema) as writer:
        writer.write_table(table)
    source.with_suffix(".new").replace(source)


def upload(folder: Path) -> None:
    """Copies the frozen datasets into the bucket."""
    local, remote = open_store(str(folder / "datasets")), open_store(f"{BUCKET_URI}/datasets")
    for entry in local.listing(""):
        remote.put_if_absent(entry.key, local.get(entry.key))


class Bench:
    """A folder with datasets, ledgers and experiments, and the runs in it."""

    def __init__(self, folder: Path, proxy: CountingProxy, *, quick: bool, scale: float) -> None:
        self.folder, self.proxy, self.quick, self.scale = folder, proxy, quick, scale
        self._num_runs = 0
        self.measured = folder / "measured"
        pipeline.PublishUnit = lambda: MeasuredWork(self.measured)
        (folder / "bench_models.py").write_text(MODELS)
        sys.path.insert(0, str(folder))

    @property
    def rounds(self) -> int:
        """How often each contender runs."""
        return 1 if self.quick or self.scale < 1 else 3

    def rows(self, full: int) -> int:
        """The number of rows to use for a dataset that has `full` rows in a full run."""
        return full // 40 if self.quick else int(full * self.scale)

    def experiment(self, work: Workload, *, store: str, num_arms: int | None = None) -> Path:
        """Writes an experiment with its own ledger, so that no units are reused."""
        self._num_runs += 1
        arms = [
            {
                "name": f"arm-{seed:02}",
                "variant": {
                    "kind": "Variant", "version": 1, "predictor": "torch", "output": "logits",
                    "entrypoint": f"bench_models:{work.model}", "parameters": {"seed": seed},
                },
            }
            for seed in range(num_arms or work.num_arms)
        ]  # fmt: skip
        plan = {"kind": "Plan", "version": 1, "metric": "accuracy", "scale": "binary", "control": "arm-00"}
        suite = {
            "kind": "Suite", "version": 1, "batch_size": work.batch_size,
            "metrics": [{"name": "accuracy", "measure": "accuracy"}],
            "plan": plan, "policy": {"kind": "Policy", "version": 1},
        }  # fmt: skip
        content = {
            "kind": "Experiment", "version": 1, "name": f"bench-{self._num_runs}", "suite": suite, "arms": arms,
            "dataset": f"{store}/datasets/{work.name}@v1",
            "ledger": f"{store}/ledger-{self._num_runs}",
            "resources": {"num_cpus": 1, "max_slots": NUM_SLOTS, "replicas": NUM_SLOTS},
        }  # fmt: skip
        file = self.folder / f"experiment-{self._num_runs}.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    def run(self, file: Path, *, in_process: bool) -> tuple[list[dict[str, Any]], float, float]:
        """Runs an experiment, after removing its shards from this host's cache.

        Returns:
            The rows of the units table, the time at which the run began (Unix time), and its wall seconds.
        """
        began_at, started = time.time(), time.perf_counter()
        prepared = pipeline.prepare(str(file))
        for shard in prepared.dataset.shards:
            for copy in Path(tempfile.gettempdir(), f"assay-{os.getuid()}", "shards", "shards").glob(
                f"{shard.blake3.removeprefix('blake3:')}.*"
            ):
                copy.unlink()
        pipeline.run(prepared, in_process=in_process, on_progress=_ignore_progress)
        wall_s = time.perf_counter() - started
        return measured_units(prepared, self.measured), began_at, wall_s

    def assay(self, work: Workload, *, store: str, in_process: bool) -> Cost:
        """Runs the workload through Assay's pipeline."""
        units, began_at, total_s = self.run(self.experiment(work, store=store), in_process=in_process)
        warm = [unit for unit in units if unit["bench_wall_s"] is not None]
        return Cost(
            arm_rows=sum(unit["num_rows"] for unit in warm),
            cpu_s=sum(unit["bench_cpu_s"] for unit in warm),
            wall_s=sum(unit["bench_wall_s"] for unit in warm),
            startup_s=min(unit["bench_began_at"] for unit in units) - began_at,
            total_s=total_s,
            note=f"{sum(unit['shards_fetched'] for unit in units)} shards fetched",
        )


def rows_of(dataset: Dataset, folder: Path) -> torch.Tensor:
    """The features of all rows, as one tensor in memory."""
    store = open_store(str(folder / "datasets"))
    x = torch.empty((dataset.num_rows, *dataset.columns[0].shape))
    for shard in dataset.shards:
        columns = columns_as_numpy(pa.ipc.open_file(pa.BufferReader(store.get(shard.key))).read_all(), dataset.columns)
        x.numpy()[shard.first_row : shard.first_row + shard.num_rows] = columns["x"]
    return x


def modules(work: Workload) -> list[torch.nn.Module]:
    """The module of every arm, in evaluation mode."""
    import bench_models

    return [getattr(bench_models, work.model)(seed=seed).eval() for seed in range(work.num_arms)]


def _ignore_progress(arm: str, units: int) -> None:
    """Does nothing: no progress is shown."""


def measure(work: Workload, num_rows: int, call: Callable[[], None]) -> Cost:
    """The cost of a call in this process, in which every arm scores `num_rows` rows."""
    started, cpu_started = time.perf_counter(), time.process_time()
    call()
    wall_s = time.perf_counter() - started
    return Cost(num_rows * work.num_arms, time.process_time() - cpu_started, wall_s, total_s=wall_s)


def pure(work: Workload, x: torch.Tensor, arms: list[torch.nn.Module]) -> Cost:
    """The lower limit: only the modules' forward passes, over rows that are already in memory."""

    def call() -> None:
        with torch.inference_mode():
            for module in arms:
                for start in range(0, len(x), work.batch_size):
                    module(x[start : start + work.batch_size])

    return measure(work, len(x), call)


def pure_at_once(work: Workload, x: torch.Tensor, folder: Path) -> Cost:
    """The lower limit for concurrent slots: only forward passes, in as many processes as there are slots."""
    import ray

    @ray.remote(num_cpus=1)
    def half(rows: np.ndarray) -> Cost:
        sys.path.insert(0, str(folder))
        torch.set_num_threads(1)
        process.keep_freed_memory()  # as slots do
        share, arms = torch.from_numpy(rows), modules(work)
        pure(work, share[: work.batch_size], arms)
        (meeting / str(os.getpid())).touch()
        while len(list(meeting.iterdir())) < NUM_SLOTS:
            time.sleep(0.001)
        return pure(work, share, arms)

    meeting = Path(tempfile.mkdtemp(dir=folder))
    shares = [ray.put(np.ascontiguousarray(rows)) for rows in np.array_split(x.numpy(), NUM_SLOTS)]
    halves = ray.get([half.remote(rows) for rows in shares])
    return Cost(
        sum(cost.arm_rows for cost in halves),
        sum(cost.cpu_s for cost in halves),
        sum(cost.wall_s for cost in halves),
        total_s=max(cost.wall_s for cost in halves),
    )


def plain(work: Workload, dataset: Dataset, arms: list[torch.nn.Module], *, store: str) -> Cost:
    """A loop written by hand: forward pass and accuracy, per arm and shard; it verifies and stores nothing."""
    shards = open_store(f"{store}/datasets")

    def call() -> None:
        with torch.inference_mode():
            for module in arms:
                num_correct = 0
                for shard in dataset.shards:
                    file = pa.ipc.open_file(pa.BufferReader(shards.get(shard.key)))
                    for chunk in range(file.num_record_batches):
                        rows = file.get_batch(chunk)
                        x = torch.from_numpy(rows.column("x").to_numpy_ndarray())
                        y = torch.from_numpy(rows.column("y").to_numpy())
                        for start in range(0, len(x), work.batch_size):
                            logits = module(x[start : start + work.batch_size])
                            num_correct += int((logits.argmax(1) == y[start : start + work.batch_size]).sum())

    return measure(work, dataset.num_rows, call)


def load_shard(batch: dict[str, np.ndarray]) -> pa.Table:
    """For Ray Data: turns the path of a shard into its rows."""
    with pa.memory_map(str(batch["path"][0])) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
    x: Any = pa.chunked_array([chunk.storage for chunk in table["x"].chunks])
    return pa.table({"x": x, "y": table["y"]})


class RayDataArm:
    """For Ray Data: an actor that holds one arm's module."""

    def __init__(self, folder: str, name: str, seed: int, shape: tuple[int, ...]) -> None:
        sys.path.insert(0, folder)
        import bench_models

        torch.set_num_threads(1)
        self._module, self._shape = getattr(bench_models, name)(seed=seed).eval(), shape
        self._started = time.process_time()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Scores a batch, whatever its size."""
        x = np.stack(batch["x"]) if batch["x"].dtype == object else batch["x"]
        with torch.inference_mode():
            classes = self._module(torch.from_numpy(x.reshape(-1, *self._shape).copy())).argmax(1).numpy()
        row = {"correct": (classes == batch["y"]).sum(), "size": len(x), "pid": os.getpid(), "started": self._started}
        return {name: np.array([value]) for name, value in row.items()}


def ray_data(work: Workload, dataset: Dataset, folder: Path) -> Cost:
    """Ray Data's map_batches with one actor pool per arm; all arms run at once."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    paths = [{"path": str(folder / "datasets" / shard.key)} for shard in dataset.shards]

    def arm(seed: int) -> list[dict[str, Any]]:
        rows = ray.data.from_items(paths, override_num_blocks=len(paths)).map_batches(
            load_shard, batch_size=1, num_cpus=0.1
        )
        arguments = {"folder": str(folder), "name": work.model, "seed": seed, "shape": work.shape}
        scored = rows.map_batches(
            RayDataArm,
            fn_constructor_kwargs=arguments,
            batch_size=work.batch_size,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=0.3,
        )
        return scored.take_all()

    started, cpu_started = time.perf_counter(), time.process_time()
    with WorkerMonitor() as monitor, ThreadPoolExecutor(work.num_arms) as pool:
        batches = [row for rows in pool.map(arm, range(work.num_arms)) for row in rows]
    total_s = time.perf_counter() - started
    assert sum(row["size"] for row in batches) == work.num_rows * work.num_arms
    startup_cpu_s = sum({row["pid"]: row["started"] for row in batches}.values())
    sizes = Counter(row["size"] for row in batches)
    most_common = ", ".join(f"{count} x {size}" for size, count in sizes.most_common(4))
    cpu_s = monitor.total_cpu_s() + time.process_time() - cpu_started - startup_cpu_s
    note = f"{len(sizes)} batch sizes: {most_common}{', ...' * (len(sizes) > 4)}"
    return Cost(work.num_rows * work.num_arms, cpu_s, total_s, total_s=total_s, note=note)


def side_by_side(work: Workload, bench: Bench) -> None:
    """Prints a table of all contenders on one workload."""
    folder, disk = bench.folder, str(bench.folder)
    dataset = frozen(work, folder)
    arms = modules(work)
    x = rows_of(dataset, folder)
    torch.set_num_threads(1)
    contenders: dict[str, Callable[[], Cost]] = {
        "pure forward, in memory": lambda: pure(work, x, arms),
        "plain PyTorch loop, disk": lambda: plain(work, dataset, arms, store=disk),
        "Assay in process, disk": lambda: bench.assay(work, store=disk, in_process=True),
        "plain PyTorch loop, S3": lambda: plain(work, dataset, arms, store=BUCKET_URI),
        "Assay in process, S3": lambda: bench.assay(work, store=BUCKET_URI, in_process=True),
        "pure forward, 2 processes at once": lambda: pure_at_once(work, x, folder),
        "Assay on Ray, 2 slots, disk": lambda: bench.assay(work, store=disk, in_process=False),
        "Assay on Ray, 2 slots, S3": lambda: bench.assay(work, store=BUCKET_URI, in_process=False),
        "Ray Data map_batches, disk": lambda: ray_data(work, dataset, folder),
    }
    if bench.quick:  # starting processes takes most of the time of a quick run
        contenders = dict(list(contenders.items())[: 3 if work.model == "cnn" else 7])
    upload(folder)
    contenders["pure forward, in memory"]()
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for _ in range(work.rounds):
        for name, run in contenders.items():
            costs[name].append(run())
    limit = statistics.median(cost.cpu_ns for cost in costs["pure forward, in memory"])
    row_shape = "x".join(str(size) for size in work.shape)
    print(
        f"\n### {work.name}: {work.num_rows:,} rows of {row_shape} float32, {work.num_arms} arms, batches of "
        f"{work.batch_size}, {len(dataset.shards)} shards, {work.rounds} rounds (medians)\n"
    )
    print(
        "| | warm CPU ns per arm-row | over pure forward | extra ns | warm wall ns per arm-row and slot | start-up s | whole run s | |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, rounds in costs.items():
        middle = sorted(rounds, key=lambda cost: cost.cpu_ns)[len(rounds) // 2]
        wall_ns = middle.wall_s / middle.arm_rows * 1e9
        print(
            f"| {name} | {middle.cpu_ns:,.0f} | {middle.cpu_ns / limit:.2f} | {middle.cpu_ns - limit:,.0f} | {wall_ns:,.0f} "
            f"| {middle.startup_s:.1f} | {middle.total_s:.1f} | {middle.note} |"
        )


def reads(bench: Bench) -> None:
    """Prints how often shards are fetched over the network, by number of arms."""
    rows = bench.rows(524_288)
    work = Workload("reads", "mlp", rows, (64,), 1024, shard_rows=-(-rows // 8))
    dataset = frozen(work, bench.folder)
    upload(bench.folder)
    size_bytes = sum(shard.size_bytes for shard in dataset.shards)
    print("\n### reads: one node, 2 slots, S3; GETs counted by a proxy in front of the server\n")
    print(
        "| arms | shards in the dataset | shards fetched | bytes fetched / bytes of the dataset | shard GETs at the server |"
    )
    print("|---|---|---|---|---|")
    for num_arms in (4,) if bench.quick else (1, 4, 16):
        before = bench.proxy.num_gets()
        units, _, _ = bench.run(bench.experiment(work, store=BUCKET_URI, num_arms=num_arms), in_process=False)
        num_gets = bench.proxy.num_gets() - before
        fetched = sum(unit["shards_fetched"] for unit in units)
        share = sum(unit["bytes_fetched"] for unit in units) / size_bytes
        print(f"| {num_arms} | {len(dataset.shards)} | {fetched} | {share:.2f} | {num_gets} |")
    read_path(dataset)


def read_path(dataset: Dataset) -> None:
    """Prints how fast shards are read from S3, with Assay's digest check and by two clients without one."""
    import boto3
    from pyarrow import fs

    store = open_store(f"{BUCKET_URI}/datasets")
    bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    endpoint = client.meta.endpoint_url
    arrow = fs.S3FileSystem(endpoint_override=endpoint.partition("://")[2], scheme="http")
    readers: dict[str, Callable[[Shard], object]] = {
        "Assay, digest checked": ShardReader(dataset, store).fetch,
        "boto3 get_object": lambda shard: client.get_object(Bucket=bucket, Key=f"{prefix}/{shard.key}")["Body"].read(),
        "pyarrow S3FileSystem": lambda shard: arrow.open_input_file(f"{bucket}/{prefix}/{shard.key}").read(),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    for _ in range(3):
        for name, read in readers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for shard in dataset.shards:
                read(shard)
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    size = sum(shard.size_bytes for shard in dataset.shards) / (1 << 20)
    print("\n| one shard after the other | MiB/s | CPU s per GiB |\n|---|---|---|")
    for name, seconds in times.items():
        wall, cpu = min(seconds)
        print(f"| {name} | {size / wall:,.0f} | {cpu / size * 1024:.2f} |")


def memory(bench: Bench) -> None:
    """Prints the peak memory of slots and of the driver, which runs in its own process."""
    import ray

    work = Workload("memory", "mlp", bench.rows(2_000_000), (64,), 1024, num_arms=4 if bench.quick else 16)
    dataset = frozen(work, bench.folder)
    model_bytes = sum(weight.nbytes for weight in modules(work)[0].parameters())
    file = bench.experiment(work, store=str(bench.folder))
    with WorkerMonitor(every_s=0.05) as monitor:
        output = subprocess.run(
            [sys.executable, __file__, "--driver", str(file), str(bench.measured)],
            env={**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
    driver = json.loads(output)
    sizes = {
        "one shard": max(shard.size_bytes for shard in dataset.shards),
        "worker at its last unit, including mapped shards": max(unit["bench_bytes"] for unit in driver["units"]),
        "model": model_bytes,
        "slot at its peak with all its processes, without mapped files": max(monitor.anonymous_bytes.values()),
        "driver before the run": driver["before"],
        f"driver at its peak, {work.num_rows:,} rows x {work.num_arms} arms": driver["peak"],
    }
    print("\n### memory\n\n| | MiB |\n|---|---|")
    for name, size_bytes in sizes.items():
        print(f"| {name} | {size_bytes / (1 << 20):,.0f} |")


def drive(file: str, measured: str) -> None:
    """Runs an experiment in this process; prints its units and its memory as JSON."""
    pipeline.PublishUnit = lambda: MeasuredWork(Path(measured))
    with session.connected():
        prepared = pipeline.prepare(file)
        before = resident_bytes()["VmRSS"]
        pipeline.run(prepared, in_process=False, on_progress=_ignore_progress)
        peak = resident_bytes()["VmHWM"]
    print(json.dumps({"before": before, "peak": peak, "units": measured_units(prepared, Path(measured))}, default=str))


def sweep(bench: Bench) -> None:
    """Prints how long an arm of a sweep takes, compared with its prediction, once its slot is warm."""
    num_arms = 10 if bench.quick else 40
    work = Workload("sweep", "mlp", 100_000, (64,), 1024)
    frozen(work, bench.folder)
    file = bench.experiment(work, store=str(bench.folder), num_arms=num_arms)
    units, _, total_s = bench.run(file, in_process=False)
    per_unit = []
    for slot in {unit["slot"] for unit in units}:
        per_unit += list(np.diff(sorted(unit["bench_began_at"] for unit in units if unit["slot"] == slot)))
    per_arm = len(units) / num_arms  # units
    print(f"\n### sweep: {num_arms} arms of {work.num_rows:,} rows over {NUM_SLOTS} slots, whole run {total_s:.1f} s\n")
    compute = per_arm * statistics.mean(unit["predict_s"] for unit in units)
    warm = [unit for unit in units if unit["bench_wall_s"] is not None]
    performed = per_arm * statistics.mean(unit["bench_wall_s"] for unit in warm)
    cpu = per_arm * statistics.mean(unit["bench_cpu_s"] for unit in warm)
    print(
        "| time per arm after the first, s | its units, s | CPU, s | predicting, s | time / predicting | time / units |"
    )
    print("|---|---|---|---|---|---|")
    mean = per_arm * statistics.mean(per_unit)
    print(
        f"| {mean:.3f} | {performed:.3f} | {cpu:.3f} | {compute:.3f} | {mean / compute:.2f} | {mean / performed:.2f} |"
    )


def mlp(bench: Bench) -> None:
    """Rows of 64 numbers and small perceptrons: the overhead outside the module shows most."""
    side_by_side(Workload("mlp", "mlp", bench.rows(2_000_000), (64,), 1024, rounds=bench.rounds), bench)


def cnn(bench: Bench) -> None:
    """Small images and a small convolutional network."""
    side_by_side(Workload("cnn", "cnn", bench.rows(200_000), (1, 16, 16), 256, rounds=bench.rounds), bench)


PARTS: dict[str, Callable[[Bench], None]] = {"mlp": mlp, "cnn": cnn, "reads": reads, "memory": memory, "sweep": sweep}
QUICK_PARTS = ("mlp", "sweep")


def main() -> None:
    """Runs the parts one after the other, on one local Ray and one S3 server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, and only two parts")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="the share of the rows to use; below 1: one round only"
    )
    parser.add_argument(
        "--part", nargs="+", choices=PARTS, help="run only these parts; default: all, with --quick mlp and sweep"
    )
    parser.add_argument("--driver", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    if options.driver:
        drive(*options.driver)
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    print(
        f"{os.cpu_count()} cores, slots on {device}, torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}"
    )
    from tests.seaweed import s3_server

    with tempfile.TemporaryDirectory(prefix="assay-bench-") as top, contextlib.ExitStack() as stack:
        os.environ["TMPDIR"] = tempfile.tempdir = top  # the shard cache of a host is in here
        server = stack.enter_context(s3_server())
        proxy = stack.enter_context(counting_proxy(server.endpoint))
        os.environ.update({**server.variables, "AWS_ENDPOINT_URL_S3": proxy.endpoint})
        stack.enter_context(session.connected(num_cpus=NUM_SLOTS))
        bench = Bench(Path(top), proxy, quick=options.quick, scale=options.scale)
        for name in options.part or (QUICK_PARTS if options.quick else PARTS):
            PARTS[name](bench)


if __name__ == "__main__":
    main()
