"""The slot as a Ray actor, and what such actors find."""

from typing import Any

import ray
from ray.exceptions import GetTimeoutError

from assay.cluster.drive.slot import Slot
from assay.evaluator.predictors import device_class, pick_device
from assay.manifests.resources import Resources

# max_restarts=0: the driver makes a new slot itself, since only it knows which units were in hand.
SlotActor: Any = ray.remote(max_restarts=0)(Slot)


def slot_device_class(resources: Resources, accelerator_type: str) -> str:
    """The device class that a slot works on; empty if none comes within `start_timeout_s`.

    Where there may be GPUs it is asked of a process placed as a slot is, since Ray hides them from nobody: a slot that
    reserves none may still work on one. Of a cluster with GPUs of several models it is one of them.

    Args:
        resources: What a slot holds.
        accelerator_type: What it is asked for with; empty: any.
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
