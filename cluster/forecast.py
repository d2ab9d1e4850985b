"""Forecast of a run's time and cost, before anything is started or written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.cluster.cost import projects
from assay.cluster.cost.account import cost
from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.task_result import one_line
from assay.cluster.drive.trial import time_batches
from assay.cluster.on_ray import session
from assay.cluster.pipeline import Prepared
from assay.cluster.prepare import reuse, throughput_history
from assay.cluster.prepare.run_changes import ArmReasons
from assay.cluster.prepare.throughput_history import Pace
from assay.cluster.workers.local_executor import num_local_slots
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.reader import OpenedRun
from assay.manifests import Arm, Experiment
from assay.manifests.forecast import ArmForecast, Forecast
from assay.manifests.spent import Spent

_NUM_BATCHES = 4
_TRIALS_S = 30.0
"""Seconds of trials after which an arm whose entrypoint has been timed reuses that timing."""


def forecast(prepared: Prepared, *, in_process: bool, reuses: bool = True) -> Forecast:
    """Forecasts the time and cost of a prepared run. Reads the ledger and writes nothing.

    Arms that earlier runs have scored are assumed to take as long as there. Of each other arm a few batches are timed in
    this process, on its device; on the machines of a cluster they may take more or less time.

    Args:
        prepared: The run.
        in_process: Whether the run would have its only slot in this process.
        reuses: Whether the run would reuse units of other runs.
    """
    run, experiment, store = prepared.run, prepared.run.experiment, prepared.store
    past = prepared.past
    reasons = ArmReasons(run, past, store)
    units = {arm.name: _units(prepared, arm.name, past, reuses=reuses, reasons=reasons) for arm in experiment.arms}
    paces = throughput_history.paces(run, past)
    timed, problems = _timed(prepared, [arm for arm in units if units[arm].left and arm not in paces])
    paces |= timed
    arms = tuple(
        _arm_forecast(prepared, arm, units[arm.name], pace=paces.get(arm.name), problem=problems.get(arm.name, ""))
        for arm in experiment.arms
    )
    spent = sum((Spent(slot_s=arm.slot_s, gpu_s=arm.gpu_s, price=arm.price) for arm in arms), start=Spent())
    num_slots, slots_known = _slots(experiment, arms, in_process=in_process)
    openings = sum(_openings(experiment, arm) for arm in arms)
    longest_s = max((arm.slot_s / max(_openings(experiment, arm), 1) for arm in arms), default=0.0)
    total = projects.spent_before(store, run) + spent
    budget = projects.budget_check(run, past)
    return Forecast(
        run_id=run.run_id,
        committed=prepared.committed,
        num_units=prepared.num_units,
        num_rows=prepared.dataset.num_rows,
        num_slots=num_slots,
        slots_known=slots_known,
        num_waves=-(-openings // num_slots) if num_slots else 0,
        slot_hours=spent.slot_s / 3600,
        gpu_hours=spent.gpu_s / 3600,
        price=spent.price,
        wall_s=max(spent.slot_s / num_slots, longest_s) if num_slots else 0.0,
        is_complete=not any(arm.problem for arm in arms),
        in_a_race=experiment.race is not None,
        exceeds=budget.exceeded(total),
        warnings=tuple(budget.warnings(total).values()),
        arms=arms,
    )


@dataclass(frozen=True)
class _Units:
    """Units of one arm.

    Attributes:
        num_done: Units that this run already has in the ledger.
        num_reused: Units that other runs have scored.
        reason: Why it has to be scored, or which run has scored it.
        left: Indices of the units that remain to be evaluated.
    """

    num_done: int
    num_reused: int
    reason: str
    left: tuple[int, ...]


def _units(prepared: Prepared, arm: str, past: Sequence[OpenedRun], *, reuses: bool, reasons: ArmReasons) -> _Units:
    run, store = prepared.run, prepared.store
    stored = set(reader.stored_units(store, run.run_id, arm))
    known = reuse.available(run, arm, store=store, sources=past)
    reused = {unit: source for unit, source in known.items() if unit not in stored} if reuses else dict[int, str]()
    left = [index for index in range(prepared.num_units) if index not in stored and index not in reused]
    texts = [f"{len(stored)} units are in the ledger"] if stored else []
    if reused:
        texts.append(f"reused from run {', '.join(sorted(set(reused.values())))}")
    if left and known and not reuses:
        texts.append("scored again, because of --no-reuse")
    elif left:
        texts.append(reasons.of(arm))
    return _Units(len(stored), len(reused), "; ".join(texts), () if prepared.committed else tuple(left))


def _arm_forecast(prepared: Prepared, arm: Arm, units: _Units, *, pace: Pace | None, problem: str) -> ArmForecast:
    experiment = prepared.run.experiment
    resources = experiment.resources
    num_rows = sum(prepared.units[unit].num_rows for unit in units.left)
    pace = pace if units.left else None
    seconds = 0.0
    if pace is not None:
        seconds = num_rows * pace.seconds_per_row + min(resources.replicas, len(units.left)) * pace.setup_s
    spent = cost(
        seconds,
        num_cpus=resources.num_cpus,
        num_gpus=resources.num_gpus,
        accelerator_type=arm.accelerator_type or "",
        prices=experiment.prices,
    )
    return ArmForecast(
        arm=arm.name,
        num_units_done=units.num_done,
        num_units_reused=units.num_reused,
        num_units_left=len(units.left),
        num_rows_left=num_rows,
        reason=units.reason,
        seconds_per_row=None if pace is None else pace.seconds_per_row,
        setup_s=None if pace is None else pace.setup_s,
        source="" if pace is None else pace.source,
        slot_s=spent.slot_s,
        gpu_s=spent.gpu_s,
        price=spent.price,
        problem=problem,
    )


def _openings(experiment: Experiment, arm: ArmForecast) -> int:
    return min(arm.num_units_left, experiment.resources.replicas)


def _slots(experiment: Experiment, arms: Sequence[ArmForecast], *, in_process: bool) -> tuple[int, bool]:
    """The number of concurrent slots, and whether it is known."""
    most = sum(_openings(experiment, arm) for arm in arms)
    if in_process:
        return min(most, 1), True
    if not session.has_cluster():
        return min(most, num_local_slots(experiment.resources)), True
    bound = experiment.resources.max_slots
    return (most, most == 0) if bound is None else (min(most, bound), True)


def _timed(prepared: Prepared, arms: Sequence[str]) -> tuple[dict[str, Pace], dict[str, str]]:
    """Times a few batches of arms that no run has scored. Returns paces, and the error of each arm that failed."""
    paces: dict[str, Pace] = {}
    problems: dict[str, str] = {}
    if not arms:
        return paces, problems
    entrypoints = {arm.name: arm.variant.entrypoint for arm in prepared.run.experiment.arms}
    by_code: dict[str, Pace] = {}
    scorer = ArmScorer(prepared.run, prepared.import_paths)
    began_s = time.monotonic()
    try:
        for arm in sorted(arms, key=_first_of_its_code(arms, entrypoints).__getitem__):
            code = entrypoints[arm]
            if code in by_code and time.monotonic() - began_s > _TRIALS_S:
                paces[arm] = by_code[code]
                continue
            try:
                trial = time_batches(scorer, arm, num_batches=_NUM_BATCHES)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001  # a variant's code may raise anything
                problems[arm] = one_line(error)
                continue
            seconds_per_row = trial.seconds / trial.num_rows
            source = f"{trial.num_rows} rows timed in this process on {trial.device}"
            paces[arm] = Pace(seconds_per_row, trial.setup_s, source)
            by_code.setdefault(code, Pace(seconds_per_row, trial.setup_s, f"{source}, arm '{arm}'"))
    finally:
        scorer.close()
    return paces, problems


def _first_of_its_code(arms: Sequence[str], entrypoints: Mapping[str, str]) -> dict[str, int]:
    """Sort keys that put one arm of every entrypoint before the second of any."""
    seen: dict[str, int] = {}
    position = {}
    for arm in arms:
        position[arm] = seen[entrypoints[arm]] = seen.get(entrypoints[arm], -1) + 1
    return position
