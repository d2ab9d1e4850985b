"""resolve -> evaluate -> analyse -> gate -> commit: one experiment, from its file to a committed run."""

import json
import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cluster import (
    arm_metrics,
    confounding,
    costs,
    dataset_findings,
    driver,
    history,
    progress,
    projects,
    promotion,
    race,
    resolve,
    reuse,
    session,
    stopping,
)
from cluster.dataset_findings import KnownFindings
from cluster.driver import Driven
from cluster.errors import RunError, StoppedError
from cluster.executor import Executor
from cluster.local import LocalExecutor
from cluster.planned import SIZES, Measured, latency_rows, planned_samples
from cluster.slot import Slot
from cluster.spending import Allowance, Spending
from evaluator import batches, fingerprint, source
from evaluator.batches import Unit
from evaluator.ledger import lineage, reader, writer
from evaluator.ledger.reader import LedgerFile
from evaluator.predictors import device_class, pick_device
from evaluator.storage import Store, open_store, split_uri
from evaluator.wobble import Wobble
from manifests import Dataset, Experiment, InvalidInput, Plan
from manifests.errors import did_you_mean
from manifests.ledger import SUBMISSION_VARIABLE, Run, Spent, submission_key
from stats import analysis
from stats.analysis import Analysis

Progress = Callable[[str, int], None]
"""Called with an arm's name and how many of its units are published more than before."""


@dataclass(frozen=True)
class Prepared:
    """An experiment that was checked, and the run it belongs to.

    Attributes:
        run: The run as it will be, or is, recorded.
        dataset: The frozen dataset.
        store: The ledger.
        units: The dataset's units.
        import_paths: Where entrypoints may be imported from.
        committed: Whether the ledger has the whole run already.
        weights_bytes: Per arm, the size of its weights.
        named_by_digest: Whether the experiment names its dataset by a digest, and not by a version.
        findings: What is known of the dataset.
    """

    run: Run
    dataset: Dataset
    store: Store
    units: tuple[Unit, ...]
    import_paths: tuple[str, ...]
    committed: bool
    weights_bytes: Mapping[str, int]
    named_by_digest: bool
    findings: KnownFindings

    @property
    def num_units(self) -> int:
        """Units per arm."""
        return len(self.units)


def prepare(experiment_file: str, *, ledger: str | None = None) -> Prepared:
    """Reads and resolves an experiment; writes nothing but, in a submitted job, which run it is.

    Args:
        experiment_file: Its path.
        ledger: Where evidence is kept; None: where the experiment says.

    Raises:
        InvalidInput: Something in it cannot be used.
    """
    paths = resolve.import_paths(experiment_file)
    asked = resolve.read_experiment(experiment_file)
    if ledger is not None:
        asked = asked.model_copy(update={"ledger": ledger})
    experiment, dataset, weights_bytes = resolve.resolved(asked, paths)
    store = open_store(experiment.ledger)
    run = _run(experiment, dataset, paths)
    while reader.is_committed(store, run.run_id) and _unfinished_arms(store, run.run_id):
        run = _superseding(run)
    submission_id = os.environ.get(SUBMISSION_VARIABLE)
    if submission_id:
        store.replace(submission_key(submission_id), json.dumps({"run_id": run.run_id}).encode())
    units = batches.units(dataset.num_rows, shard_rows=dataset.shard_rows, batch_size=experiment.suite.batch_size)
    return Prepared(
        run,
        dataset,
        store,
        tuple(units),
        paths,
        committed=reader.is_committed(store, run.run_id),
        weights_bytes=weights_bytes,
        named_by_digest=split_uri(asked.dataset)[1] != dataset.reference,
        findings=dataset_findings.in_store(open_store(split_uri(experiment.dataset)[0]), dataset),
    )


