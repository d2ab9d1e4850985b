"""What a slot reserves on a Ray cluster, and how many slots fit into it."""

from collections.abc import Iterable, Mapping

import ray

from assay.cluster.errors import RunError
from assay.manifests import Resources


def slot_demand(resources: Resources, accelerator_type: str) -> dict[str, float]:
    """The amounts that a slot reserves, by Ray's resource names; empty if it reserves nothing."""
    demand = {"CPU": resources.num_cpus, "GPU": resources.num_gpus}
    if accelerator_type:
        demand[f"accelerator_type:{accelerator_type}"] = 0.001  # how Ray itself represents an accelerator type
    return {name: amount for name, amount in demand.items() if amount > 0}


def num_slots_that_fit(demand: Mapping[str, float]) -> int:
    """How many slots fit into the cluster's present nodes.

    Raises:
        RunError: Not even one fits.
    """
    total = ray.cluster_resources()
    num_slots = min(
        (int(total.get(name, 0.0) / amount + 1e-9) for name, amount in demand.items()),
        default=int(total.get("CPU", 1.0)),
    )
    if num_slots < 1:
        raise RunError(
            f"a slot needs {as_text(demand)}, but the cluster has {as_text(total, only=demand)}; lower "
            "resources.num_cpus or num_gpus, or set resources.max_slots if an autoscaler can add nodes"
        )
    return num_slots


def as_text(amounts: Mapping[str, float], only: Iterable[str] | None = None) -> str:
    """Amounts with their names, such as `2 CPU and 1 GPU`.

    Args:
        amounts: Amounts by resource name.
        only: The names to show, 0 where there is no amount; None: all in `amounts`.
    """
    return " and ".join(f"{amounts.get(name, 0.0):g} {name}" for name in (amounts if only is None else only))
