"""What a run and the other runs of its project have cost, as far as their drivers recorded it, and may still spend."""

from collections.abc import Iterator, Mapping

from assay.cluster.cost.budget import BudgetCheck
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.storage import Store
from assay.manifests.run import Run
from assay.manifests.spent import Spent


def budget_check(run: Run, past: PastRuns) -> BudgetCheck:
    """The budgets of a run and its project, with what other runs of the project have cost.

    Args:
        run: The run that is about to start or resume.
        past: The ledger's runs.
    """
    experiment = run.experiment
    return BudgetCheck(
        experiment.budget,
        experiment.project or "",
        experiment.project_budget,
        spent_elsewhere(run, past),
    )


def spent_before(store: Store, run: Run) -> Spent:
    """What a run's earlier drivers have cost, from its recorded progress or else that of the run that it supersedes."""
    run_ids = (run_id for run_id in (run.run_id, run.supersedes) if run_id is not None)
    recorded = (reader.recorded_progress(store, run_id) for run_id in run_ids)
    return next((progress.spent for progress in recorded if progress is not None), Spent())


def spent_elsewhere(run: Run, past: PastRuns) -> Spent:
    """What other runs of a run's project have cost, whether committed, stopped, failed or still running.

    The recorded cost of a run includes that of the run that it supersedes, so only the last of such a chain counts.

    Args:
        run: The run that is about to start or resume.
        past: The ledger's runs.
    """
    project = run.experiment.project
    if project is None:
        return Spent()
    before = {each.run_id: each.supersedes for each in past}
    counted_elsewhere = {*before.values(), run.run_id, run.supersedes}
    total = Spent()
    for each in past:
        if each.project == project and each.run_id not in counted_elsewhere:
            recorded = (past.spent(run_id) for run_id in _superseded_in_turn(each.run_id, before))
            total += next((spent for spent in recorded if spent is not None), Spent())
    return total


def _superseded_in_turn(run_id: str | None, supersedes: Mapping[str, str | None]) -> Iterator[str]:
    """Yields a run, the run that it supersedes, the run that this one supersedes, and so on."""
    seen = set[str]()
    while run_id is not None and run_id not in seen:  # records that were changed may form a circle
        yield run_id
        seen.add(run_id)
        run_id = supersedes.get(run_id)
