"""What each arm's scores have cost: the time that its units kept slots, priced by what those slots held."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assay.cluster.cost.account import cost
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests import Prices
from assay.manifests.policy import POINT
from assay.manifests.spent import Spent


def arm_cost(receipts: Iterable[UnitReceipt], prices: Prices) -> dict[str, float]:
    """What one arm has cost, as its row of the arms table says it.

    Failed tries, the starts of slots and their waits are no arm's: the spending table has them in the run's total.

    Args:
        receipts: Of the arm's units that are in the ledger.
        prices: What slots cost an hour.

    Returns:
        slot_s, cpu_s, gpu_s, price: of units that were evaluated for this run: seconds of slots, of the CPU cores
        and GPUs that they reserved, and the price of that. cpu_used_s: CPU seconds that they have used. bytes_fetched:
        bytes of shards that their processes have read. num_rows_evaluated: their rows. reused_slot_s, reused_cpu_s,
        reused_gpu_s, reused_price: what the units that were reused had cost in the runs that evaluated them, at
        this experiment's prices.
    """
    ours, theirs = Spent(), Spent()
    num_rows, bytes_fetched, cpu_used_s = 0, 0, 0.0
    for receipt in receipts:
        facts = receipt.facts
        if receipt.is_reused:
            theirs += _unit_cost(facts, facts.get("reused_slot_s", 0.0), prices)
            continue
        ours += _unit_cost(facts, receipt.slot_s, prices)
        num_rows += receipt.num_rows
        bytes_fetched += facts.get("bytes_fetched", 0)
        cpu_used_s += sum(facts.get(name, 0.0) for name in ("load_cpu_s", "cpu_s", "write_cpu_s"))
    return {
        **ours.model_dump(),
        **{f"reused_{name}": value for name, value in theirs.model_dump().items()},
        "cpu_used_s": cpu_used_s,
        "bytes_fetched": bytes_fetched,
        "num_rows_evaluated": num_rows,
    }


def compared(
    arms: Sequence[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]], *, control: str, direction: str
) -> dict[str, Any]:
    """What arms cost beside the control, and for each point that they are better.

    An arm's cost is that of all its scores, whoever has evaluated them first, so that an arm that was reused from
    another run is no cheaper than it was there.

    Args:
        arms: The rows of the arms table.
        comparisons: Those of the planned analysis, of the primary metric.
        control: The control's name.
        direction: Whether `higher` or `lower` is better.

    Returns:
        unit: `price` where prices are given, else `slot_s`. arms: per arm its cost in that unit, the ratio to the
        control's, its improvement of the primary metric in points, and its cost per point; null where the arm is
        not whole or no better.
    """
    unit = "price" if any(_whole_cost(row, "price") for row in arms) else "slot_s"
    costs = {row["arm"]: _whole_cost(row, unit) for row in arms}
    whole = {row["arm"] for row in arms if row["status"] == "complete"}
    better = {
        row["arm"]: row["estimate"] if direction == "higher" else -row["estimate"]
        for row in comparisons
        if row["reference"] == control and row["estimate"] is not None
    }
    found = []
    for arm, spent in costs.items():
        points = better[arm] / POINT if arm in better else None
        is_comparable = arm in whole and control in whole
        found.append(
            {
                "arm": arm,
                "cost": spent,
                "ratio_to_control": spent / costs[control] if is_comparable and costs[control] else None,
                "points": points,
                "cost_per_point": spent / points if arm in whole and points is not None and points > 0 else None,
            }
        )
    return {"unit": unit, "control": control, "arms": found}


def _whole_cost(arm: Mapping[str, Any], unit: str) -> float:
    return arm[unit] + arm[f"reused_{unit}"]


def _unit_cost(facts: Mapping[str, Any], seconds: float, prices: Prices) -> Spent:
    return cost(
        seconds,
        num_cpus=facts.get("num_cpus", 0.0),
        num_gpus=facts.get("num_gpus", 0.0),
        accelerator_type=facts.get("accelerator_type", ""),
        prices=prices,
    )