def run(prepared: Prepared, *, in_process: bool, on_progress: Progress, reuses: bool = True) -> None:
    """Brings a prepared run to its commit, from wherever an earlier driver left it. A committed run is left alone.

    Args:
        prepared: The run.
        in_process: Whether slots live in this process rather than on Ray.
        on_progress: Called for every unit that is in the ledger.
        reuses: Whether units that other runs of the ledger have scored are taken over.

    Raises:
        StoppedError: It was told to stop, or its budget is spent; arms that were whole are committed.
        AssayError: It could not be finished; what was published stays.
    """
    if prepared.committed:
        return
    experiment = prepared.run.experiment
    if experiment.require_clean:
        lineage.check_clean(prepared.run.lineage)
    watch = progress.Watch(
        prepared.run,
        num_units=prepared.num_units,
        num_rows=prepared.dataset.num_rows,
        store=prepared.store,  # not a patient one: who tells how far a run is does not hold it up
        submission_id=os.environ.get(SUBMISSION_VARIABLE, ""),
    )
    store = open_store(experiment.ledger, patient=True)
    past = reader.opened_runs(store)
    allowance = Allowance(
        experiment.budget,
        experiment.project or "",
        experiment.project_budget,
        projects.spent_elsewhere(store, prepared.run, runs=past),
    )
    spent = allowance.exceeded(watch.spent)
    if spent:
        raise StoppedError(f"nothing was begun: {spent}; give it a larger budget to go on")
    writer.open_ledger(store)
    # Where things lie and what may be spent is no part of a run's identity: today's word counts, not the record's.
    opened = writer.open_run(store, _with_lineage(prepared, store, in_process=in_process))
    if experiment.require_clean:  # its first units may have been made without this wish
        lineage.check_clean(opened.lineage)
    opened = opened.model_copy(update={"experiment": experiment})
    published = reader.published_units(store, opened.run_id)
    for receipt in published:
        on_progress(receipt.arm, 1)
    with progress.watched(watch), ExitStack() as until_committed:
        watch.found(published)
        cancelled = watch.look()
        if cancelled:
            raise StoppedError(f"nothing was begun: {cancelled}; submit it again to go on")
        with place(in_process=in_process) as executor:
            stop = until_committed.enter_context(stopping.on_sigterm())  # after Ray has set its own
            if not in_process:
                from cluster.metrics import Meters

                watch.show_on(Meters(opened).show)
            reused = reuse.Reused()
            if reuses:
                reused = reuse.take_over(
                    opened,
                    published=published,
                    num_units=prepared.num_units,
                    store=store,
                    sources=past,
                    device_class=lambda kind: _device_class(experiment, kind, in_process=in_process),
                    on_progress=lambda arm: on_progress(arm, 1),
                )
            watch.found(reused.receipts)
            driven = driver.drive(
                opened,
                waves=race.waves_of(experiment, prepared.units),
                published=[*published, *reused.receipts],
                executor=executor,
                import_paths=prepared.import_paths,
                on_progress=lambda arm: on_progress(arm, 1),
                watch=watch,
                order=history.cheapest_first(
                    [arm.name for arm in experiment.arms],
                    paces=history.paces(store, opened, runs=past),
                    weights_bytes=prepared.weights_bytes,
                ),
                allowance=allowance,
                stop=stop,
            )
        driven.events[:0] = reused.events
        _finish(opened, driven, dataset=prepared.dataset, store=store, num_units=prepared.num_units, spent=watch.spent)


def analysed(
    run: Run,
    files: Sequence[LedgerFile],
    store: Store,
    measured: Measured,
    *,
    plan: Plan,
    failed: Mapping[str, str],
    dropped: Mapping[str, str],
) -> Analysis:
    """Carries out a plan on the arms that were measured.

    A plan other than the recorded one makes the analysis exploratory: it can promote nothing. Arms that a race has
    dropped keep their share of alpha, for those that are left were chosen by the same scores.
    """
    samples, guardrails = planned_samples(store, files, run, plan, measured, without={*failed, *dropped})
    return analysis.analyze(
        samples,
        promotion.shared(plan, run, dropped),
        metric=plan.metric or run.experiment.suite.primary.name,
        guardrails=guardrails,
        exploratory=plan.digest() != run.plan_digest,
    )


def reanalysed(store: Store, run_id: str, plan: Plan) -> Analysis:
    """Another look at a committed run.

    Raises:
        LedgerError: The run is unknown or not committed.
        InvalidInput: The plan asks for what the run has not.
    """
    files = reader.committed_files(store, run_id)
    recorded = reader.read_run(store, run_id)
    _check_measured(recorded, files, store, plan)
    arms = reader.read_table(store, files, "arms").to_pylist()
    measured = Measured(reader.read_table(store, files, "latency").to_pylist(), arms)
    failed, dropped = promotion.left_out(arms)
    return analysed(recorded, files, store, measured, plan=plan, failed=failed, dropped=dropped)


