"""Runs one experiment, from its file to a committed run: resolve -> evaluate -> analyse -> gate -> commit."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from assay.cluster.commit import commit
from assay.cluster.cost import projects
from assay.cluster.cost.budget import BudgetCheck
from assay.cluster.drive import events, progress, stopping, waves
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.drive.driver import Driver
from assay.cluster.drive.executor import Executor
from assay.cluster.drive.in_process_executor import InProcessExecutor
from assay.cluster.drive.progress import ProgressReporter
from assay.cluster.drive.unit_check import UnitCheck
from assay.cluster.drive.unit_work import PublishUnit, UnitWork
from assay.cluster.errors import RunError, StoppedError
from assay.cluster.on_ray import session
from assay.cluster.prepare import dataset_findings, opened_files, resolve, reuse, throughput_history
from assay.cluster.prepare.dataset_findings import DatasetFindings
from assay.cluster.prepare.resolve import Resolved
from assay.cluster.workers.local_executor import LocalExecutor
from assay.evaluator import batches
from assay.evaluator.batches import Unit
from assay.evaluator.errors import UnitDamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.log_chain import Position
from assay.evaluator.ledger.opening import create_ledger, open_ledger
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.ledger.reader import OpenedRun, PublishedUnits
from assay.evaluator.predictors import device_class, pick_device
from assay.evaluator.process_state.watch import ProcessWatch
from assay.evaluator.provenance import lineage, repository
from assay.evaluator.storage import Store, open_store, split_uri
from assay.manifests import Dataset, Experiment
from assay.manifests.environment_variables import SUBMISSION_VARIABLE
from assay.manifests.errors import AssayError, InvalidInput
from assay.manifests.event import Event
from assay.manifests.ledger_layout import submission_key, unit_place
from assay.manifests.plain_text import error_text
from assay.manifests.run import Run
from assay.manifests.spent import Spent

_MAX_COMMITS = 4

ProgressCallback = Callable[[str, int], None]
"""Called with an arm's name and how many more of its units are in the ledger; negative if a damaged one was taken back."""


@dataclass(frozen=True)
class Prepared:
    """A checked experiment and its run.

    Attributes:
        run: The run as it is, or will be, recorded.
        dataset: The frozen dataset.
        store: The ledger.
        past: The runs that the ledger had when this was prepared.
        units: The dataset's units.
        import_paths: Folders that entrypoints may be imported from.
        committed: Whether the run is committed already, with every arm complete or eliminated.
        weights_bytes: Per arm, the size of its weights in bytes.
        named_by_digest: Whether the experiment names its dataset by digest rather than by version.
        findings: Findings about the dataset.
        watch: What importing the entrypoints has changed in this process; None if that was not watched.
    """

    run: Run
    dataset: Dataset
    store: Store
    past: PastRuns
    units: tuple[Unit, ...]
    import_paths: tuple[str, ...]
    committed: bool
    weights_bytes: Mapping[str, int]
    named_by_digest: bool
    findings: DatasetFindings
    watch: ProcessWatch | None = None

    @property
    def num_units(self) -> int:
        """Units per arm."""
        return len(self.units)


def prepare(experiment_file: str, *, ledger: str | None = None, watch: ProcessWatch | None = None) -> Prepared:
    """Reads, checks and resolves an experiment. Writes nothing, except the run's name in a submitted job.

    Args:
        experiment_file: The path of the experiment file.
        ledger: The ledger's location; None: as the experiment says.
        watch: Finds what importing the entrypoints changes in this process; give it if arms will be scored in it.

    Raises:
        InvalidInput: Something in the experiment cannot be used.
    """
    paths = resolve.import_paths(experiment_file)
    as_written = resolve.read_experiment(experiment_file)
    if ledger is not None:
        as_written = as_written.model_copy(update={"ledger": ledger})
    resolved = resolve.resolved(as_written, paths, watch=watch)
    experiment, dataset = resolved.experiment, resolved.dataset
    store = open_ledger(experiment.ledger)
    past = PastRuns(store)
    experiment = opened_files.with_opened_files(experiment, past, folders=paths)
    resolved = resolved._replace(experiment=experiment)
    run = _run(resolved, paths)
    while reader.is_committed(store, run.run_id) and commit.leaves_work(store, run.run_id):
        run = _superseding(run)
    named_by_digest = split_uri(as_written.dataset)[1] != dataset.reference
    if not named_by_digest:
        _check_version(run, past)
    submission_id = os.environ.get(SUBMISSION_VARIABLE)
    if submission_id:
        store.replace(submission_key(submission_id), json.dumps({"run_id": run.run_id}).encode())
    units = batches.units(dataset.num_rows, batch_size=experiment.suite.batch_size)
    return Prepared(
        run,
        dataset,
        store,
        past,
        tuple(units),
        paths,
        committed=reader.is_committed(store, run.run_id),
        weights_bytes=resolved.weights_bytes,
        named_by_digest=named_by_digest,
        findings=dataset_findings.in_store(open_store(split_uri(experiment.dataset)[0]), dataset),
        watch=watch,
    )


