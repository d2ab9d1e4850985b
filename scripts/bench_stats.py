"""Measures the analysis: CPU seconds, peak memory, and speed relative to other libraries at sizes they can handle.

    python scripts/bench_stats.py [--quick]

Each size runs in its own process, so that peak memory is measured per size. Scores are first written as one Parquet
file per arm and unit, as in a ledger; reading them is part of the measurement. Exits with 1 if a bound is exceeded or
the number of units changes the result.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats as scipy_stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assay.manifests.plan import Plan
from assay.stats import analysis
from assay.stats.samples.samples import Samples

UNITS = (1, 7, 64)
"""Numbers of units per arm, each of which must give the same result."""


def scores_of(num_rows: int, num_arms: int) -> np.ndarray:
    """Normal scores, rows x arms: arms share a term for each row's difficulty and differ slightly in their means."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(num_rows, 1)) + rng.normal(size=(num_rows, num_arms)) + 0.002 * np.arange(num_arms)


def write_units(folder: Path, scores_RA: np.ndarray, *, num_units: int) -> None:
    """Writes one file per arm and unit; units may differ in length."""
    num_rows, num_arms = scores_RA.shape
    edges = np.linspace(0, num_rows, num_units + 1).astype(int)
    for arm in range(num_arms):
        at = folder / f"arm-{arm:02}"
        at.mkdir(parents=True)
        for unit in range(num_units):
            rows = np.arange(edges[unit], edges[unit + 1])
            table = pa.table({"row_index": rows, "score": scores_RA[rows, arm]})
            pq.write_table(table, at / f"u{unit:06}.parquet")


def read_units(folder: Path) -> Samples:
    """Reads the samples back, arm by arm."""
    arms = sorted(path.name for path in folder.iterdir())
    columns, rows = [], None
    for arm in arms:
        table = pa.concat_tables([pq.read_table(path) for path in sorted((folder / arm).iterdir())])
        rows_of_arm = table["row_index"].to_numpy()
        assert rows is None or np.array_equal(rows, rows_of_arm)
        rows = rows_of_arm
        columns.append(table["score"].to_numpy())
    assert rows is not None
    return Samples(arms=tuple(arms), kept_RA=np.column_stack(columns), row_ids=rows)


