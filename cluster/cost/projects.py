"""What a run and the other runs of its project have cost, as far as their drivers recorded it, and may still spend."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from assay.cluster.cost.budget import BudgetCheck
from assay.evaluator.errors import StoreError
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import progress_key
from assay.manifests.progress import Progress
from assay.manifests.run import Run
from assay.manifests.spent import Spent


def budget_check(store: Store, run: Run, *, runs: Sequence[OpenedRun]) -> BudgetCheck:
    """The budgets of a run and its project, with what other runs of the project have cost.

    Args:
        store: The ledger.
        run: The run that is about to start or resume.
        runs: The ledger's runs.
    """
    experiment = run.experiment
    return BudgetCheck(
        experiment.budget,
        experiment.project or "",
        experiment.project_budget,
        spent_elsewhere(store, run, runs=runs),
    )


def spent_before(store: Store, run: Run) -> Spent:
    """What a run's earlier drivers have cost, from its recorded progress or else that of the run that it supersedes."""
    return _first_recorded(store, (run.run_id, run.supersedes))


def spent_elsewhere(store: Store, run: Run, *, runs: Sequence[OpenedRun]) -> Spent:
    """What other runs of a run's project have cost, whether committed, stopped, failed or still running.

    The recorded cost of a run includes that of the run that it supersedes, so only the last of such a chain counts.

    Args:
        store: The ledger.
        run: The run that is about to start or resume.
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
            total += _first_recorded(store, _superseded_in_turn(each.run_id, before))
    return total


def _recorded_spending(store: Store, run_id: str) -> Spent | None:
    """What a run and the runs that it supersedes have cost, from its recorded progress; None if not recorded."""
    try:
        return Progress.model_validate_json(store.get(progress_key(run_id)).to_pybytes()).spent
    except (FileNotFoundError, StoreError, OSError, ValueError):  # progress is information, not evidence
        return None


def _first_recorded(store: Store, run_ids: Iterable[str | None]) -> Spent:
    """What the first of these runs with recorded progress has cost; zero if there is none."""
    for run_id in run_ids:
        recorded = None if run_id is None else _recorded_spending(store, run_id)
        if recorded is not None:
            return recorded
    return Spent()


def _superseded_in_turn(run_id: str | None, supersedes: Mapping[str, str | None]) -> Iterator[str]:
    """Yields a run, the run that it supersedes, the run that this one supersedes, and so on."""
    while run_id is not None:
        yield run_id
        run_id = supersedes.get(run_id)