def _check_version(run: Run, past: Sequence[OpenedRun]) -> None:
    """Refuses a run that another version of the dataset with the same rows has opened: its findings may differ."""
    named = run.experiment.dataset.rpartition("/")[2]
    for each in past:
        evaluated = each.dataset.rpartition("/")[2]
        if each.run_id in (run.run_id, run.supersedes) and evaluated != named:
            raise InvalidInput(
                f"run '{each.run_id}' of this experiment evaluated {evaluated}, which has the same rows; its report and "
                "gate are about the findings of that version",
                field="dataset",
                value=named,
                bound=evaluated,
                remedy=f"name {evaluated}, or give the experiment another name and run it (no row is scored again)",
            )


def run(prepared: Prepared, *, in_process: bool, on_progress: ProgressCallback, reuses: bool = True) -> tuple[str, ...]:
    """Runs a prepared experiment until it is committed, resuming what earlier drivers left unfinished.

    Nothing is evaluated if the run is committed already. Commits that a crash has left out of the version log are
    appended to it.

    Args:
        prepared: The run.
        in_process: Whether to score units in this process, rather than in workers of this machine or of a Ray cluster.
        on_progress: Called for every unit that is in the ledger.
        reuses: Whether to reuse units that other runs of the ledger have scored.

    Returns:
        Why some commits could not be logged: the log was changed, and no run can repair it.

    Raises:
        StoppedError: The run was asked to stop, or its budget is exhausted. Complete arms are committed, unless there
            is nothing to compare.
        AssayError: The run could not be finished; published units stay in the ledger.
    """
    store = open_ledger(prepared.run.experiment.ledger, patient=True)
    past = PastRuns(store, known=prepared.past)
    not_logged = past.log_commits()
    if not prepared.committed:
        if prepared.run.experiment.require_clean:
            lineage.check_clean(prepared.run.lineage)
        problem = _run_until_committed(
            prepared, store, past, in_process=in_process, on_progress=on_progress, reuses=reuses
        )
        not_logged = (*not_logged, *([problem] if problem and problem not in not_logged else []))
    return not_logged


def _run_until_committed(
    prepared: Prepared,
    store: Store,
    past: PastRuns,
    *,
    in_process: bool,
    on_progress: ProgressCallback,
    reuses: bool,
) -> str:
    """Evaluates what is missing, and commits. Returns why the commit could not be logged; empty if it was."""
    experiment = prepared.run.experiment
    reporter = _reporter(prepared, on_progress)
    budget = _budget_left(prepared.run, past, spent=reporter.spent)
    opened = _opened(prepared, store, in_process=in_process)
    check = UnitCheck(store, opened, prepared.units)
    published = reader.published_units(store, opened, prepared.units)
    found = _events(published, check)
    with progress.reporting(reporter), ExitStack() as until_committed:
        for receipt in published.receipts:
            reporter.add_existing_unit(receipt)
        cancelled = reporter.poll_cancelled()
        if cancelled:
            raise StoppedError(f"nothing was started: {cancelled}; submit it again to resume")
        watch = (prepared.watch or ProcessWatch()) if in_process else None
        executor = until_committed.enter_context(open_executor(PublishUnit(), in_process=in_process, watch=watch))
        stop = until_committed.enter_context(stopping.on_sigterm())  # after Ray has set its own handler
        if executor_name(in_process=in_process) == "ray":
            from assay.cluster.on_ray.prometheus import PrometheusGauges

            reporter.show_on(PrometheusGauges(opened).show)
        reused = reuse.Reused()
        if reuses:
            reused = _reused(prepared, opened, published, store, past, reporter=reporter, in_process=in_process)
        driver = Driver(
            opened,
            executor=executor,
            reporter=reporter,
            order=_cheapest_first(prepared, opened, past),
            budget=budget,
            stop=stop,
            check=check,
        )
        past.keep()
        outcome = driver.drive(
            waves.waves_of(experiment, prepared.units),
            published=[*published.receipts, *reused.receipts],
            import_paths=prepared.import_paths,
        )
        outcome.events[:0] = [*found, *reused.events]
        if watch is not None:
            _note_changes(watch, outcome)
        with _in_changed_process(opened, watch):
            return _commit(
                opened,
                outcome,
                driver,
                prepared=prepared,
                store=store,
                reporter=reporter,
                log_position=past.log_position,
            )