def _check_measured(run: Run, files: Sequence[LedgerFile], store: Store, plan: Plan) -> None:
    """Raises InvalidInput where a plan names a metric, an arm or a column that the run does not have."""
    suite = run.experiment.suite
    metrics, arms = [metric.name for metric in suite.metrics], [arm.name for arm in run.experiment.arms]
    columns = reader.segment_columns(store, files, plan.control)
    asked = [("metric", plan.metric, metrics)]
    asked += [(f"margins.{name}", name, arms) for name in plan.margins]
    for number, rule in enumerate(plan.guardrails):
        known = {"metric": metrics, "column": columns}
        asked += [
            (f"guardrails[{number}].{field}", getattr(rule, field), names)
            for field, names in known.items()
            if hasattr(rule, field)
        ]
    for field, name, names in asked:
        if name is not None and name not in names:
            raise InvalidInput(
                "the run has not measured this",
                place=run.run_id,
                field=field,
                value=name,
                remedy=did_you_mean(name, names),
            )


def _finish(run: Run, driven: Driven, *, dataset: Dataset, store: Store, num_units: int, spent: Spent) -> None:
    """Checks coverage, measures, analyses, decides, and commits all of it at once.

    Raises:
        StoppedError: After the commit, if some arms are missing because the run was stopped; without one, if nothing
            is left that can be compared.
    """
    suite = run.experiment.suite
    control = suite.plan.control
    for arm, receipts in driven.receipts.items():
        mixed = _mixed_batch_sizes(receipts.values())
        if mixed and arm not in {*driven.failed, *driven.dropped}:
            driven.failed[arm] = mixed
            driven.note("arm_failed", mixed, arm=arm)
    if control in driven.failed:
        raise RunError(
            f"run '{run.run_id}': the control '{control}' could not be measured, so nothing can be compared: "
            f"{driven.failed[control]}"
        )
    stopped = {
        arm: f"stopped with {len(receipts)} of {num_units} units: {driven.stopped}"
        for arm, receipts in driven.receipts.items()
        if driven.stopped and len(receipts) < num_units and arm not in {*driven.failed, *driven.dropped}
    }
    failed = {**driven.failed, **stopped}
    whole = [arm.name for arm in run.experiment.arms if arm.name not in {*failed, *driven.dropped}]
    if stopped and (control not in whole or set(whole) <= {control, run.experiment.aa_arm}):
        raise StoppedError(
            f"run '{run.run_id}' was stopped before a variant could be compared: {driven.stopped}; "
            f"{sum(map(len, driven.receipts.values()))} units stay in the ledger: run the same again to go on"
        )
    files: list[LedgerFile] = []
    tables_of_arms = ("units", "arms", "metrics", "confusions", "histograms", "latency")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables_of_arms}
    thresholds = arm_metrics.thresholds(run, [each.file for each in driven.receipts[control].values()], store)
    for arm in run.experiment.arms:
        receipts = driven.receipts[arm.name]
        summary: dict[str, Any] = {
            "arm": arm.name,
            "variant_digest": run.variant_digests[arm.name],
            "status": _status(arm.name, driven, stopped),
            "reason": failed.get(arm.name, driven.dropped.get(arm.name, "")),
            "num_units": num_units,
            "num_units_done": len(receipts),
            "num_units_reused": sum(reuse.is_reused(receipt) for receipt in receipts.values()),
            "reused_from": ",".join(sorted({reuse.source_run(r) for r in receipts.values() if reuse.is_reused(r)})),
            **costs.arm_cost(receipts.values(), run.experiment.prices),
        }
        if arm.name in whole:
            _check_coverage(receipts, arm.name, num_rows=dataset.num_rows, num_units=num_units)
            in_order = [receipts[unit] for unit in range(num_units)]
            files += [receipt.file for receipt in in_order]
            digests = json.dumps([receipt.scores_digest for receipt in in_order])
            summary["scores_digest"] = fingerprint.sha256_digest(digests.encode())
            times = driver.arm_times(receipts)
            summary |= {"num_rows": dataset.num_rows, **times}
            evaluated = [receipt for receipt in in_order if not reuse.is_reused(receipt)]
            if evaluated:  # times of units that were taken over stand in the run that spent them
                summary["rows_per_s"] = summary["num_rows_evaluated"] / max(times["predict_s"], 1e-9)
                summary["batch_p50_s"] = float(np.median([receipt.facts["batch_p50_s"] for receipt in evaluated]))
            summary["batch_size"], wobble = in_order[0].facts["batch_size"], _wobble(in_order)
            summary |= {f"wobble_{name}": value for name, value in asdict(wobble).items()}
            if wobble.exceeds(suite.wobble_tolerance):
                driven.note("wobble", wobble.told(suite), arm=arm.name)
            for size in SIZES:
                told = [receipt.facts[size] for receipt in in_order if receipt.facts.get(size) is not None]
                summary[size] = max(told, default=None)
            rows["latency"] += latency_rows(arm.name, in_order)
            summary["devices"] = ",".join(sorted({str(receipt.facts["device"]) for receipt in in_order}))
            rows["units"] += [_unit_row(receipt) for receipt in in_order]
            found_of_arm = arm_metrics.of_arm(run, arm.name, in_order, store, thresholds=thresholds)
            for name in ("metrics", "confusions", "histograms"):
                rows[name] += getattr(found_of_arm, name)
        rows["arms"].append(summary)
    for arm, words in confounding.confounded(driven.receipts, whole, control=control).items():
        driven.note("confounded", words, arm=arm)
    if driven.dropped:
        driven.note("race", _saved(run, driven, num_units=num_units))
    measured = Measured(rows["latency"], rows["arms"])
    found = analysed(run, files, store, measured, plan=suite.plan, failed=failed, dropped=driven.dropped)
    budget = promotion.budget_of(run, rows["arms"], spent)
    events = [asdict(event) for event in driven.events]
    decisions = promotion.reviewed(
        run,
        found,
        arms=rows["arms"],
        metrics=rows["metrics"],
        events=events,
        budget=budget,
        policy=suite.policy,
        findings=dataset_findings.at_opening(run),
    )
    document = found.to_json()
    tables = {
        **rows,
        "comparisons": [{"metric": found.metric, **asdict(comparison)} for comparison in found.comparisons],
        "decisions": promotion.as_rows(decisions),
        "analyses": [{"plan_digest": run.plan_digest, "exploratory": False, "analysis": json.dumps(document)}],
        "events": events,
        "spending": [{**spent.model_dump(), "budget_kept": budget.kept, "budget_words": budget.words}],
    }
    for name, table_rows in tables.items():
        file = writer.write_table(store, name, table_rows, run_id=run.run_id)  # pyright: ignore[reportArgumentType]
        if file is not None:
            files.append(file)
    writer.commit(store, run, files)
    if not stopped and set(_unfinished_arms(store, run.run_id)) - set(failed):
        raise RunError(f"run '{run.run_id}': another driver was first to commit it, with fewer arms: run it again")
    if stopped:
        raise StoppedError(
            f"run '{run.run_id}' was stopped: {driven.stopped}; {len(whole)} of {len(run.experiment.arms)} arms were "
            "whole and are committed: run the same again to go on with the others"
        )


