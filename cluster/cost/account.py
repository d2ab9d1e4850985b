"""What slots cost, from when each becomes ready until it ends."""

import time

from assay.manifests import Prices, Resources
from assay.manifests.spent import Spent

_HOUR_S = 3600.0


class SlotAccount:
    """A running account of one driver's slots."""

    def __init__(self, resources: Resources, prices: Prices) -> None:
        """Starts with no slots and no cost."""
        self._resources, self._prices = resources, prices
        self._settled = Spent()
        self._ready_at_s: dict[str, tuple[str, float]] = {}

    def slot_ready(self, slot: str, accelerator_type: str) -> None:
        """Starts charging for the slot at the rate of its accelerator type."""
        self._ready_at_s[slot] = (accelerator_type, time.monotonic())

    def slot_gone(self, slot: str) -> None:
        """Stops charging for the slot."""
        if slot in self._ready_at_s:
            self._settled += self._until_now(slot)
            del self._ready_at_s[slot]

    def spent(self) -> Spent:
        """What all slots have cost so far."""
        return sum(map(self._until_now, self._ready_at_s), start=self._settled)

    def cost(self, accelerator_type: str, seconds: float) -> Spent:
        """What a slot of an accelerator type costs for this many seconds."""
        return cost(
            seconds,
            num_cpus=self._resources.num_cpus,
            num_gpus=self._resources.num_gpus,
            accelerator_type=accelerator_type,
            prices=self._prices,
        )

    def _until_now(self, slot: str) -> Spent:
        accelerator_type, ready_at_s = self._ready_at_s[slot]
        return self.cost(accelerator_type, time.monotonic() - ready_at_s)


def cost(seconds: float, *, num_cpus: float, num_gpus: float, accelerator_type: str, prices: Prices) -> Spent:
    """What it costs to reserve CPU cores, and GPUs of an accelerator type (empty: any), for this many seconds."""
    gpu_hour = prices.gpu_hour_by_type.get(accelerator_type, prices.gpu_hour)
    cpu_s, gpu_s = seconds * num_cpus, seconds * num_gpus
    return Spent(slot_s=seconds, cpu_s=cpu_s, gpu_s=gpu_s, price=(cpu_s * prices.cpu_hour + gpu_s * gpu_hour) / _HOUR_S)
