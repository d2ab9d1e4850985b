"""How long variants took in earlier runs of the ledger: which arms are cheap, and what a run will cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.storage import Store
from assay.manifests.run import Run

_MAX_RUNS = 20
"""The most runs that are looked into, the newest first: each is three small files."""

_COLUMNS = ["arm", "status", "slot_s", "load_s", "probe_s", "write_s", "num_rows_evaluated", "devices"]


@dataclass(frozen=True)
class Pace:
    """How long a variant takes.

    Attributes:
        seconds_per_row: Of a slot, once the variant is loaded.
        setup_s: Seconds of slots for loading and probing it.
        source: Where that is from, in words.
    """

    seconds_per_row: float
    setup_s: float
    source: str


def paces(store: Store, run: Run, *, runs: Sequence[OpenedRun]) -> dict[str, Pace]:
    """How long arms took in earlier runs whose slots held GPUs if this one's do; arms of which nothing is known are absent.

    The newest run with the same variant counts, else the newest that ran the same entrypoint.

    Args:
        store: The ledger.
        run: The run whose arms are asked about.
        runs: The ledger's runs, the oldest first.
    """
    experiment = run.experiment
    digests = {arm.name: str(run.variant_digests[arm.name]) for arm in experiment.arms}
    entrypoints = {arm.name: arm.variant.entrypoint for arm in experiment.arms}
    committed = {state.run_id for state in reader.runs(store) if state.committed}
    by_digest: dict[str, Pace] = {}
    by_entrypoint: dict[str, Pace] = {}
    num_read = 0
    for past in reversed(runs):
        if past.run_id not in committed or past.has_gpus != (experiment.resources.num_gpus > 0):
            continue
        if not set(past.entrypoints.values()) & set(entrypoints.values()):
            continue
        if num_read == _MAX_RUNS or set(digests.values()) <= set(by_digest):
            break
        num_read += 1
        for arm, pace in _paces_of(store, past, repeats=experiment.suite.repeats).items():
            by_digest.setdefault(past.variant_digests[arm], pace)
            by_entrypoint.setdefault(past.entrypoints[arm], pace)
    found = {}
    for arm, digest in digests.items():
        same, alike = by_digest.get(digest), by_entrypoint.get(entrypoints[arm])
        if same is not None:
            found[arm] = same
        elif alike is not None:
            found[arm] = Pace(alike.seconds_per_row, alike.setup_s, f"{alike.source}, another variant of its code")
    return found


def cheapest_first(arms: Sequence[str], *, paces: Mapping[str, Pace], weights_bytes: Mapping[str, int]) -> list[str]:
    """The arms by what a row costs, if that is known of all of them, else by the size of their weights; stable."""
    if all(arm in paces for arm in arms):
        return sorted(arms, key=lambda arm: (paces[arm].seconds_per_row, weights_bytes[arm]))
    return sorted(arms, key=lambda arm: weights_bytes[arm])


def _paces_of(store: Store, past: OpenedRun, *, repeats: int) -> dict[str, Pace]:
    """Of the arms that a run has evaluated whole, or in part: what a row takes that is scored so often."""
    try:
        rows = reader.read_table(store, reader.committed_files(store, past.run_id), "arms", _COLUMNS).to_pylist()
    except (DamageError, LedgerError):  # it only hints at an order and an estimate: 'ledger verify' is for damage
        return {}
    found = {}
    for row in rows:
        if row["status"] == "complete" and row["num_rows_evaluated"]:
            setup_s = row["load_s"] + row["probe_s"]
            words = f"run {past.run_id} on {row['devices']}"
            own_s = row["slot_s"] - setup_s + row["write_s"]
            found[row["arm"]] = Pace(own_s / row["num_rows_evaluated"] * repeats / past.repeats, setup_s, words)
    return found
