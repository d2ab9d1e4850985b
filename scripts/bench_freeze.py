"""Measures freezing (rows per second, CPU seconds, peak memory) and compares it with pyarrow's reader and writer.

    python scripts/bench_freeze.py [--quick] [--rows N]

Each contender runs in its own process, so that peak memory is measured per contender. They take turns, because the
machine may be shared: compare CPU seconds, not wall time. Each processes a small file first, so that imports are not
counted. `pyarrow` reads the whole file with its defaults and writes it with `write_feather`; it checks nothing.
`freeze` is all of `assay freeze`: reading, check, profile, digests, shards in a store. `read` is only the reading part
of it: its memory must not depend on the number of rows, so it is measured at two sizes. Exits with 1 if a bound is
exceeded, except with --quick.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column

NUM_ROWS, NUM_ROWS_QUICK, NUM_ROWS_WARM_UP = 2_000_000, 50_000, 1_000
NUM_ROUNDS = 3
MAX_RATIO = 3.0
"""The upper bound of a contender's CPU seconds, as a multiple of pyarrow's for reading and writing."""
MAX_PEAK_BYTES = 1e9
"""The upper bound of a contender's peak memory; pyarrow has no bound."""
MAX_GROWTH_BYTES = 64e6
"""How much the peak memory of reading may grow from a quarter of the rows to all; allocators make it vary."""

CLASSES = ("refund", "delivery", "invoice", "other")
SEGMENTS = ("de", "fr", "it", "es", "pl", "en-GB")
WORDS = ("order", "the parcel", "arrived", "late,", "never", "please", "invoice", '"express"', "thanks", "zurück", "no")


def write_rows(path: Path, num_rows: int) -> None:
    """Writes generated rows of mixed columns as csv or jsonl; some texts contain commas or quotes."""
    import numpy as np

    rng = np.random.default_rng(0)
    names = ("id", "label", "a", "b", "c", "d", "count", "text", "segment", "income")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if path.suffix == ".csv":
            writer.writerow(names)
        for start in range(0, num_rows, 50_000):
            size = min(50_000, num_rows - start)
            income = rng.lognormal(10, 1, size).round(2).tolist()
            columns = (
                [f"row-{row:09}" for row in range(start, start + size)],
                [CLASSES[at] for at in rng.integers(0, len(CLASSES), size)],
                *rng.normal(size=(2, size)).tolist(),
                *rng.normal(size=(2, size)).round(5).tolist(),
                rng.integers(0, 1_000_000, size).tolist(),
                [" ".join(WORDS[at] for at in some) for some in rng.integers(0, len(WORDS), (size, 4))],
                [SEGMENTS[at] for at in rng.integers(0, len(SEGMENTS), size)],
                [None if rng.random() < 0.05 else value for value in income],
            )
            rows = zip(*columns, strict=True)
            if path.suffix == ".csv":
                writer.writerows(rows)
            else:
                file.writelines(
                    json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
                )


def contract_of_rows() -> Contract:
    """The contract of the generated rows."""
    columns = (
        Column(name="id", role="id"),
        Column(name="label", role="label", type="string", classes=CLASSES),
        *(Column(name=name, role="feature", type="float64") for name in "ab"),
        *(Column(name=name, role="feature", type="float32") for name in "cd"),
        Column(name="count", role="feature", type="int32", minimum=0),
        Column(name="text", role="feature", max_length=200),
        Column(name="segment", role="segment", type="string"),
        Column(name="income", role="feature", type="float64", nullable=True, max_null_fraction=0.2),
    )
    return Contract(kind="Contract", version=1, columns=columns)


def read_and_write_with_pyarrow(path: Path, folder: Path) -> None:
    """Reads the file with pyarrow's defaults, except that csv cells may contain line breaks; writes it as Feather."""
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.json

    if path.suffix == ".csv":
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        table = pyarrow.csv.read_csv(path, parse_options=options)
    else:
        table = pyarrow.json.read_json(path)
    pyarrow.feather.write_feather(table, str(folder / "rows.feather"))


def freeze_file(path: Path, folder: Path) -> None:
    """Freezes the file into its own store."""
    from assay.evaluator.data.frozen.freeze import freeze
    from assay.evaluator.storage import open_store

    freeze([path], contract=contract_of_rows(), reference="bench@v1", store=open_store(str(folder)))


def read_file(path: Path, _: Path) -> None:
    """Reads the file as typed chunks and discards them."""
    from assay.evaluator.data.ingest import read_chunks

    for _chunk in read_chunks(path, contract=contract_of_rows()):
        pass


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "pyarrow": read_and_write_with_pyarrow,
    "freeze": freeze_file,
    "read": read_file,
}


