"""Checks a run's cost against its own budget and, together with other runs, against its project's budget."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.manifests import Budget
from assay.manifests.spent import Spent

_HOUR_S = 3600.0

EXHAUSTED = "exhausted:"
"""Part of the reason if a budget has stopped a run."""


@dataclass(frozen=True)
class BudgetCheck:
    """The budgets that bound a run: its own, and what other runs leave of its project's.

    Attributes:
        budget: The run's budget; None: no limit.
        project: The project's name; empty if the run has no project.
        project_budget: The project's budget; None: no limit.
        elsewhere: What other runs of the project have cost.
    """

    budget: Budget | None = None
    project: str = ""
    project_budget: Budget | None = None
    elsewhere: Spent = field(default_factory=Spent)

    def exceeded(self, spent: Spent) -> str:
        """A message about the first bound that a run with this cost has reached; empty if there is none."""
        return next(
            (f"{bound.budget} {EXHAUSTED} {bound}" for bound in self._bounds(spent) if bound.spent >= bound.limit), ""
        )

    def warnings(self, spent: Spent) -> dict[str, str]:
        """Messages about the bounds whose warning threshold a run with this cost has passed, by the bound's field."""
        return {
            bound.field: f"{100 * bound.spent / bound.limit:.0f} % of the {bound.budget} is spent: {bound}"
            for bound in self._bounds(spent)
            if bound.warn_at < 1 and bound.spent >= bound.warn_at * bound.limit
        }

    def _bounds(self, spent: Spent) -> Iterator["_Bound"]:
        project = f"budget of project '{self.project}'"
        for description, name, budget, cost in (
            ("budget", "budget", self.budget, spent),
            (project, "project_budget", self.project_budget, spent + self.elsewhere),
        ):
            if budget is None:
                continue
            for unit, limit, amount in (
                ("slot_hours", budget.slot_hours, cost.slot_s / _HOUR_S),
                ("gpu_hours", budget.gpu_hours, cost.gpu_s / _HOUR_S),
                ("price", budget.price, cost.price),
            ):
                if limit is not None:
                    yield _Bound(description, f"{name}.{unit}", limit, amount, budget.warn_at)


class _Bound(NamedTuple):
    budget: str
    field: str
    limit: float
    spent: float
    warn_at: float

    def __str__(self) -> str:
        return f"{self.field} is {self.limit:g}, spent {self.spent:.4g}"
