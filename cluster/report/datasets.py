"""Datasets of a store: what is there, and what is in one, as plain values that the terminal and JSON show."""

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
    """Every dataset of a store, ordered by name and version; of those that are damaged, what is damaged."""
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
    """All that is known of a dataset but its rows.

    Raises:
        DamageError: A finding was changed.
    """
    contract = dataset.contract
    by_name = {column.name: column for column in contract.columns}
    known = findings.findings_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    kept = {"check", "sources", "parent", "profile"}
    return {
        **_summary(store, dataset),
        "rows_digest": dataset.rows_digest,
        "description": contract.description,
        "columns": [_column(column, by_name.get(column.name)) for column in dataset.columns],
        "rules": list(_row_rules(contract)),
        **dataset.model_dump(mode="json", include=kept),
        "findings": [{**finding.model_dump(mode="json"), "words": finding.words} for finding in known],
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


def _column(frozen: FrozenColumn, promised: Column | None) -> dict[str, Any]:
    shown = frozen.model_dump(mode="json")
    if promised is None:  # a contract that is not of these rows: verify says so
        return {**shown, "description": "", "unit": "", "rules": []}
    rules = list(_value_rules(promised))
    return {**shown, "description": promised.description, "unit": promised.unit, "rules": rules}


def _value_rules(column: Column) -> Iterator[str]:
    """What a column's values must be, in words."""
    if column.nullable:
        most = column.max_null_fraction
        few = "" if most is None else f" in at most {most:.3%} of the rows"
        yield f"may have no value{few}" + _warns(column, "null_fraction")
    for field, words in (
        ("minimum", "at least {}"),
        ("maximum", "at most {}"),
        ("pattern", "all of it matches {}"),
        ("min_length", "at least {} characters"),
        ("max_length", "at most {} characters"),
    ):
        bound = getattr(column, field)
        if bound is not None:
            yield words.format(f"{bound:g}" if isinstance(bound, float) else bound) + _warns(column, field)
    if column.allowed_values:
        yield f"one of {', '.join(map(str, column.allowed_values))}" + _warns(column, "allowed_values")
    if column.classes:
        yield f"one of the classes {', '.join(column.classes)}"
    if column.unique or column.role == "id":
        yield "no value twice" + _warns(column, "unique")


def _row_rules(contract: Contract) -> Iterator[str]:
    """What the rows must be together, in words."""
    rows = contract.rows
    most = "" if rows.maximum is None else f", at most {rows.maximum:,}"
    yield f"at least {rows.minimum:,} rows{most}" + _severity(rows.severity)
    if contract.class_balance is not None:
        each = contract.class_balance
        yield (
            f"each class has at least {each.min_rows:,} rows, and from {each.min_fraction:.3%} to "
            f"{each.max_fraction:.3%} of them" + _severity(each.severity)
        )
    if contract.freshness is not None:
        age = contract.freshness.max_age_days
        yield f"the newest row is at most {age:g} days old when it is checked" + _severity(contract.freshness.severity)
    for together in contract.unique_together:
        yield f"no values of {', '.join(together.columns)} twice together" + _severity(together.severity)
    for what, repeats in (
        ("repeat the features and label of an earlier row", contract.duplicates),
        ("have the features of an earlier row and another label", contract.label_conflicts),
    ):
        yield f"at most {repeats.max_fraction:.3%} of the rows {what}" + _severity(repeats.severity)
    for invariant in contract.invariants:
        why = f": {invariant.description}" if invariant.description else ""
        yield f"{invariant.name}: {invariant.sql}{why}" + _severity(invariant.severity)


def _warns(column: Column, rule: str) -> str:
    return " (warns only)" if rule in column.warn else ""


def _severity(severity: str) -> str:
    return " (warns only)" if severity == "warn" else ""