def measure(contender: str, path: Path) -> None:
    """Measures one contender in this process and prints it as JSON."""
    work = CONTENDERS[contender]
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as warm_up,
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        small = Path(warm_up) / f"small{path.suffix}"
        write_rows(small, NUM_ROWS_WARM_UP)
        work(small, Path(warm_up))
        cpu, wall = time.process_time(), time.perf_counter()
        work(path, Path(folder))
        measurement = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    measurement["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(measurement))


def run_in_process(*arguments: object) -> str:
    """Runs this script with these arguments in a new process and returns what it prints.

    A child process inherits its parent's peak memory, so this process must stay small.
    """
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measurements(contenders: tuple[str, ...], path: Path, *, num_rounds: int) -> dict[str, dict[str, float]]:
    """Each contender's median seconds and highest peak memory; in each round, the contenders take turns."""
    rounds = [{each: json.loads(run_in_process("--one", each, path)) for each in contenders} for _ in range(num_rounds)]

    def summary(contender: str) -> dict[str, float]:
        results = [each[contender] for each in rounds]
        medians = {name: statistics.median(each[name] for each in results) for name in ("cpu_s", "wall_s")}
        return {**medians, "peak_bytes": max(each["peak_bytes"] for each in results)}

    return {contender: summary(contender) for contender in contenders}


def main() -> None:
    """Prints two Markdown tables; exits with 1 if a bound is exceeded, except with --quick."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 rows, one round, no exit code for bounds")
    parser.add_argument("--rows", type=int, help=f"rows of each file; default: {NUM_ROWS:,}")
    parser.add_argument("--write", nargs=2, metavar=("PATH", "ROWS"), help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_rows(Path(options.write[0]), int(options.write[1]))
        return
    if options.one:
        measure(options.one[0], Path(options.one[1]))
        return
    num_rows = options.rows or (NUM_ROWS_QUICK if options.quick else NUM_ROWS)
    is_exceeded = False
    memory = []
    print("| file | contender | rows/s | CPU s | wall s | peak memory | CPU / pyarrow | wall / pyarrow |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        for suffix in ("csv", "jsonl"):
            path, quarter = Path(folder) / f"rows.{suffix}", Path(folder) / f"quarter.{suffix}"
            run_in_process("--write", path, num_rows)
            results = measurements(("pyarrow", "freeze", "read"), path, num_rounds=1 if options.quick else NUM_ROUNDS)
            theirs = results["pyarrow"]
            for contender, each in results.items():
                ratio, wall_ratio = each["cpu_s"] / theirs["cpu_s"], each["wall_s"] / theirs["wall_s"]
                is_ours = contender != "pyarrow"
                is_exceeded |= is_ours and (ratio > MAX_RATIO or each["peak_bytes"] > MAX_PEAK_BYTES)
                print(
                    f"| {num_rows:,} rows of {suffix}, {path.stat().st_size / 1e6:,.0f} MB | {contender} "
                    f"| {num_rows / each['wall_s']:,.0f} | {each['cpu_s']:.2f} | {each['wall_s']:.2f} "
                    f"| {each['peak_bytes'] / 1e6:,.0f} MB | {ratio:.2f} | {wall_ratio:.2f} |"
                )
            if not options.quick:  # with few rows, a quarter is less than one block
                run_in_process("--write", quarter, num_rows // 4)
                few = measurements(("freeze", "read"), quarter, num_rounds=1)
                memory += [(suffix, each, few[each]["peak_bytes"], results[each]["peak_bytes"]) for each in few]
            path.unlink()
    if memory:
        print(f"\n| peak memory | {num_rows // 4:,} rows | {num_rows:,} rows |\n|---|---|---|")
    for suffix, contender, few, many in memory:
        is_exceeded |= contender == "read" and many - few > MAX_GROWTH_BYTES
        print(f"| {contender}, {suffix} | {few / 1e6:,.0f} MB | {many / 1e6:,.0f} MB |")
    print(
        f"\nBounds: {MAX_RATIO:g} times pyarrow's CPU seconds; {MAX_PEAK_BYTES / 1e9:g} GB; from a quarter of the rows "
        f"to all, the peak memory of reading grows by at most {MAX_GROWTH_BYTES / 1e6:g} MB."
    )
    sys.exit(1 if is_exceeded and not options.quick else 0)  # times of few rows on a busy machine mean nothing


if __name__ == "__main__":
    main()
