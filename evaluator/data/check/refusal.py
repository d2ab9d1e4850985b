"""Refusal: the violations of a contract as one message: the first few are listed, all are counted."""

from collections.abc import Sequence

from assay.evaluator.data.check.tally import NUM_NAMED
from assay.evaluator.data.ingest import Offence
from assay.evaluator.errors import DataError
from assay.manifests.check_report import CheckReport

MAX_COUNTED = 10_000
"""Reading stops after this many violations: the rows are not those that the contract describes."""


class ContractBroken(DataError):
    """Rows violate rules of severity `error`.

    Attributes:
        report: The outcome of every rule.
    """

    def __init__(self, offences: Sequence[Offence], *, num_offences: int, report: CheckReport) -> None:
        """Composes the message.

        Args:
            offences: The first few violations, at least one, in the order in which they were found.
            num_offences: How many there are; above `MAX_COUNTED`, not all have been counted.
            report: The outcome of every rule.
        """
        self.report = report
        first, *others = offences[:NUM_NAMED]
        remedy = first.remedy
        if num_offences > 1:
            listed = "".join(f"\n  {offence.error()}" for offence in others)
            rest = "" if num_offences == len(others) + 1 else ", among them"
            more = "more than " * (num_offences > MAX_COUNTED)
            total = f"{more}{min(num_offences, MAX_COUNTED):,} violations in total{rest}{':' * bool(listed)}{listed}"
            remedy = f"{remedy}; {total}" if remedy else total
        super().__init__(
            first.problem, place=first.place, field=first.column, value=first.value, bound=first.bound, remedy=remedy
        )
