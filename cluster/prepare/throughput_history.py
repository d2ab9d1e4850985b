"""How long variants took in earlier runs of the ledger, to order arms by cost and to forecast a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.evaluator.errors import DamageError, LedgerError, OutageError, StoreError
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.ledger.reader import OpenedRun
from assay.manifests.run import Run

_MAX_RUNS = 20
"""How many runs are read at most, the newest first."""


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


def paces(run: Run, past: PastRuns) -> dict[str, Pace]:
    """How long arms took in earlier runs; arms without history are missing from the result.

    The newest run with the same variant counts, otherwise the newest run with the same entrypoint. Only runs whose
    slots reserved GPUs count if this run's do, and vice versa.

    Args:
        run: The run.
        past: The ledger's runs.
    """
    experiment = run.experiment
    digests = {arm.name: str(run.variant_digests[arm.name]) for arm in experiment.arms}
    entrypoints = {arm.name: arm.variant.entrypoint for arm in experiment.arms}
    by_digest: dict[str, Pace] = {}
    by_entrypoint: dict[str, Pace] = {}
    num_read = 0
    for each in reversed(past):
        if not past.is_committed(each.run_id) or each.has_gpus != (experiment.resources.num_gpus > 0):
            continue
        if not set(each.entrypoints.values()) & set(entrypoints.values()):
            continue
        if num_read == _MAX_RUNS or set(digests.values()) <= set(by_digest):
            break
        num_read += 1
        for arm, pace in _paces_of(each, past, repeats=experiment.suite.repeats).items():
            by_digest.setdefault(each.variant_digests[arm], pace)
            by_entrypoint.setdefault(each.entrypoints[arm], pace)
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


def _paces_of(run: OpenedRun, past: PastRuns, *, repeats: int) -> dict[str, Pace]:
    """The pace of every complete arm of a run that evaluated rows itself, scaled to this number of repeats."""
    try:
        return _paces_in(past.arms(run.run_id), run, repeats=repeats)
    except OutageError:
        raise
    # Needed for an order and a forecast only; 'ledger verify' reports damage. The index may hold any rows.
    except (DamageError, LedgerError, StoreError, KeyError, TypeError):
        return {}


def _paces_in(rows: Sequence[Mapping[str, Any]], run: OpenedRun, *, repeats: int) -> dict[str, Pace]:
    paces_by_arm = {}
    for row in rows:
        if row["status"] == "complete" and row["num_rows_evaluated"]:
            setup_s = row["load_s"] + row["probe_s"]
            source = f"run {run.run_id} on {row['devices']}"
            own_s = max(row["slot_s"] - setup_s, row["write_s"])  # units are published while others are scored
            seconds_per_row = own_s / row["num_rows_evaluated"] * repeats / run.repeats
            paces_by_arm[row["arm"]] = Pace(seconds_per_row, setup_s, source)
    return paces_by_arm
