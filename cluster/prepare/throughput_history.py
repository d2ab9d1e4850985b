"""How long variants took in earlier runs of the ledger, to order arms by cost and to forecast a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.storage import Store
from assay.manifests.run import Run

_MAX_RUNS = 20
"""How many runs are read at most, the newest first; each takes three small files."""

_COLUMNS = ["arm", "status", "slot_s", "load_s", "probe_s", "write_s", "num_rows_evaluated", "devices"]


@dataclass(frozen=True)
class Pace:
    """How long a variant takes.

    Attributes:
        seconds_per_row: Slot-seconds per row, once the variant is loaded.
        setup_s: Slot-seconds for loading and probing it.
        source: Where these numbers come from, for people.
    """

    seconds_per_row: float
    setup_s: float
    source: str


def paces(store: Store, run: Run, *, runs: Sequence[OpenedRun]) -> dict[str, Pace]:
    """How long arms took in earlier runs; arms without history are missing from the result.

    The newest run with the same variant counts, otherwise the newest run with the same entrypoint. Only runs whose
    slots reserved GPUs count if this run's do, and vice versa.

    Args:
        store: The ledger.
        run: The run.
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
    paces_by_arm = {}
    for arm, digest in digests.items():
        same, alike = by_digest.get(digest), by_entrypoint.get(entrypoints[arm])
        if same is not None:
            paces_by_arm[arm] = same
        elif alike is not None:
            source = f"{alike.source}, another variant with the same entrypoint"
            paces_by_arm[arm] = Pace(alike.seconds_per_row, alike.setup_s, source)
    return paces_by_arm


def cheapest_first(arms: Sequence[str], *, paces: Mapping[str, Pace], weights_bytes: Mapping[str, int]) -> list[str]:
    """The arms ordered by seconds per row if known for all of them, otherwise by the size of their weights; stable."""
    if all(arm in paces for arm in arms):
        return sorted(arms, key=lambda arm: (paces[arm].seconds_per_row, weights_bytes[arm]))
    return sorted(arms, key=lambda arm: weights_bytes[arm])


def _paces_of(store: Store, past: OpenedRun, *, repeats: int) -> dict[str, Pace]:
    """The pace of every complete arm of a run that evaluated rows itself, scaled to this number of repeats."""
    try:
        rows = reader.read_table(store, reader.committed_files(store, past.run_id), "arms", _COLUMNS).to_pylist()
    except (DamageError, LedgerError):  # needed for an order and a forecast only; 'ledger verify' reports damage
        return {}
    paces_by_arm = {}
    for row in rows:
        if row["status"] == "complete" and row["num_rows_evaluated"]:
            setup_s = row["load_s"] + row["probe_s"]
            source = f"run {past.run_id} on {row['devices']}"
            own_s = max(row["slot_s"] - setup_s, row["write_s"])  # units are published while others are scored
            seconds_per_row = own_s / row["num_rows_evaluated"] * repeats / past.repeats
            paces_by_arm[row["arm"]] = Pace(seconds_per_row, setup_s, source)
    return paces_by_arm
