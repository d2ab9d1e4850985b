"""Check report: which rules of a contract rows were held to, and which of them they break where."""

from pydantic import Field

from assay.manifests.base import Manifest
from assay.manifests.contract import Severity


class Offender(Manifest):
    """One place where a rule is broken."""

    place: str
    """The file and the line or row in it."""
    value: str
    """What stands there, shortened."""
    note: str = ""
    """What else is known: where the earlier row stands, why a condition could not be told, the nearest known value."""


class RuleReport(Manifest):
    """What came of one rule."""

    rule: str
    """The rule by the contract's name for it: `maximum`, `duplicates`, an invariant's name."""
    column: str = ""
    """The column that it is about; empty: the whole row or table."""
    severity: Severity
    """Whether breaking it refuses the rows."""
    bound: str
    """What is allowed, in words."""
    observed: str = ""
    """What was observed, for a rule about the whole table, in words."""
    num_rows_checked: int = Field(ge=0)
    """Rows that it was tried on."""
    num_rows_broken: int = Field(ge=0)
    """Rows that break it; of a rule about the whole table, those that are to blame, where that can be said."""
    is_broken: bool
    """Whether it is broken: the fraction of rows that it bears is exceeded."""
    offenders: tuple[Offender, ...] = ()
    """The first few of the rows that break it, in row order."""


class CheckReport(Manifest):
    """What a check of rows against a contract found."""

    num_rows: int = Field(ge=0)
    """Rows that were looked at."""
    is_complete: bool
    """Whether all rows were looked at: past very many offenders a check gives up."""
    rules: tuple[RuleReport, ...]
    """Every rule of the contract, in its order."""
    changes: tuple[str, ...]
    """What was changed on the way in, in words: encodings, byte order marks, line ends, Unicode forms."""

    @property
    def broken(self) -> tuple[RuleReport, ...]:
        """The broken rules that refuse the rows."""
        return tuple(rule for rule in self.rules if rule.is_broken and rule.severity == "error")
