"""Estimate: what a run would take, before anything of it is begun or written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.cluster.cost import projects
from assay.cluster.cost.account import Allowance, cost
from assay.cluster.cost.projects import told_spent
from assay.cluster.drive.slot import Slot
from assay.cluster.pipeline import Prepared
from assay.cluster.prepare import reuse, throughput_history
from assay.cluster.prepare.throughput_history import Pace
from assay.evaluator.ledger import reader
from assay.manifests import Experiment
from assay.manifests.spent import Spent

_NUM_BATCHES = 4
_PROBING_S = 30.0
"""After so many seconds only code of which nothing is known yet is still probed."""


@dataclass(frozen=True)
class ArmEstimate:
    """What one arm would take.

    Attributes:
        arm: Its name.
        num_units_there: Units that this run has in the ledger.
        num_units_reused: Units that other runs have scored, by their keys; whether they were scored on the same
            kind of device is seen only when they are taken over.
        num_units: Units that are to be evaluated.
        num_rows: Their rows.
        seconds_per_row: Of a slot.
        setup_s: Seconds for loading and probing it, once a slot.
        source: Where these are from.
        slot_s: Seconds of slots that it would take.
        gpu_s: Seconds of GPUs.
        price: What that costs.
        problem: Why nothing can be said; empty if it can.
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
class Estimate:
    """What a run would take.

    Attributes:
        run_id: The run.
        committed: Whether the ledger has all of it already.
        num_units: Units per arm.
        num_rows: Rows per arm.
        num_slots: Slots at once.
        slots_known: False if that is as many as have work, since only the cluster knows for how many it has room.
        num_waves: How often each slot takes an arm.
        slot_hours: Hours of slots.
        gpu_hours: Hours of GPUs.
        price: What it costs by the experiment's prices.
        wall_s: Seconds from the first slot's start to the last one's end, with that many slots.
        is_complete: Whether every arm's share is in these numbers.
        in_a_race: Whether arms may be dropped early, which makes all of it upper bounds.
        exceeds: The hard bounds that it would pass, in words.
        warnings: The soft bounds that it would pass, in words.
        arms: Arm by arm, in the experiment's order.
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
    arms: tuple[ArmEstimate, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "warnings": list(self.warnings), "arms": [asdict(arm) for arm in self.arms]}


def estimate(prepared: Prepared, *, in_process: bool, reuses: bool = True) -> Estimate:
    """What a prepared run would take. Reads the ledger and writes nothing there.

    Arms that earlier runs know take as long as they did there. Of the others a few batches are evaluated in this
    process, on its device: on a cluster's machines they may take another time.

    Args:
        prepared: The run.
        in_process: Whether it would have its one slot in this process.
        reuses: Whether it would take over units of other runs.
    """
    run, experiment, store = prepared.run, prepared.run.experiment, prepared.store
    past = reader.opened_runs(store)
    to_do: dict[str, tuple[int, int, list[int]]] = {}
    for arm in experiment.arms:
        there = set(reader.stored_units(store, run.run_id, arm.name))
        reused = reuse.available(run, arm.name, store=store, sources=past) - there if reuses else set[int]()
        left = [index for index in range(prepared.num_units) if index not in there | reused]
        to_do[arm.name] = (len(there), len(reused), [] if prepared.committed else left)
    unknown = [arm for arm, (_, _, left) in to_do.items() if left]
    paces = throughput_history.paces(store, run, runs=past)
    probed, problems = _probed(prepared, [arm for arm in unknown if arm not in paces])
    paces |= probed
    arms = tuple(
        _arm(prepared, index, *to_do[arm.name], paces.get(arm.name), problems.get(arm.name, ""))
        for index, arm in enumerate(experiment.arms)
    )
    spent = sum((Spent(slot_s=arm.slot_s, gpu_s=arm.gpu_s, price=arm.price) for arm in arms), start=Spent())
    num_slots, slots_known = _slots(experiment, arms, in_process=in_process)
    openings = sum(_openings(experiment, arm) for arm in arms)
    longest_s = max((arm.slot_s / max(_openings(experiment, arm), 1) for arm in arms), default=0.0)
    before = told_spent(store, run.run_id) or told_spent(store, run.supersedes or run.run_id) or Spent()
    allowance = Allowance(
        experiment.budget,
        experiment.project or "",
        experiment.project_budget,
        projects.spent_elsewhere(store, run, runs=past),
    )
    return Estimate(
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
        exceeds=allowance.exceeded(before + spent),
        warnings=tuple(allowance.warnings(before + spent).values()),
        arms=arms,
    )


def _arm(
    prepared: Prepared,
    index: int,
    num_there: int,
    num_reused: int,
    left: Sequence[int],
    pace: Pace | None,
    problem: str,
) -> ArmEstimate:
    experiment = prepared.run.experiment
    arm, held = experiment.arms[index], experiment.resources
    num_rows = sum(prepared.units[unit].num_rows for unit in left)
    seconds = 0.0
    if left and pace is not None:
        seconds = num_rows * pace.seconds_per_row + min(held.replicas, len(left)) * pace.setup_s
    spent = cost(
        seconds,
        num_cpus=held.num_cpus,
        num_gpus=held.num_gpus,
        kind=arm.accelerator_type or "",
        prices=experiment.prices,
    )
    return ArmEstimate(
        arm=arm.name,
        num_units_there=num_there,
        num_units_reused=num_reused,
        num_units=len(left),
        num_rows=num_rows,
        seconds_per_row=pace.seconds_per_row if left and pace is not None else None,
        setup_s=pace.setup_s if left and pace is not None else None,
        source=pace.source if left and pace is not None else "",
        slot_s=spent.slot_s,
        gpu_s=spent.gpu_s,
        price=spent.price,
        problem=problem,
    )


def _openings(experiment: Experiment, arm: ArmEstimate) -> int:
    return min(arm.num_units, experiment.resources.replicas)


def _slots(experiment: Experiment, arms: Sequence[ArmEstimate], *, in_process: bool) -> tuple[int, bool]:
    """How many slots there would be at once, and whether that is known."""
    most = sum(_openings(experiment, arm) for arm in arms)
    if in_process:
        return min(most, 1), True
    bound = experiment.resources.max_slots
    return (most, most == 0) if bound is None else (min(most, bound), True)


def _probed(prepared: Prepared, arms: Sequence[str]) -> tuple[dict[str, Pace], dict[str, str]]:
    """The pace of arms of which no run knows, from a few batches here, and why there is none for the others."""
    found: dict[str, Pace] = {}
    problems: dict[str, str] = {}
    if not arms:
        return found, problems
    entrypoints = {arm.name: arm.variant.entrypoint for arm in prepared.run.experiment.arms}
    by_code: dict[str, Pace] = {}
    slot = Slot("probe", prepared.run.model_dump_json(), prepared.import_paths)
    began_s = time.monotonic()
    try:
        for arm in sorted(arms, key=_first_of_its_code(arms, entrypoints).__getitem__):
            code = entrypoints[arm]
            if code in by_code and time.monotonic() - began_s > _PROBING_S:
                found[arm] = by_code[code]
                continue
            took = slot.rehearse(arm, num_batches=_NUM_BATCHES)
            if isinstance(took, str):
                problems[arm] = took
                continue
            words = f"{took.num_rows} rows probed in this process on {took.device}"
            found[arm] = Pace(took.seconds / took.num_rows, took.setup_s, words)
            by_code.setdefault(code, Pace(took.seconds / took.num_rows, took.setup_s, f"{words}, arm '{arm}'"))
    finally:
        slot.close()
    return found, problems


def _first_of_its_code(arms: Sequence[str], entrypoints: Mapping[str, str]) -> dict[str, int]:
    """Orders arms so that every code is probed once before any is twice."""
    seen: dict[str, int] = {}
    turn = {}
    for arm in arms:
        turn[arm] = seen[entrypoints[arm]] = seen.get(entrypoints[arm], -1) + 1
    return turn