def measure(num_rows: int, num_arms: int, family: str) -> None:
    """Measures one size in this process and prints it as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        digests = set()
        seconds = []
        for num_units in UNITS:
            folder = Path(temporary) / str(num_units)
            write_units(folder, scores_of(num_rows, num_arms), num_units=num_units)
            before = time.process_time()
            plan = Plan(kind="Plan", version=1, control="arm-00", family=family)
            result = analysis.analyze(read_units(folder), plan)
            seconds.append(time.process_time() - before)
            digests.add(hashlib.sha256(json.dumps(result.plain()).encode()).hexdigest())
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": max(seconds), "peak_bytes": peak_bytes, "digests": len(digests)}))


def cpu_seconds(call: Callable[[], object], *, least_s: float = 0.2) -> float:
    """CPU seconds per call: the mean over as many calls as take at least `least_s` CPU seconds together."""
    num_calls, start = 0, time.process_time()
    while time.process_time() - start < least_s:
        call()
        num_calls += 1
    return (time.process_time() - start) / num_calls


def timings(*, quick: bool) -> list[tuple[str, float, float]]:
    """Tasks, each with the CPU seconds that another library and Assay take for it."""
    from statsmodels.stats.anova import AnovaRM

    from assay.stats.comparisons import bootstrap, randomisation
    from assay.stats.moments.bootstrap_weights import row_keys
    from assay.stats.moments.moments import moments_of
    from assay.stats.omnibus import repeated_measures

    rows = []
    names = tuple("abcde")
    for num_rows in (200,) if quick else (200, 500, 1000):
        scores = scores_of(num_rows, 5)
        long = pd.DataFrame(
            {
                "row": np.repeat(np.arange(num_rows), 5),
                "arm": np.tile(np.arange(5), num_rows),
                "score": scores.ravel(),
            }
        )
        theirs = cpu_seconds(lambda long=long: AnovaRM(long, "score", "row", within=["arm"]).fit())
        ours = cpu_seconds(lambda scores=scores: repeated_measures.rm_anova(moments_of(scores, arms=names, control=0)))
        rows.append((f"statsmodels AnovaRM, {num_rows} rows x 5 arms", theirs, ours))
    num_rows = 500 if quick else 10_000
    scores = scores_of(num_rows, 5)
    keys = row_keys(np.arange(num_rows))
    differences = scores[:, 1] - scores[:, 0]

    def their_bootstrap() -> object:
        return scipy_stats.bootstrap(
            (differences,), np.mean, n_resamples=2000, batch=10, method="percentile", rng=np.random.default_rng(0)
        )

    def our_bootstrap() -> object:
        return bootstrap.bootstrap_sums(
            scores[:, :, None], lambda sums: sums[..., 0] / num_rows, keys_R=keys, num_replicates=2000
        )

    def their_flips() -> object:
        return scipy_stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=1999, batch=10,
            rng=np.random.default_rng(0),
        )  # fmt: skip

    def our_flips() -> object:
        return randomisation.sign_flip_max_t(
            scores, arms=tuple("abcde"), control="a", family="dunnett", alpha=0.05, keys_R=keys, num_replicates=1999
        )

    rows.append((f"scipy bootstrap of 1 pair (ours: 5 arms), 2,000 replicates x {num_rows} rows", cpu_seconds(their_bootstrap), cpu_seconds(our_bootstrap)))  # fmt: skip
    rows.append((f"scipy permutation_test of 1 pair (ours: max-T of 4), 1,999 sign flips x {num_rows} rows", cpu_seconds(their_flips), cpu_seconds(our_flips)))  # fmt: skip
    return rows


def main() -> None:
    """Prints two Markdown tables; exits with 1 if a bound is exceeded or a result depends on the number of units."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fortieth of the rows, and two of the four sizes")
    parser.add_argument("--one", nargs=3, metavar=("ROWS", "ARMS", "FAMILY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(int(options.one[0]), int(options.one[1]), options.one[2])
        return
    warnings.filterwarnings("ignore")
    factor = 40 if options.quick else 1
    sizes = [
        (1_000_000 // factor, 20, "dunnett"),
        (1_000_000 // factor, 20, "tukey"),
        (100_000 // factor, 50, "dunnett"),
    ]
    sizes.append((100_000 // factor, 50, "tukey"))
    if options.quick:  # starting a process takes longer than its measurement
        sizes = sizes[::3]
    is_violated = False
    print("| rows x arms | family | CPU s, bound 20 | peak memory, bound 2 GB | same bits for 1, 7, 64 units |")
    print("|---|---|---|---|---|")
    for num_rows, num_arms, family in sizes:
        command = [sys.executable, __file__, "--one", str(num_rows), str(num_arms), family]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        measurement = json.loads(output)
        same = measurement["digests"] == 1
        is_violated |= measurement["seconds"] > 20 or measurement["peak_bytes"] > 2e9 or not same
        size = f"{num_rows:,} x {num_arms}"
        print(
            f"| {size} | {family} | {measurement['seconds']:.2f} | {measurement['peak_bytes'] / 1e9:.2f} GB "
            f"| {'yes' if same else 'NO'} |"
        )
    print("\n| compared with | theirs, CPU s | ours, CPU s | ratio |\n|---|---|---|---|")
    for name, theirs, ours in timings(quick=options.quick):
        print(f"| {name} | {theirs:.4g} | {ours:.4g} | {theirs / ours:,.2g} |")
    sys.exit(1 if is_violated else 0)


if __name__ == "__main__":
    main()
