"""Check report: the rules of a contract that rows were checked against, and where they violate them."""

from pydantic import Field

from assay.manifests.base import Manifest
from assay.manifests.contract import Severity


class Offender(Manifest):
    """One row that violates a rule."""

    place: str
    """The file, and the line or row in it."""
    value: str
    """The offending value, shortened."""
    note: str = ""
    """Additional information: where the earlier row is, why a condition failed to evaluate, the nearest allowed
    value."""


class RuleReport(Manifest):
    """The outcome of one rule."""

    rule: str
    """The rule's name: a field of the contract, such as `maximum` or `duplicates`, or the name of an invariant."""
    column: str = ""
    """The column that it applies to; empty: the whole row or table."""
    severity: Severity
    """`error`: violations prevent freezing. `warn`: they are only reported."""
    bound: str
    """What is allowed, as text."""
    observed: str = ""
    """For a rule about the whole table: what was measured, as text."""
    num_rows_checked: int = Field(ge=0)
    """Rows that were checked against it."""
    num_rows_broken: int = Field(ge=0)
    """Rows that violate it. For a rule about the whole table: the rows responsible, where these can be identified."""
    is_broken: bool
    """Whether the rule is violated: by more rows than the fraction that it tolerates."""
    offenders: tuple[Offender, ...] = ()
    """The first few rows that violate it, in row order."""


class CheckReport(Manifest):
    """The result of checking rows against a contract."""

    num_rows: int = Field(ge=0)
    """Rows that were checked."""
    is_complete: bool
    """Whether all rows were checked: the check stops after very many violations."""
    rules: tuple[RuleReport, ...]
    """Every rule of the contract, in the contract's order."""
    changes: tuple[str, ...]
    """What was changed on reading, as text: encodings, byte order marks, line endings, Unicode forms."""

    @property
    def broken(self) -> tuple[RuleReport, ...]:
        """The violated rules that prevent freezing."""
        return tuple(rule for rule in self.rules if rule.is_broken and rule.severity == "error")
