"""Tally: the outcome of one rule so far: rows checked, rows that violate it, and the first few of those."""

from collections.abc import Sequence

from assay.evaluator.data.ingest import Offence
from assay.manifests.check_report import Offender, RuleReport
from assay.manifests.contract import Severity
from assay.manifests.errors import shortened

NUM_NAMED = 5
"""How many violations of a rule are listed."""


class Tally:
    """Counts for one rule; chunks are added in row order."""

    def __init__(
        self, rule: str, *, column: str = "", severity: Severity = "error", bound: str, max_fraction: float = 0.0
    ) -> None:
        """Starts with no rows.

        Args:
            rule: The contract's name for the rule.
            column: The column that it is about; empty: the whole row or table.
            severity: Whether a violation refuses the rows.
            bound: What is allowed, in words.
            max_fraction: The fraction of the checked rows that may violate it.
        """
        self.rule, self.column, self.bound = rule, column, bound
        self.severity: Severity = severity
        self.max_fraction = max_fraction
        self.num_checked = self.num_broken = 0
        self.offences: list[Offence] = []
        self.observed = ""
        self.is_refuted = False

    def add(self, *, num_checked: int, num_broken: int = 0, offences: Sequence[Offence] = ()) -> None:
        """Adds rows.

        Args:
            num_checked: Rows that the rule was applied to.
            num_broken: Those that violate it.
            offences: The first few of those, in row order.
        """
        self.num_checked += num_checked
        self.num_broken += num_broken
        self.offences += offences[: NUM_NAMED - len(self.offences)]

    def judge(self, *, observed: str, is_broken: bool) -> None:
        """Records what was observed of the whole table, for a rule that is not about single rows."""
        self.observed, self.is_refuted = observed, is_broken

    @property
    def is_broken(self) -> bool:
        """Whether more rows violate the rule than may, or the whole table does."""
        return self.is_refuted or self.num_broken > self.max_fraction * self.num_checked

    def report(self) -> RuleReport:
        """The outcome of the rule, as it is stored."""
        observed = self.observed
        if not observed and self.max_fraction and self.num_checked:
            observed = f"{self.num_broken / self.num_checked:.4g} of the rows"
        return RuleReport(
            rule=self.rule,
            column=self.column,
            severity=self.severity,
            bound=self.bound,
            observed=observed,
            num_rows_checked=self.num_checked,
            num_rows_broken=self.num_broken,
            is_broken=self.is_broken,
            offenders=tuple(_offender(offence) for offence in self.offences),
        )


def _offender(offence: Offence) -> Offender:
    missing = "null" if offence.column else ""  # a whole row has no value to show
    value = missing if offence.value is None else shortened(offence.value)
    return Offender(place=offence.place, value=value, note=offence.remedy)