def _reused(
    prepared: Prepared,
    opened: Run,
    published: PublishedUnits,
    store: Store,
    past: PastRuns,
    *,
    reporter: ProgressReporter,
    in_process: bool,
) -> reuse.Reused:
    """Publishes, in this run, units that other runs have scored already."""
    return reuse.reuse_units(
        opened,
        published=published.receipts,
        units=prepared.units,
        store=store,
        past=past,
        device_class=lambda each: _device_class(prepared.run.experiment, each, in_process=in_process),
        on_reused=reporter.add_existing_unit,
    )


@contextmanager
def _in_changed_process(run: Run, watch: ProcessWatch | None) -> Iterator[None]:
    """Says of an unexpected error in the analysis what arms had changed before in this process, which may be its cause.

    Raises:
        RunError: There was such an error and such a change.
    """
    try:
        yield
    except AssayError:
        raise
    except Exception as error:
        changed = "" if watch is None else watch.altered_analysis()
        if not changed:
            raise
        raise RunError(
            f"run '{run.run_id}' cannot be analysed in this process ({error_text(error)}): {changed}; its units are in the "
            "ledger: run the same command again, without --in-process"
        ) from error


def _reporter(prepared: Prepared, on_progress: ProgressCallback) -> progress.ProgressReporter:
    return progress.ProgressReporter(
        prepared.run,
        num_units=prepared.num_units,
        num_rows=prepared.dataset.num_rows,
        store=prepared.store,  # without retries: reporting progress must not delay the run
        submission_id=os.environ.get(SUBMISSION_VARIABLE, ""),
        on_progress=on_progress,
    )


def _events(published: PublishedUnits, check: UnitCheck) -> list[Event]:
    """Sets aside the units that were found damaged; an event for each, and one for files that belong to no unit."""
    found: list[Event] = []
    for damage in published.damaged:
        place = unit_place(damage.key)
        assert place is not None
        message = check.set_aside(damage.key)
        if message:
            found.append(events.event("set_aside", message, arm=place.arm, unit=place.unit))
    if published.foreign:
        message = f"'{published.foreign[0]}' is not a unit of this run and is skipped"
        if len(published.foreign) > 1:
            message += f"; so are {len(published.foreign) - 1} more files among its units"
        found.append(events.event("foreign_file", message))
    return found


def _note_changes(watch: ProcessWatch, outcome: DriveOutcome) -> None:
    """Adds an event for each change of this process that arms have made, and one if the analysis may be wrong for it."""
    for change in dict.fromkeys(watch.changes):
        altered = [
            arm
            for arm, receipts in outcome.receipts.items()
            if any(str(change) in receipt.facts.altered_by for receipt in receipts.values())
        ]
        after = f"; scored after that: {', '.join(altered)}" if altered else "; no other arm was scored after that"
        outcome.note("process_changed", f"{change}{after}", arm=min(change.arms, default=""))
    altered_analysis = watch.altered_analysis()
    if altered_analysis:
        outcome.note("altered_analysis", altered_analysis)


def _commit(
    opened: Run,
    outcome: DriveOutcome,
    driver: Driver,
    *,
    prepared: Prepared,
    store: Store,
    reporter: ProgressReporter,
    log_position: Position,
) -> str:
    """Commits the run; units that the commit finds damaged are scored again before it is tried again.

    Returns:
        Why the commit could not be logged; empty if it was.

    Raises:
        UnitDamageError: Units are still damaged after some rounds.
    """
    for left in reversed(range(_MAX_COMMITS)):
        try:
            return commit.commit(
                opened,
                outcome,
                dataset=prepared.dataset,
                store=store,
                num_units=prepared.num_units,
                spent=reporter.spent,
                log_position=log_position,
            )
        except UnitDamageError:
            if not left:
                raise
            outcome = driver.score_damaged_units()
    raise AssertionError("the last round returns or raises")


def _budget_left(run: Run, past: PastRuns, *, spent: Spent) -> BudgetCheck:
    """The budgets of the run and its project.

    Raises:
        StoppedError: The run's earlier drivers, or other runs of its project, have exhausted one of them.
    """
    budget = projects.budget_check(run, past)
    exceeded = budget.exceeded(spent)
    if exceeded:
        raise StoppedError(f"nothing was started: {exceeded}; raise the budget to resume")
    return budget