def _saved(run: Run, driven: Driven, *, num_units: int) -> str:
    """What the units would have cost that dropped arms have not done, by what those cost that they have."""
    account, num_saved, cost = Spending(run.experiment.resources, run.experiment.prices), 0, Spent()
    for arm in run.experiment.arms:
        receipts = driven.receipts[arm.name]
        if arm.name in driven.dropped:
            num_saved += num_units - len(receipts)
            times = driver.arm_times(receipts)
            seconds = sum(times.values()) - sum(times[name] for name in ("load_s", "timing_s", "probe_s"))
            cost += account.cost(arm.accelerator_type or "", seconds / len(receipts) * (num_units - len(receipts)))
    return (
        f"{num_saved} of {num_units * len(run.experiment.arms)} units saved: about {cost.slot_s:.0f} slot-seconds, "
        f"{cost.gpu_s:.0f} GPU-seconds, price {cost.price:.4g}"
    )


def _status(arm: str, driven: Driven, stopped: Container[str]) -> str:
    """How an arm ended."""
    for status, arms in (("failed", driven.failed), ("dropped", driven.dropped), ("stopped", stopped)):
        if arm in arms:
            return status
    return "complete"


def _unit_row(receipt: reader.UnitReceipt) -> dict[str, object]:
    plain = {name: value for name, value in receipt.facts.items() if not isinstance(value, dict)}
    return {
        "arm": receipt.arm,
        "unit": receipt.unit,
        "num_rows": receipt.num_rows,
        "size_bytes": receipt.size_bytes,
        "scores_digest": receipt.scores_digest,
        "write_s": None,  # not in the file: a unit that an earlier driver saw published has none
        "reused_from": None,
        **plain,
    }


