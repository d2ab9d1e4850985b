"""What slots cost, from when each is ready until it is gone, and whether that is more than budgets allow."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.manifests import Budget, Prices, Resources
from assay.manifests.spent import Spent

_HOUR_S = 3600.0

SPENT = "is spent"
"""What the reason says of the budget that has stopped a run."""


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


@dataclass(frozen=True)
class Allowance:
    """What a run may spend: no more than its own budget, nor than other runs leave of its project's.

    Attributes:
        budget: The run's.
        project: The project's name; empty if it has none.
        project_budget: The project's.
        elsewhere: What other runs of the project have cost.
    """

    budget: Budget | None = None
    project: str = ""
    project_budget: Budget | None = None
    elsewhere: Spent = field(default_factory=Spent)

    def exceeded(self, spent: Spent) -> str:
        """Which bound a run that has cost so much has reached, in words; empty if none."""
        return next((bound.told(SPENT) for bound in self._bounds(spent) if bound.found >= bound.most), "")

    def warnings(self, spent: Spent) -> dict[str, str]:
        """The bounds whose soft part a run that has cost so much has reached, by field, in words."""
        return {
            bound.field: bound.told(f"is {100 * bound.found / bound.most:.0f} % spent")
            for bound in self._bounds(spent)
            if bound.warn_at < 1 and bound.found >= bound.warn_at * bound.most
        }

    def _bounds(self, spent: Spent) -> Iterator["_Bound"]:
        project = f"the budget of project '{self.project}'"
        for what, name, budget, cost in (
            ("the budget", "budget", self.budget, spent),
            (project, "project_budget", self.project_budget, spent + self.elsewhere),
        ):
            if budget is None:
                continue
            for unit, bound, found in (
                ("slot_hours", budget.slot_hours, cost.slot_s / _HOUR_S),
                ("gpu_hours", budget.gpu_hours, cost.gpu_s / _HOUR_S),
                ("price", budget.price, cost.price),
            ):
                if bound is not None:
                    yield _Bound(what, f"{name}.{unit}", bound, found, budget.warn_at)


class _Bound(NamedTuple):
    what: str
    field: str
    most: float
    found: float
    warn_at: float

    def told(self, state: str) -> str:
        return f"{self.what} {state}: {self.field} is {self.most:g}, and {self.found:.4g} is gone"
