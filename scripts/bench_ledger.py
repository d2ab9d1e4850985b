"""Measures the verification of a ledger: CPU time per run of the pass over digests, and of `--deep`.

    python scripts/bench_ledger.py [--quick]

The runs have three arms of 2,048 rows in four units each. The first one is run; the others are its scores under another
name, published and committed as by its driver. The last line is the run of `assay demo`, with its 99 files, alone in its
ledger, so that it bears what every ledger costs. Exits with 1 if the others exceed the bound.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import builders

from assay.cluster import pipeline
from assay.cluster.commit.commit import commit
from assay.cluster.demo.demo_folder import write_demo
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.pipeline import Prepared
from assay.cluster.verify.contradictions import verify_deeply
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.ledger_verification import LedgerVerification, verify_ledger
from assay.evaluator.results import UnitResult
from assay.evaluator.storage import Store, open_store
from assay.manifests import Contract, parse
from assay.manifests.spent import Spent

NUM_ROWS = 2_048
MOST_MS = 5.0
"""The bound of the pass over digests, per run."""
ARMS = {
    "control": builders.variant(flip_every=5),
    "better": builders.variant(flip_every=50),
    "worse": builders.variant(flip_every=2),
}


def run_in_process(experiment: Path) -> Prepared:
    """Runs an experiment in this process."""
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda *_: None)
    return prepared


def commit_again(prepared: Prepared, number: int) -> None:
    """Commits the scores of a run once more, as a run of another name, with the writers that a driver uses."""
    run, store = reader.read_run(prepared.store, prepared.run.run_id), prepared.store
    experiment = run.experiment.model_copy(update={"name": f"again-{number:06d}"})
    digest = experiment.digest()
    run_id = f"{experiment.name}-{digest.removeprefix('sha256:')[:12]}"
    again = run.model_copy(update={"run_id": run_id, "experiment": experiment, "experiment_digest": digest})
    writer.open_run(store, again)
    receipts = {}
    for arm in experiment.arms:
        units = [scored_unit(store, key) for key in reader.stored_units(store, run.run_id, arm.name).values()]
        published = [
            writer.publish_unit(
                store, result, receipt.facts, run=again, arm=arm.name, unit=prepared.units[receipt.unit]
            ).receipt
            for result, receipt in units
        ]
        receipts[arm.name] = {each.unit: each for each in published}
    outcome = DriveOutcome(receipts)
    commit(again, outcome, dataset=prepared.dataset, store=store, num_units=prepared.num_units, spent=Spent())


def scored_unit(store: Store, key: str) -> tuple[UnitResult, reader.UnitReceipt]:
    """A unit as it was when it had just been scored."""
    receipt, rows = reader.read_unit(store, key, committed_sha256=None)
    facts = receipt.facts
    assert facts.attempt is not None
    result = UnitResult(
        rows,
        receipt.scores_digest,
        facts.attempt.timing,
        facts.unanswered,
        facts.first_unanswered,
        facts.score_sums,
        facts.repeat_sums,
    )
    return result, receipt


def measured_ms(verify: Callable[[Store], LedgerVerification], store: Store, *, num_times: int) -> float:
    """CPU milliseconds of one verification, the least of several."""
    times_s = []
    for _ in range(num_times):
        began_s = time.process_time()
        verification = verify(store)
        times_s.append(time.process_time() - began_s)
        assert verification.problems == (), verification.problems[:3]
    return 1e3 * min(times_s)


def line(title: str, store: Store, *, num_runs: int) -> float:
    """Prints one line of the table; returns the milliseconds per run of the pass over digests."""
    objects = list(store.listing("v2/data/"))
    megabytes = sum(each.size_bytes for each in objects) / 1e6
    few = num_runs <= 10
    digests_ms = measured_ms(verify_ledger, store, num_times=10 if few else 1) / num_runs
    deep_ms = measured_ms(verify_deeply, store, num_times=3 if few else 1) / num_runs
    print(
        f"| {title} | {len(objects):,} | {megabytes:,.1f} | {digests_ms:.1f} | {deep_ms:,.0f} "
        f"| {deep_ms * num_runs / megabytes:,.0f} |",
        flush=True,
    )
    return digests_ms


def main() -> int:
    """Prints a Markdown table; returns 1 if the bound is exceeded, except with --quick."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 and 10 runs, no demo, no exit code for the bound")
    options = parser.parse_args()
    print("| ledger | files | MB | digests: CPU ms per run | --deep: CPU ms per run | --deep: CPU ms per MB |")
    print("|---|---|---|---|---|---|")
    results = []
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        suite = {**builders.SUITE, "batch_size": NUM_ROWS // 4}
        prepared = run_in_process(builders.write_experiment(Path(folder), arms=ARMS, suite=suite, num_rows=NUM_ROWS))
        num_runs = 1
        for size in (5, 10) if options.quick else (10, 250, 2_000):
            while num_runs < size:
                commit_again(prepared, num_runs)
                num_runs += 1
            results.append(line(f"{size:,} runs", prepared.store, num_runs=size))
        if not options.quick:
            experiment = write_demo(Path(folder) / "demo")
            text = (Path(folder) / "demo" / "contract.yaml").read_text()
            contract = parse(text, file="contract.yaml", kind="Contract")
            assert isinstance(contract, Contract)
            rows, store = Path(folder) / "demo" / "digits.parquet", open_store(str(Path(folder) / "demo" / "datasets"))
            freeze([rows], contract=contract, reference="digits@v1", store=store, shard_rows=128)
            line("`assay demo`", run_in_process(experiment).store, num_runs=1)
    print(f"\nBound: {MOST_MS:g} ms per run for the pass over digests.")
    return 1 if max(results) > MOST_MS and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
