"""What the runs of one project have cost together, as far as their drivers could tell."""

from collections.abc import Sequence

from assay.evaluator.errors import StoreError
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import progress_key
from assay.manifests.progress import Progress
from assay.manifests.run import Run
from assay.manifests.spent import Spent


def spent_elsewhere(store: Store, run: Run, *, runs: Sequence[OpenedRun]) -> Spent:
    """What other runs of a run's project have cost: committed, stopped, failed, or still going on.

    A run that repeats another one in part has recorded the cost of both, so only the last of such a chain counts.

    Args:
        store: The ledger.
        run: The run that shall begin, or go on.
        runs: The ledger's runs.
    """
    project = run.experiment.project
    if project is None:
        return Spent()
    before = {each.run_id: each.supersedes for each in runs} | {run.run_id: run.supersedes}
    superseded = set(before.values())
    total = Spent()
    for each in runs:
        if each.project == project and each.run_id not in (superseded | {run.run_id}):
            total += _spent(store, each.run_id, before)
    return total


def recorded_spending(store: Store, run_id: str) -> Spent | None:
    """What a run has cost by its last driver's progress, the runs included that it supersedes; None: not recorded."""
    try:
        return Progress.model_validate_json(store.get(progress_key(run_id)).to_pybytes()).spent
    except (FileNotFoundError, StoreError, OSError, ValueError):  # it informs, and is no evidence
        return None


def _spent(store: Store, run_id: str | None, before: dict[str, str | None]) -> Spent:
    """What a run has cost by its progress, or, if it has recorded none yet, the run that it supersedes."""
    while run_id is not None:
        recorded = recorded_spending(store, run_id)
        if recorded is not None:
            return recorded
        run_id = before.get(run_id)
    return Spent()
