"""The datasets of a store, and the details of one, as plain JSON values."""

from collections.abc import Iterator
from typing import Any

from assay.evaluator.data.frozen import findings
from assay.evaluator.data.frozen.references import references, stored_dataset
from assay.evaluator.errors import DamageError
from assay.evaluator.storage import Store
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset


def list_datasets(store: Store) -> tuple[list[dict[str, Any]], list[str]]:
    """Lists the datasets of a store, ordered by name and version.

    Returns:
        A summary of each intact dataset, and an error message for each damaged one.
    """
    datasets, damage = [], []
    for reference in references(store):
        try:
            dataset = stored_dataset(store, reference)
            if dataset is not None:
                datasets.append(_summary(store, dataset))
        except DamageError as error:
            damage.append(str(error))
    return datasets, damage


def describe(store: Store, dataset: Dataset) -> dict[str, Any]:
    """Everything that is recorded about a dataset, except its rows.

    Raises:
        DamageError: A recorded finding was changed.
    """
    contract = dataset.contract
    by_name = {column.name: column for column in contract.columns}
    recorded = findings.findings_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    included = {"check", "sources", "parent", "profile"}
    return {
        **_summary(store, dataset),
        "rows_digest": dataset.rows_digest,
        "description": contract.description,
        "columns": [_column(column, by_name.get(column.name)) for column in dataset.columns],
        "rules": list(_row_rules(contract)),
        **dataset.model_dump(mode="json", include=included),
        "findings": [{**finding.model_dump(mode="json"), "summary": finding.summary} for finding in recorded],
    }


def _summary(store: Store, dataset: Dataset) -> dict[str, Any]:
    withdrawal = findings.withdrawal_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    return {
        "reference": dataset.reference,
        "digest": dataset.digest(),
        "num_rows": dataset.num_rows,
        "num_shards": len(dataset.shards),
        "size_bytes": sum(shard.size_bytes for shard in dataset.shards),
        "frozen_at": dataset.frozen_at,
        "num_warnings": sum(rule.is_broken for rule in dataset.check.rules),
        "withdrawn": None if withdrawal is None else withdrawal.model_dump(mode="json"),
    }


def _column(frozen: FrozenColumn, column: Column | None) -> dict[str, Any]:
    fields = frozen.model_dump(mode="json")
    if column is None:  # the contract does not belong to these rows: `verify` reports it
        return {**fields, "description": "", "unit": "", "rules": []}
    rules = list(_value_rules(column))
    return {**fields, "description": column.description, "unit": column.unit, "rules": rules}


def _value_rules(column: Column) -> Iterator[str]:
    """The rules for a column's values, as text."""
    if column.nullable:
        most = column.max_null_fraction
        limit = "" if most is None else f" in at most {most:.3%} of the rows"
        yield f"may be null{limit}" + _warns(column, "null_fraction")
    for field, rule in (
        ("minimum", "at least {}"),
        ("maximum", "at most {}"),
        ("pattern", "matches {} entirely"),
        ("min_length", "at least {} characters"),
        ("max_length", "at most {} characters"),
    ):
        bound = getattr(column, field)
        if bound is not None:
            yield rule.format(f"{bound:g}" if isinstance(bound, float) else bound) + _warns(column, field)
    if column.allowed_values:
        yield f"one of {', '.join(map(str, column.allowed_values))}" + _warns(column, "allowed_values")
    if column.classes:
        yield f"one of the classes {', '.join(column.classes)}"
    if column.unique or column.role == "id":
        yield "unique" + _warns(column, "unique")


def _row_rules(contract: Contract) -> Iterator[str]:
    """The rules for the rows as a whole, as text."""
    rows = contract.rows
    maximum = "" if rows.maximum is None else f", at most {rows.maximum:,}"
    yield f"at least {rows.minimum:,} {'row' if rows.minimum == 1 else 'rows'}{maximum}" + _severity(rows.severity)
    if contract.class_balance is not None:
        balance = contract.class_balance
        yield (
            f"each class has at least {balance.min_rows:,} rows, and {balance.min_fraction:.3%} to "
            f"{balance.max_fraction:.3%} of all rows" + _severity(balance.severity)
        )
    if contract.freshness is not None:
        age = contract.freshness.max_age_days
        yield f"the newest row is at most {age:g} days old at the time of the check" + _severity(
            contract.freshness.severity
        )
    for together in contract.unique_together:
        yield f"{', '.join(together.columns)} are unique together" + _severity(together.severity)
    for problem, repeats in (
        ("repeat the features and label of an earlier row", contract.duplicates),
        ("have the same features as an earlier row but another label", contract.label_conflicts),
    ):
        yield f"at most {repeats.max_fraction:.3%} of the rows {problem}" + _severity(repeats.severity)
    for invariant in contract.invariants:
        description = f": {invariant.description}" if invariant.description else ""
        yield f"{invariant.name}: {invariant.sql}{description}" + _severity(invariant.severity)


def _warns(column: Column, rule: str) -> str:
    return " (warning only)" if rule in column.warn else ""


def _severity(severity: str) -> str:
    return " (warning only)" if severity == "warn" else ""
