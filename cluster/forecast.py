"""Forecast of a run's time and cost, before anything is started or written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.cluster.cost import projects
from assay.cluster.cost.account import cost
from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.task_result import one_line
from assay.cluster.drive.trial import time_batches
from assay.cluster.pipeline import Prepared
from assay.cluster.prepare import reuse, throughput_history
from assay.cluster.prepare.throughput_history import Pace
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.reader import OpenedRun
from assay.manifests import Arm, Experiment
from assay.manifests.spent import Spent

_NUM_BATCHES = 4
_TRIALS_S = 30.0
"""Seconds of trials after which an arm whose entrypoint has been timed reuses that timing."""


@dataclass(frozen=True)
class ArmForecast:
    """Forecast of one arm.

    Attributes:
        arm: The arm's name.
        num_units_there: Units that this run already has in the ledger.
        num_units_reused: Units with the same keys that other runs have scored. Whether those were scored on the same
            class of device is checked only when the run reuses them.
        num_units: Units that remain to be evaluated.
        num_rows: Rows in those units.
        seconds_per_row: Slot-seconds per row; None if unknown or nothing remains.
        setup_s: Seconds to load and probe the variant, once per slot; None if unknown or nothing remains.
        source: Where the two times come from: an earlier run, or a trial in this process.
        slot_s: Forecast slot-seconds.
        gpu_s: Forecast GPU-seconds.
        price: Forecast price, by the experiment's prices.
        problem: Why the arm could not be forecast; empty if it could.
    """

    arm: str
    num_units_there: int
    num_units_reused: int
    num_units: int
    num_rows: int
    seconds_per_row: float | None
    setup_s: float | None
    source: str
    slot_s: float
    gpu_s: float
    price: float
    problem: str = ""


@dataclass(frozen=True)
class Forecast:
    """Forecast of a run.

    Attributes:
        run_id: ID of the run.
        committed: Whether the run is already committed in the ledger.
        num_units: Units per arm.
        num_rows: Rows per arm.
        num_slots: Number of concurrent slots.
        slots_known: False if the cluster decides how many slots start; `num_slots` is then one for all pending work.
        num_waves: Number of arms (with replicas: shares of arms) that each slot works through, rounded up.
        slot_hours: Slot-hours.
        gpu_hours: GPU-hours.
        price: Price, by the experiment's prices.
        wall_s: Seconds from the start of the first slot to the end of the last, with `num_slots` slots.
        is_complete: Whether every arm could be forecast. If not, the totals lack some arms.
        in_a_race: Whether a race may eliminate arms early, which makes all totals upper bounds.
        exceeds: Message about the budget limit that the run would reach; empty if none.
        warnings: Messages about the budget warnings that the run would trigger.
        arms: Forecasts of the arms, in the experiment's order.
    """

    run_id: str
    committed: bool
    num_units: int
    num_rows: int
    num_slots: int
    slots_known: bool
    num_waves: int
    slot_hours: float
    gpu_hours: float
    price: float
    wall_s: float
    is_complete: bool
    in_a_race: bool
    exceeds: str
    warnings: tuple[str, ...]
    arms: tuple[ArmForecast, ...]

    def to_json(self) -> dict[str, Any]:
        """The forecast as plain JSON values."""
        return {**asdict(self), "warnings": list(self.warnings), "arms": [asdict(arm) for arm in self.arms]}


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
    units = {arm.name: _units(prepared, arm.name, past, reuses=reuses) for arm in experiment.arms}
    paces = throughput_history.paces(store, run, runs=past)
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
    budget = projects.budget_check(store, run, runs=past)
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
        num_there: Units that this run already has in the ledger.
        num_reused: Units that other runs have scored.
        left: Indices of the units that remain to be evaluated.
    """

    num_there: int
    num_reused: int
    left: tuple[int, ...]


def _units(prepared: Prepared, arm: str, past: Sequence[OpenedRun], *, reuses: bool) -> _Units:
    run, store = prepared.run, prepared.store
    stored = set(reader.stored_units(store, run.run_id, arm))
    reused = reuse.available(run, arm, store=store, sources=past) - stored if reuses else set[int]()
    left = [index for index in range(prepared.num_units) if index not in stored | reused]
    return _Units(len(stored), len(reused), () if prepared.committed else tuple(left))


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
        num_units_there=units.num_there,
        num_units_reused=units.num_reused,
        num_units=len(units.left),
        num_rows=num_rows,
        seconds_per_row=None if pace is None else pace.seconds_per_row,
        setup_s=None if pace is None else pace.setup_s,
        source="" if pace is None else pace.source,
        slot_s=spent.slot_s,
        gpu_s=spent.gpu_s,
        price=spent.price,
        problem=problem,
    )


def _openings(experiment: Experiment, arm: ArmForecast) -> int:
    return min(arm.num_units, experiment.resources.replicas)


def _slots(experiment: Experiment, arms: Sequence[ArmForecast], *, in_process: bool) -> tuple[int, bool]:
    """The number of concurrent slots, and whether it is known."""
    most = sum(_openings(experiment, arm) for arm in arms)
    if in_process:
        return min(most, 1), True
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
            except Exception as error:  # noqa: BLE001  # a variant's code may raise anything
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
