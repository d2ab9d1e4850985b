"""Table rules: a contract's rules about all rows together: row count, class balance, freshness."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.check.tally import Tally
from assay.manifests.contract import ClassBalance, Contract, Freshness, RowCount

_MAX_CLASSES = 10_000
"""A label with more values than this is continuous and has no class balance."""


class RowCountRule:
    """How many rows there may be."""

    def __init__(self, rule: RowCount, *, name: str = "rows") -> None:
        most = "" if rule.maximum is None else f", at most {rule.maximum:,}"
        self._rule = rule
        self.tally = Tally(name, severity=rule.severity, bound=f"at least {rule.minimum:,}{most}")

    def take(self, table: pa.Table) -> None:
        """Counts the next rows."""
        self.tally.add(num_checked=table.num_rows)

    def finish(self) -> None:
        """Decides the rule."""
        count, most = self.tally.num_checked, self._rule.maximum
        is_broken = count < self._rule.minimum or (most is not None and count > most)
        self.tally.judge(observed=f"{count:,}", is_broken=is_broken)


class ClassBalanceRule:
    """How often each class of the label may occur."""

    def __init__(self, rule: ClassBalance, contract: Contract) -> None:
        label = next(column for column in contract.columns if column.role == "label")
        parts: list[str] = []
        if rule.min_rows:
            parts.append(f"at least {rule.min_rows:,} rows")
        if rule.min_fraction > 0:
            parts.append(f"at least {rule.min_fraction:g} of the rows")
        if rule.max_fraction < 1:
            parts.append(f"at most {rule.max_fraction:g} of the rows")
        self._rule, self._label = rule, label.name
        self._counts: dict[Any, int] = dict.fromkeys(label.classes, 0)
        bound = f"for each class {' and '.join(parts) or 'any number of rows'}"
        self.tally = Tally("class_balance", column=label.name, severity=rule.severity, bound=bound)

    def take(self, table: pa.Table) -> None:
        """Counts the next rows by class."""
        counted = pc.value_counts(table[self._label].drop_null())
        self.tally.add(num_checked=table.num_rows)
        if len(self._counts) <= _MAX_CLASSES:
            for value, count in zip(*(counted.field(name).to_pylist() for name in ("values", "counts")), strict=True):
                self._counts[value] = self._counts.get(value, 0) + count

    def finish(self) -> None:
        """Decides the rule."""
        if len(self._counts) > _MAX_CLASSES:
            self.tally.judge(observed=f"more than {_MAX_CLASSES:,} classes", is_broken=True)
            return
        num_rows = sum(self._counts.values())
        least = max(self._rule.min_rows, self._rule.min_fraction * num_rows)
        most = self._rule.max_fraction * num_rows
        wrong = [
            f"{value}: {count:,} rows ({count / max(num_rows, 1):.4g})"
            for value, count in self._counts.items()
            if not least <= count <= most
        ]
        shown = ", ".join(wrong[:10]) + ", …" * (len(wrong) > 10)
        self.tally.judge(observed=shown or f"{len(self._counts)} classes", is_broken=bool(wrong))


class FreshnessRule:
    """How old the newest row may be."""

    def __init__(self, rule: Freshness, contract: Contract, *, now: dt.datetime) -> None:
        column = next(column for column in contract.columns if column.role == "timestamp")
        self._rule, self._name, self._now = rule, column.name, now
        self._newest: dt.datetime | None = None
        bound = f"the newest row is at most {rule.max_age_days:g} days old"
        self.tally = Tally("freshness", column=column.name, severity=rule.severity, bound=bound)

    def take(self, table: pa.Table) -> None:
        """Updates the newest timestamp."""
        self.tally.add(num_checked=table.num_rows)
        times: Any = table[self._name].cast(pa.timestamp("us", "UTC"))
        newest: dt.datetime | None = pc.max(times).as_py()
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest

    def finish(self) -> None:
        """Decides the rule."""
        if self._newest is None:
            self.tally.judge(observed="no row has a timestamp", is_broken=True)
            return
        age = (self._now - self._newest) / dt.timedelta(days=1)
        observed = f"{self._newest.isoformat()}, {age:.4g} days old"
        self.tally.judge(observed=observed, is_broken=age > self._rule.max_age_days)


TableRule = RowCountRule | ClassBalanceRule | FreshnessRule


def table_rules(contract: Contract, *, now: dt.datetime) -> list[TableRule]:
    """The rules that the contract has, in its order."""
    rules: list[TableRule] = [RowCountRule(contract.rows)]
    if contract.sample is not None:  # there must be enough rows to draw the sample from
        rules.append(RowCountRule(RowCount(minimum=contract.sample.rows), name="sample"))
    if contract.class_balance is not None:
        rules.append(ClassBalanceRule(contract.class_balance, contract))
    if contract.freshness is not None:
        rules.append(FreshnessRule(contract.freshness, contract, now=now))
    return rules
