"""Refusal: the broken rules of a contract as one message, the first offender in front, all counted."""

from collections.abc import Sequence

from assay.evaluator.data.check.tally import NUM_NAMED
from assay.evaluator.data.ingest import Offence
from assay.evaluator.errors import DataError
from assay.manifests.check_report import CheckReport

MAX_COUNTED = 10_000
"""After so many offenders reading stops: the rows are not what the contract is about."""


class ContractBroken(DataError):
    """Rows break rules of severity `error`.

    Attributes:
        report: What came of every rule.
    """

    def __init__(self, offences: Sequence[Offence], *, num_offences: int, report: CheckReport) -> None:
        """Puts the message together.

        Args:
            offences: The first few offenders, at least one, in the order in which they were found.
            num_offences: How many there are; past `MAX_COUNTED` nobody has counted to the end.
            report: What came of every rule.
        """
        self.report = report
        first, *others = offences[:NUM_NAMED]
        remedy = first.remedy
        if num_offences > 1:
            listed = "".join(f"\n  {offence.error()}" for offence in others)
            rest = "" if num_offences == len(others) + 1 else ", among them"
            more = "more than " * (num_offences > MAX_COUNTED)
            total = f"{more}{min(num_offences, MAX_COUNTED):,} offenders in all{rest}{':' * bool(listed)}{listed}"
            remedy = f"{remedy}; {total}" if remedy else total
        super().__init__(
            first.problem, place=first.place, field=first.column, value=first.value, bound=first.bound, remedy=remedy
        )