def _mixed_batch_sizes(receipts: Iterable[reader.UnitReceipt]) -> str:
    """Which batch sizes an arm's units were scored with, in words; empty if it is one."""
    sizes = {receipt.facts["batch_size"]: receipt for receipt in receipts}
    if len(sizes) < 2:
        return ""
    places = ", ".join(f"{size} on {receipt.facts['host']}" for size, receipt in sorted(sizes.items()))
    return (
        f"its units were scored with different batch sizes ({places}), because hosts differ in whether its scores "
        "depend on it; let the suite say 'on_wobble: warn' or 'fail', or run it on hosts of one kind"
    )


def _wobble(receipts: Sequence[reader.UnitReceipt]) -> Wobble:
    """How far an arm's scores depend on the batch size: the most that a slot of it has found."""
    return max((Wobble(**receipt.facts["wobble"]) for receipt in receipts), key=lambda each: each.floor)


def _check_coverage(receipts: Mapping[int, reader.UnitReceipt], arm: str, *, num_rows: int, num_units: int) -> None:
    """Every unit is there once, and together they have every row."""
    missing = [unit for unit in range(num_units) if unit not in receipts]
    covered = sum(receipt.num_rows for receipt in receipts.values())
    if missing or covered != num_rows:
        raise RunError(
            f"arm '{arm}': {covered} of {num_rows} rows are in the ledger, units {missing[:5]} are missing; run again"
        )


def _run(experiment: Experiment, dataset: Dataset, import_paths: Sequence[str]) -> Run:
    found = lineage.captured(experiment, import_paths=import_paths)
    environment: dict[str, Any] = dict(found.identity)
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
        label=dataset.label,
        dataset_description=dataset.contract.description,
        dataset_check=dataset.check,
        unit_keys=reuse.unit_keys(experiment, dataset_digest=dataset.digest(), environment=environment),
        lineage=found,
        opened_at=progress.now(),
    )


def _with_lineage(prepared: Prepared, store: Store, *, in_process: bool) -> Run:
    """The run with what its lineage lacks until it begins: where slots live, findings and, if asked for, uncommitted changes."""
    run = prepared.run
    found: dict[str, Any] = {
        **run.lineage.circumstance,
        "executor": executor_name(in_process=in_process),
        dataset_findings.LINEAGE_FIELD: dataset_findings.as_lineage(prepared.findings),
    }
    if run.experiment.store_patch and found["source"]["is_dirty"]:
        found["source"] = {
            **found["source"],
            "patch": writer.keep_patch(store, source.patch(without=lineage.stores_of(run.experiment))),
        }
    return run.model_copy(update={"lineage": run.lineage.model_copy(update={"circumstance": found})})


def executor_name(*, in_process: bool) -> str:
    """Where slots live, as lineages call it."""
    return "in_process" if in_process else "ray"


def _superseding(run: Run) -> Run:
    """The next run of the same experiment: some arms of the last one are not finished, and nothing recorded is changed."""
    name, _, digest = run.run_id.rpartition("-")
    digest, _, repeat = digest.partition(".")
    return run.model_copy(update={"run_id": f"{name}-{digest}.{int(repeat or 1) + 1}", "supersedes": run.run_id})


def _unfinished_arms(store: Store, run_id: str) -> list[str]:
    arms = reader.read_table(store, reader.committed_files(store, run_id), "arms", ["arm", "status"])
    return [row["arm"] for row in arms.to_pylist() if row["status"] in promotion.UNFINISHED]


def _device_class(experiment: Experiment, kind: str, *, in_process: bool) -> str:
    if in_process:
        return device_class(pick_device())
    from cluster.actors import slot_device_class

    return slot_device_class(experiment.resources, kind)


def place(*, in_process: bool, slot_type: type[Slot] | None = None) -> AbstractContextManager[Executor]:
    """Where slots live; None: slots that publish."""
    if in_process:
        return nullcontext(LocalExecutor(slot_type=slot_type))
    session.secure()
    from cluster.remote import ray_executor

    return ray_executor(slot_type)
