"""The slot as a Ray actor, and the device class that such actors get."""

from typing import Any

import ray
from ray.exceptions import GetTimeoutError

from assay.cluster.drive.slot import Slot
from assay.evaluator.predictors import device_class, pick_device
from assay.manifests.resources import Resources

# max_restarts=0: the driver restarts slots itself, since only it knows which units were in flight.
SlotActor: Any = ray.remote(max_restarts=0)(Slot)


def slot_device_class(resources: Resources, accelerator_type: str) -> str:
    """The device class that a slot works on; empty if no slot becomes ready within `start_timeout_s`.

    If the cluster has GPUs, a Ray task that is placed like a slot reports it, because a slot that reserves no GPU may
    still see one. On a cluster with several GPU models, the result is one of them.

    Args:
        resources: What a slot reserves.
        accelerator_type: The accelerator type that is requested for it; empty: any.
    """
    if not resources.num_gpus and not ray.cluster_resources().get("GPU", 0.0):
        return "cpu"
    options: dict[str, Any] = {"num_cpus": resources.num_cpus, "num_gpus": resources.num_gpus}
    options |= {"accelerator_type": accelerator_type} if accelerator_type else {}
    answer = ray.remote(**options)(lambda: device_class(pick_device())).remote()
    try:
        return ray.get(answer, timeout=resources.start_timeout_s)
    except GetTimeoutError:
        ray.cancel(answer)
        return ""
