"""What a slot reserves of a Ray cluster, how many slots fit into it, and both as text."""

from collections.abc import Iterable, Mapping

import ray

from assay.cluster.errors import RunError
from assay.manifests import Resources


def slot_demand(resources: Resources, accelerator_type: str) -> dict[str, float]:
    """Amounts by Ray's names of resources; empty if a slot reserves nothing."""
    demand = {"CPU": resources.num_cpus, "GPU": resources.num_gpus}
    if accelerator_type:
        demand[f"accelerator_type:{accelerator_type}"] = 0.001  # what Ray itself makes of an accelerator type
    return {name: amount for name, amount in demand.items() if amount > 0}


def num_slots_that_fit(demand: Mapping[str, float]) -> int:
    """How many slots fit into the cluster as it is.

    Raises:
        RunError: None does.
    """
    total = ray.cluster_resources()
    num_slots = min(
        (int(total.get(name, 0.0) / amount + 1e-9) for name, amount in demand.items()),
        default=int(total.get("CPU", 1.0)),
    )
    if num_slots < 1:
        raise RunError(
            f"a slot needs {as_text(demand)}, but the cluster has {as_text(total, only=demand)}; lower "
            "resources.num_cpus or num_gpus, or, if an autoscaler shall add nodes, give resources.max_slots"
        )
    return num_slots


def as_text(amounts: Mapping[str, float], only: Iterable[str] | None = None) -> str:
    """Amounts with their names; of those named in `only`, also what is not there."""
    return " and ".join(f"{amounts.get(name, 0.0):g} {name}" for name in (amounts if only is None else only))
