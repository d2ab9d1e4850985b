"""Check: every rule of a contract, applied to chunks in row order."""

import datetime as dt

import numpy as np
import numpy.typing as npt

from assay.evaluator.data.check.column_rules import ColumnRules
from assay.evaluator.data.check.invariants import Invariants
from assay.evaluator.data.check.key_rules import KeyRules
from assay.evaluator.data.check.refusal import MAX_COUNTED, ContractBroken
from assay.evaluator.data.check.table_rules import table_rules
from assay.evaluator.data.check.tally import NUM_NAMED, Tally
from assay.evaluator.data.ingest import Chunk, Offence, Origin
from assay.manifests.check_report import CheckReport
from assay.manifests.contract import Contract


class Check:
    """Checks chunks in row order; `finish` refuses them all if they violate a rule of severity `error`.

    Memory does not grow with the rows: what must be known about all of them is kept in temporary files.
    """

    def __init__(self, contract: Contract, *, now: dt.datetime | None = None) -> None:
        """Compiles the rules.

        Args:
            contract: What rows must satisfy.
            now: The time from which freshness is measured; None: the current time.

        Raises:
            DataError: A pattern or an invariant of the contract cannot be used.
        """
        self._readable = Tally("readable", bound="rows and cells of the columns and types in the contract")
        self._columns = {column.name: ColumnRules(column) for column in contract.columns if column.role != "ignored"}
        self._keys = KeyRules(contract)
        self._table = table_rules(contract, now=now or dt.datetime.now(dt.UTC))
        self._invariants = Invariants(contract)
        self._named: list[Offence] = []
        self._num_rows = 0

    @property
    def has_passed(self) -> bool:
        """Whether no row violates a rule so far. Rules about all rows together are only decided at the end."""
        return not self._named

    def take(self, chunk: Chunk) -> None:
        """Checks the next chunk.

        Raises:
            ContractBroken: More than `MAX_COUNTED` violations have been found.
            OSError: A temporary file cannot be written.
        """
        num_rows = chunk.table.num_rows
        self._num_rows += num_rows
        refused: dict[str, set[int]] = {}
        for offence in chunk.offences:
            refused.setdefault(offence.column, set()).add(offence.number)
        offences = sorted(chunk.offences, key=_number)
        self._readable.add(num_checked=num_rows, num_broken=len(offences), offences=offences)
        for name, rules in self._columns.items():
            (array,) = chunk.table[name].chunks  # a chunk's table is made of arrays
            is_readable = _is_readable(refused.get(name), chunk.origin, num_rows)
            offences += rules.take(array, origin=chunk.origin, is_readable=is_readable)
        is_readable = _is_readable(set().union(*refused.values()), chunk.origin, num_rows)
        offences += self._invariants.take(chunk, is_readable=is_readable)
        self._keys.take(chunk, is_readable=is_readable)
        for rule in self._table:
            rule.take(chunk.table)
        self._named += sorted(offences, key=_number)[
            : NUM_NAMED - len(self._named)
        ]  # a line's columns keep their order
        num_offences = sum(tally.num_broken for tally in self._broken() if not tally.max_fraction)
        if num_offences > MAX_COUNTED:
            raise ContractBroken(self._named, num_offences=num_offences, report=self._report(is_complete=False))

    def finish(self) -> CheckReport:
        """Decides the rules about all rows together, and returns the report.

        Raises:
            ContractBroken: A rule of severity `error` is violated; the first few violations are listed, all are
                counted.
            OSError: A temporary file cannot be read.
        """
        self._keys.finish()
        for rule in self._table:
            rule.finish()
        report = self._report(is_complete=True)
        if report.broken:
            named = [*self._named, *self._late_offences()]
            num_offences = sum(max(1, tally.num_broken) for tally in self._broken())
            raise ContractBroken(named, num_offences=num_offences, report=report)
        return report

    @property
    def _tallies(self) -> list[Tally]:
        """Every rule's counts, in the contract's order."""
        tallies = [self._readable]
        for name, rules in self._columns.items():
            tallies += [*rules.tallies, *self._keys.tallies_of(name)]
        return [*tallies, *(rule.tally for rule in self._table), *self._keys.table_tallies, *self._invariants.tallies]

    def _broken(self) -> list[Tally]:
        return [tally for tally in self._tallies if tally.severity == "error" and tally.is_broken]

    def _late_offences(self) -> list[Offence]:
        """The violations of the rules that are decided at the end."""
        late: list[Offence] = []
        for tally in self._broken():
            offences = [each for each in tally.offences if not any(each is other for other in self._named)]
            observed = tally.report().observed
            if observed:  # the rule is about all rows together: the first offender is only an example
                place = offences[0].place if offences else ""
                problem = f"the rule '{tally.rule}' is violated"
                late += [Offence(0, place, tally.column, problem, observed, tally.bound), *offences[1:]]
            else:
                late += offences
        return late

    def _report(self, *, is_complete: bool) -> CheckReport:
        return CheckReport(
            num_rows=self._num_rows,
            is_complete=is_complete,
            rules=tuple(tally.report() for tally in self._tallies),
            changes=(),
        )


def _number(offence: Offence) -> int:
    return offence.number


def _is_readable(refused: set[int] | None, origin: Origin, num_rows: int) -> npt.NDArray[np.bool_] | None:
    """A mask of the rows whose numbers are not in `refused`, shape (rows,); None: all rows."""
    if not refused:
        return None
    steps = np.arange(num_rows) if origin.steps is None else origin.steps
    return ~np.isin(steps.astype(np.int64) + origin.first, np.fromiter(refused, np.int64))
