"""What budgets allow: whether a run, with what other runs of its project have cost, has reached a bound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.manifests import Budget
from assay.manifests.spent import Spent

_HOUR_S = 3600.0

SPENT = "is spent"
"""What the reason says of the budget that has stopped a run."""


@dataclass(frozen=True)
class BudgetCheck:
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
        return next((bound.message(SPENT) for bound in self._bounds(spent) if bound.spent >= bound.most), "")

    def warnings(self, spent: Spent) -> dict[str, str]:
        """The bounds whose soft part a run that has cost so much has reached, by field, in words."""
        return {
            bound.field: bound.message(f"is {100 * bound.spent / bound.most:.0f} % spent")
            for bound in self._bounds(spent)
            if bound.warn_at < 1 and bound.spent >= bound.warn_at * bound.most
        }

    def _bounds(self, spent: Spent) -> Iterator["_Bound"]:
        project = f"the budget of project '{self.project}'"
        for what, name, budget, cost in (
            ("the budget", "budget", self.budget, spent),
            (project, "project_budget", self.project_budget, spent + self.elsewhere),
        ):
            if budget is None:
                continue
            for unit, most, amount in (
                ("slot_hours", budget.slot_hours, cost.slot_s / _HOUR_S),
                ("gpu_hours", budget.gpu_hours, cost.gpu_s / _HOUR_S),
                ("price", budget.price, cost.price),
            ):
                if most is not None:
                    yield _Bound(what, f"{name}.{unit}", most, amount, budget.warn_at)


class _Bound(NamedTuple):
    what: str
    field: str
    most: float
    spent: float
    warn_at: float

    def message(self, state: str) -> str:
        return f"{self.what} {state}: {self.field} is {self.most:g}, and {self.spent:.4g} is gone"
