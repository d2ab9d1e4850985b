"""The slot as a Ray actor, and what such actors find."""

import ray
from ray.exceptions import GetTimeoutError

from cluster.slot import Slot
from evaluator.predictors import device_class, pick_device
from manifests.resources import Resources

_DEVICE_TIMEOUT_S = 120.0

# max_restarts=0: the driver makes a new slot itself, since only it knows which units were in hand.
SlotActor = ray.remote(max_restarts=0)(Slot)


def slot_device_class(resources: Resources) -> str:
    """The device class that a slot with these resources works on; empty if no such slot can be had soon.

    Where there are GPUs it is asked of a process placed as a slot is, since Ray hides them from nobody: a slot that
    reserves none may still work on one. Of a cluster with GPUs of several models it is one of them.
    """
    if not ray.cluster_resources().get("GPU", 0.0):
        return "cpu"
    ask = ray.remote(num_cpus=resources.num_cpus, num_gpus=resources.num_gpus)(lambda: device_class(pick_device()))
    answer = ask.remote()
    try:
        return ray.get(answer, timeout=_DEVICE_TIMEOUT_S)
    except GetTimeoutError:
        ray.cancel(answer)
        return ""