def _opened(prepared: Prepared, store: Store, *, in_process: bool) -> Run:
    """Records the run in the ledger, unless it was before, and returns the record with today's experiment.

    Locations, resources and budgets are not part of a run's identity: they count as the experiment gives them today,
    not as they were recorded.
    """
    experiment = prepared.run.experiment
    create_ledger(store)
    opened = writer.open_run(store, _with_lineage(prepared, store, in_process=in_process))
    if experiment.require_clean:  # the run may have been opened before this was required
        lineage.check_clean(opened.lineage)
    return opened.model_copy(update={"experiment": experiment})


def _cheapest_first(prepared: Prepared, run: Run, past: PastRuns) -> list[str]:
    return throughput_history.cheapest_first(
        [arm.name for arm in run.experiment.arms],
        paces=throughput_history.paces(run, past),
        weights_bytes=prepared.weights_bytes,
    )


def _run(resolved: Resolved, import_paths: Sequence[str]) -> Run:
    experiment, dataset = resolved.experiment, resolved.dataset
    captured = lineage.captured(experiment, import_paths=import_paths)
    environment: dict[str, Any] = dict(captured.identity)
    digest = experiment.digest()
    return Run(
        run_id=f"{experiment.name}-{digest.removeprefix('sha256:')[:12]}",
        experiment=experiment,
        experiment_digest=digest,
        dataset_digest=dataset.digest(),
        suite_digest=experiment.suite.digest(),
        plan_digest=experiment.suite.plan.digest(),
        policy_digest=experiment.suite.policy.digest(),
        variant_digests={arm.name: arm.variant.digest() for arm in experiment.arms},
        code=resolved.code,
        base_digests={arm.name: arm.variant.base_digest() for arm in experiment.arms},
        label=dataset.label,
        dataset_description=dataset.contract.description,
        dataset_check=dataset.check,
        unit_keys=reuse.unit_keys(
            experiment, dataset_digest=dataset.digest(), num_rows=dataset.num_rows, environment=environment
        ),
        lineage=captured,
        opened_at=events.utc_now(),
    )


def _with_lineage(prepared: Prepared, store: Store, *, in_process: bool) -> Run:
    """The run with its lineage completed: the executor, dataset findings and, with `store_patch`, uncommitted changes."""
    run = prepared.run
    circumstance: dict[str, Any] = {
        **run.lineage.circumstance,
        "executor": executor_name(in_process=in_process),
        dataset_findings.LINEAGE_FIELD: dataset_findings.as_lineage(prepared.findings),
    }
    if run.experiment.store_patch and circumstance["source"]["is_dirty"]:
        circumstance["source"] = {
            **circumstance["source"],
            "patch": writer.keep_patch(store, repository.patch(without=lineage.stores_of(run.experiment))),
        }
    return run.model_copy(update={"lineage": run.lineage.model_copy(update={"circumstance": circumstance})})


def executor_name(*, in_process: bool) -> str:
    """The executor's name in lineages."""
    if in_process:
        return "in_process"
    return "ray" if session.has_cluster() else "local"


def _superseding(run: Run) -> Run:
    """The next run of an experiment whose last run was committed with unfinished arms: committed runs never change."""
    name, _, digest = run.run_id.rpartition("-")
    digest, _, number = digest.partition(".")
    return run.model_copy(update={"run_id": f"{name}-{digest}.{int(number or 1) + 1}", "supersedes": run.run_id})


def _device_class(experiment: Experiment, accelerator_type: str, *, in_process: bool) -> str:
    if in_process or not session.has_cluster():
        return device_class(pick_device())
    from assay.cluster.on_ray.actors import slot_device_class

    return slot_device_class(experiment.resources, accelerator_type)


def open_executor(
    work: UnitWork, *, in_process: bool, watch: ProcessWatch | None = None
) -> AbstractContextManager[Executor]:
    """An executor whose slots do this work: in this process, in processes of this machine, or on a Ray cluster.

    Args:
        work: What slots do with each unit.
        in_process: Whether all arms share this process.
        watch: Finds what they change in it.
    """
    if in_process:
        return nullcontext(InProcessExecutor(work, watch or ProcessWatch()))
    if not session.has_cluster():
        return nullcontext(LocalExecutor(work))
    session.secure()
    from assay.cluster.on_ray.ray_executor import ray_executor

    return ray_executor(work)
