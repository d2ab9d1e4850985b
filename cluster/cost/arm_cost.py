"""What each arm's scores have cost: the slot time of its units, at the price of what those slots reserved."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assay.cluster.cost.account import cost
from assay.evaluator.conditions import Conditions
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests import Prices
from assay.manifests.analysis import Analysis
from assay.manifests.policy import POINT
from assay.manifests.run_report import ComparedCost, RunCost
from assay.manifests.spent import Spent


def arm_cost(receipts: Iterable[UnitReceipt], prices: Prices) -> dict[str, float]:
    """What one arm has cost, as columns of the arms table.

    Failed attempts and the start-up and idle time of slots are not charged to arms; the table `spending` has them in
    the run's total.

    Args:
        receipts: Receipts of the arm's units in the ledger.
        prices: What resources cost per hour.

    Returns:
        slot_s, cpu_s, gpu_s, price: for units evaluated in this run, slot-seconds, the seconds of CPU cores and GPUs
        that they reserved, and their price. one_off_slot_s, one_off_cpu_s, one_off_gpu_s, one_off_price: the part of
        it that does not grow with the number of rows: loading and probing. cpu_used_s: CPU seconds that they used. bytes_fetched: bytes of shards
        that their processes read. num_rows_evaluated: their rows. reused_slot_s, reused_cpu_s, reused_gpu_s,
        reused_price: what scoring reused units, without loading and probing, had cost in the runs that evaluated
        them, at this experiment's prices.
    """
    evaluated, one_off, reused = Spent(), Spent(), Spent()
    num_rows, bytes_fetched, cpu_used_s = 0, 0, 0.0
    for receipt in receipts:
        conditions, reuse, attempt = receipt.facts.conditions, receipt.facts.reuse, receipt.facts.attempt
        if reuse is not None:
            reused += _unit_cost(conditions, reuse.slot_s, prices)
        if attempt is not None:
            evaluated += _unit_cost(conditions, attempt.slot_s, prices)
            one_off += _unit_cost(conditions, attempt.one_off_s, prices)
            num_rows += receipt.num_rows
            bytes_fetched += attempt.timing.bytes_fetched
            cpu_used_s += attempt.preparation.load_cpu_s + attempt.timing.cpu_s + (attempt.write_cpu_s or 0.0)
    return {
        **evaluated.model_dump(),
        **{f"one_off_{name}": value for name, value in one_off.model_dump().items()},
        **{f"reused_{name}": value for name, value in reused.model_dump().items()},
        "cpu_used_s": cpu_used_s,
        "bytes_fetched": bytes_fetched,
        "num_rows_evaluated": num_rows,
    }


def run_cost(arms: Sequence[Mapping[str, Any]], analysis: Analysis, *, spent: Spent) -> RunCost:
    """What a run has cost, and its arms compared with the control, and per point of improvement.

    Arms are compared by what scoring their rows has cost. Loading and probing are left out: they do not grow with the
    number of rows, and the first arm of a slot also pays for the first use of each library. Reused units count with
    what their scoring had cost originally, so reuse does not make an arm look cheaper.

    Args:
        arms: The rows of the arms table.
        analysis: The planned analysis.
        spent: What all slots of the run have cost.
    """
    quantity = "price" if any(scoring_cost(row, "price") for row in arms) else "slot_s"
    costs = {row["arm"]: scoring_cost(row, quantity) for row in arms}
    control = analysis.control
    complete = {row["arm"] for row in arms if row["status"] == "complete"}
    improvements = {
        each.arm: each.estimate if analysis.direction == "higher" else -each.estimate
        for each in analysis.comparisons
        if each.reference == control and each.estimate is not None
    }
    compared_arms = []
    for arm, its_cost in costs.items():
        points = improvements[arm] / POINT if arm in improvements else None
        is_comparable = arm in complete and control in complete
        compared_arms.append(
            ComparedCost(
                arm=arm,
                cost=its_cost,
                ratio_to_control=its_cost / costs[control] if is_comparable and costs[control] else None,
                points=points,
                cost_per_point=its_cost / points if arm in complete and points is not None and points > 0 else None,
            )
        )
    return RunCost(spent=spent, quantity=quantity, arms=tuple(compared_arms))


def scoring_cost(arm: Mapping[str, Any], quantity: str) -> float:
    """What scoring an arm's rows has cost, without loading and probing, in this run or in the run that it is reused from.

    Args:
        arm: A row of the arms table.
        quantity: `price`, `slot_s`, `cpu_s` or `gpu_s`.
    """
    return arm[quantity] - arm[f"one_off_{quantity}"] + arm[f"reused_{quantity}"]


def _unit_cost(conditions: Conditions, seconds: float, prices: Prices) -> Spent:
    return cost(
        seconds,
        num_cpus=conditions.num_cpus,
        num_gpus=conditions.num_gpus,
        accelerator_type=conditions.accelerator_type,
        prices=prices,
    )
