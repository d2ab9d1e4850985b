"""What slots cost, from when each is ready until it is gone, and whether that is more than a budget allows."""

import time
from collections.abc import Callable

from manifests import Budget, Prices, Resources
from manifests.ledger import Spent

_HOUR_S = 3600.0


class Spending:
    """A running account of one driver's slots."""

    def __init__(self, resources: Resources, prices: Prices, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts at nothing."""
        self._resources, self._prices, self._clock = resources, prices, clock
        self._settled = Spent()
        self._ready_at_s: dict[str, tuple[str, float]] = {}

    def ready(self, slot: str, kind: str) -> None:
        """From now on the slot costs what one of its accelerator type does."""
        self._ready_at_s[slot] = (kind, self._clock())

    def gone(self, slot: str) -> None:
        """The slot costs nothing any more."""
        if slot in self._ready_at_s:
            self._settled += self._until_now(slot)
            del self._ready_at_s[slot]

    def spent(self) -> Spent:
        """What all slots have cost until now."""
        return sum(map(self._until_now, self._ready_at_s), start=self._settled)

    def cost(self, kind: str, seconds: float) -> Spent:
        """What a slot of an accelerator type costs in so many seconds."""
        held = self._resources
        return cost(seconds, num_cpus=held.num_cpus, num_gpus=held.num_gpus, kind=kind, prices=self._prices)

    def _until_now(self, slot: str) -> Spent:
        kind, ready_at_s = self._ready_at_s[slot]
        return self.cost(kind, self._clock() - ready_at_s)


def cost(seconds: float, *, num_cpus: float, num_gpus: float, kind: str, prices: Prices) -> Spent:
    """What it costs to hold CPU cores, and GPUs of an accelerator type (empty: any), for so many seconds."""
    gpu_hour = prices.gpu_hour_by_type.get(kind, prices.gpu_hour)
    cpu_s, gpu_s = seconds * num_cpus, seconds * num_gpus
    return Spent(slot_s=seconds, cpu_s=cpu_s, gpu_s=gpu_s, price=(cpu_s * prices.cpu_hour + gpu_s * gpu_hour) / _HOUR_S)


def exceeded(budget: Budget | None, spent: Spent) -> str:
    """Which bound is spent, in words; empty if none is."""
    if budget is None:
        return ""
    for name, bound, found in (
        ("slot_hours", budget.slot_hours, spent.slot_s / _HOUR_S),
        ("gpu_hours", budget.gpu_hours, spent.gpu_s / _HOUR_S),
        ("price", budget.price, spent.price),
    ):
        if bound is not None and found >= bound:
            return f"the budget is spent: budget.{name} is {bound:g}, and {found:.4g} is gone"
    return ""
