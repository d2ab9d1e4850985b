"""Measures freezing: rows a second, CPU seconds and peak memory, beside pyarrow's own reader and `write_feather`.

    python scripts/bench_freeze.py [--quick] [--rows N]

Each contender runs in a process of its own, so that its peak memory is its own, and in turns, since the machine may
be shared: compare CPU seconds, not wall time. Each does a small file first, so that imports are not counted.
`pyarrow` reads the whole file with its defaults and writes it as Feather, asking nothing. `freeze` is the whole door:
reading, check, profile, digests, shards in a store. `read` is the first part of it alone: its memory must not depend
on how many rows there are, so it is measured at two sizes.
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
"""What the whole door may cost, in CPU seconds, as a multiple of pyarrow's reading and writing."""
MAX_PEAK_BYTES = 1e9
MAX_GROWTH_BYTES = 64e6
"""By how much the peak of reading may differ between a quarter of the rows and all: what allocators keep varies."""

CLASSES = ("refund", "delivery", "invoice", "other")
SEGMENTS = ("de", "fr", "it", "es", "pl", "en-GB")
WORDS = ("order", "the parcel", "arrived", "late,", "never", "please", "invoice", '"express"', "thanks", "zurück", "no")


def write_rows(path: Path, num_rows: int) -> None:
    """Writes generated rows of mixed columns as csv or jsonl; some texts hold commas, quotes or a line break."""
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
    """What the generated rows must be."""
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


def pyarrow_alone(path: Path, folder: Path) -> None:
    """Reads the file with pyarrow's defaults, but for line breaks in cells, and writes it as Feather."""
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.json

    if path.suffix == ".csv":
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        table = pyarrow.csv.read_csv(path, parse_options=options)
    else:
        table = pyarrow.json.read_json(path)
    pyarrow.feather.write_feather(table, str(folder / "rows.feather"))


def whole_door(path: Path, folder: Path) -> None:
    """Freezes the file into a store of its own."""
    from assay.evaluator.data.frozen.freeze import freeze
    from assay.evaluator.storage import open_store

    freeze([path], contract=contract_of_rows(), reference="bench@v1", store=open_store(str(folder)))


def reading(path: Path, _: Path) -> None:
    """Reads the file as typed chunks, and lets them go."""
    from assay.evaluator.data.ingest import read_chunks

    for _chunk in read_chunks(path, contract=contract_of_rows()):
        pass


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "pyarrow": pyarrow_alone,
    "freeze": whole_door,
    "read": reading,
}


def one(contender: str, path: Path) -> None:
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
        found = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


def in_a_process(*arguments: object) -> str:
    """What this script prints when it is called so. A child takes over its parent's peak, so the parent stays small."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured(contenders: tuple[str, ...], path: Path, *, num_rounds: int) -> dict[str, dict[str, float]]:
    """The median of each contender's seconds, and its highest peak; all take turns."""
    rounds = [{each: json.loads(in_a_process("--one", each, path)) for each in contenders} for _ in range(num_rounds)]

    def of(contender: str) -> dict[str, float]:
        found = [each[contender] for each in rounds]
        middle = {name: statistics.median(each[name] for each in found) for name in ("cpu_s", "wall_s")}
        return {**middle, "peak_bytes": max(each["peak_bytes"] for each in found)}

    return {contender: of(contender) for contender in contenders}


def main() -> None:
    """Prints two Markdown tables; exits with 1 where a bound is missed, unless the look is quick."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 rows, one round, for a look")
    parser.add_argument("--rows", type=int, help=f"rows of each file, otherwise {NUM_ROWS:,}")
    parser.add_argument("--write", nargs=2, metavar=("PATH", "ROWS"), help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_rows(Path(options.write[0]), int(options.write[1]))
        return
    if options.one:
        one(options.one[0], Path(options.one[1]))
        return
    num_rows = options.rows or (NUM_ROWS_QUICK if options.quick else NUM_ROWS)
    missed = False
    memory = []
    print("| file | contender | rows/s | CPU s | wall s | peak memory | CPU / pyarrow | wall / pyarrow |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        for suffix in ("csv", "jsonl"):
            path, quarter = Path(folder) / f"rows.{suffix}", Path(folder) / f"quarter.{suffix}"
            in_a_process("--write", path, num_rows)
            found = measured(("pyarrow", "freeze", "read"), path, num_rounds=1 if options.quick else NUM_ROUNDS)
            theirs = found["pyarrow"]
            for contender, each in found.items():
                ratio, wall_ratio = each["cpu_s"] / theirs["cpu_s"], each["wall_s"] / theirs["wall_s"]
                is_ours = contender != "pyarrow"
                missed |= is_ours and (ratio > MAX_RATIO or each["peak_bytes"] > MAX_PEAK_BYTES)
                print(
                    f"| {num_rows:,} rows of {suffix}, {path.stat().st_size / 1e6:,.0f} MB | {contender} "
                    f"| {num_rows / each['wall_s']:,.0f} | {each['cpu_s']:.2f} | {each['wall_s']:.2f} "
                    f"| {each['peak_bytes'] / 1e6:,.0f} MB | {ratio:.2f} | {wall_ratio:.2f} |"
                )
            if not options.quick:  # a quarter of few rows is less than a block
                in_a_process("--write", quarter, num_rows // 4)
                few = measured(("freeze", "read"), quarter, num_rounds=1)
                memory += [(suffix, each, few[each]["peak_bytes"], found[each]["peak_bytes"]) for each in few]
            path.unlink()
    if memory:
        print(f"\n| peak memory | {num_rows // 4:,} rows | {num_rows:,} rows |\n|---|---|---|")
    for suffix, contender, few, many in memory:
        missed |= contender == "read" and many - few > MAX_GROWTH_BYTES
        print(f"| {contender}, {suffix} | {few / 1e6:,.0f} MB | {many / 1e6:,.0f} MB |")
    print(f"\nBounds: {MAX_RATIO:g} times pyarrow's CPU seconds, {MAX_PEAK_BYTES / 1e9:g} GB; reading does not grow.")
    sys.exit(1 if missed and not options.quick else 0)  # of few rows, on a busy machine, times say nothing


if __name__ == "__main__":
    main()
