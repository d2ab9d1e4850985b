"""Datasets in the terminal: the list of a store, one per line, or one dataset in detail."""

import datetime as dt
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assay.cluster.report.terminal import formatting

_SHORT = len("sha256:") + 12
"""The length of a digest that is enough for a reference."""


def show_list(rows: list[dict[str, Any]], console: Console) -> None:
    """Prints one line per dataset."""
    table = _table("dataset", "rows", "bytes", "digest", "frozen", "warnings", "", right=("rows", "bytes", "warnings"))
    for row in rows:
        table.add_row(
            escape(row["reference"]),
            f"{row['num_rows']:,}",
            f"{row['size_bytes']:,}",
            row["digest"][:_SHORT],
            row["frozen_at"],
            f"{row['num_warnings']:,}",
            "[red]withdrawn[/]" if row["withdrawn"] else "",
        )
    console.print(table)


def show(dataset: dict[str, Any], console: Console) -> None:
    """Prints one dataset in detail."""
    console.print(f"[bold]{escape(dataset['reference'])}[/]  {dataset['digest']}", soft_wrap=True)
    if dataset["withdrawn"]:
        console.print(f"[red]{escape(withdrawal_sentence(dataset))}[/]", soft_wrap=True)
    shards = "1 shard" if dataset["num_shards"] == 1 else f"{dataset['num_shards']:,} shards"
    size = f"{dataset['num_rows']:,} rows in {shards}, {dataset['size_bytes']:,} bytes"
    console.print(f"{size}, frozen {dataset['frozen_at']}", soft_wrap=True)
    if dataset["description"]:
        console.print(escape(dataset["description"].strip()))
    if dataset["parent"]:
        console.print(_sampled(dataset["parent"]), soft_wrap=True)
    console.print(_columns(dataset))
    if dataset["profile"]:
        console.print(_profile(dataset))
    _list(console, "rules of rows", dataset["rules"])
    broken = [rule for rule in dataset["check"]["rules"] if rule["is_broken"]]
    _list(console, "warnings of the check", [_warning(rule) for rule in broken] or ["none"])
    _list(console, "values converted while reading", dataset["check"]["changes"] or ["none"])
    sources = [f"{each['name']}  {each['num_rows']:,} rows  {each['sha256']}" for each in dataset["sources"]]
    _list(console, "sources", sources)
    findings = [f"{each['found_at']}  {each['summary']}" for each in dataset["findings"]]
    _list(console, "findings", findings or ["none"])


def withdrawal_sentence(dataset: dict[str, Any]) -> str:
    """One sentence: that a dataset was withdrawn, when, by whom and why."""
    each = dataset["withdrawn"]
    by = f" by {each['found_by']}" if each["found_by"] else ""
    return f"{dataset['reference']} was withdrawn on {each['found_at']}{by}: {each['reason']}"


def _columns(dataset: dict[str, Any]) -> Table:
    table = _table("column", "role", "type", "unit", "must be", "meaning")
    for column in dataset["columns"]:
        shape = "x".join(map(str, column["shape"]))
        kind = f"{column['type']}[{shape}]" if shape else column["type"]
        cells = (column["name"], column["role"], kind, column["unit"])
        table.add_row(*map(escape, cells), escape("; ".join(column["rules"])), escape(column["description"]))
    return table


def _profile(dataset: dict[str, Any]) -> Table:
    types = {column["name"]: column["type"] for column in dataset["columns"]}
    unique = {column["name"] for column in dataset["columns"] if "unique" in column["rules"]}
    table = _table(
        "column", "nulls", "distinct", "minimum", "median", "maximum", "most frequent", right=("nulls", "distinct")
    )
    for column in dataset["profile"]["columns"]:
        quantiles = column["quantiles"]
        spread = [
            _quantile(quantiles[at], types[column["name"]]) if quantiles else "" for at in (0, len(quantiles) // 2, -1)
        ]
        common = ", ".join(f"{top['value']} ({top['num_rows']:,})" for top in column["top"][:3])
        distinct = _distinct(column, num_rows=dataset["num_rows"], is_unique=column["name"] in unique)
        table.add_row(escape(column["name"]), f"{column['num_nulls']:,}", distinct, *spread, escape(common))
    return table


def _distinct(column: dict[str, Any], *, num_rows: int, is_unique: bool) -> str:
    """The number of distinct values: exact where few were counted or a rule was checked that all are, else about."""
    if column["num_distinct"] is None:
        return ""
    if is_unique:
        return f"{num_rows - column['num_nulls']:,}"
    return f"{'' if column['top'] else 'about '}{column['num_distinct']:,}"


def _quantile(value: float, column_type: str) -> str:
    """A quantile with its unit: of texts their length, of dates and timestamps a moment."""
    if column_type == "string":
        return f"{value:.6g} chars"
    if column_type in ("date", "timestamp"):
        moment = dt.datetime.fromtimestamp(value, dt.UTC).isoformat(timespec="seconds")
        return moment[:10] if column_type == "date" else moment
    return f"{value:.6g}"


def _sampled(parent: dict[str, Any]) -> str:
    sample = parent["sample"]
    by = f" within {', '.join(sample['stratify'])}" if sample["stratify"] else ""
    return escape(
        f"a sample of {sample['rows']:,} of {parent['num_rows']:,} rows{by}, seed {sample['seed']}; "
        f"all rows: {parent['rows_digest']}"
    )


def _warning(rule: dict[str, Any]) -> str:
    where = f"{rule['column']}: " if rule["column"] else ""
    observed = f", found {rule['observed']}" if rule["observed"] else ""
    rows = f"{rule['num_rows_broken']:,} of {rule['num_rows_checked']:,} rows"
    return f"{where}{rule['rule']}: {rows}{observed}; allowed: {rule['bound']}"


def _list(console: Console, title: str, lines: list[str]) -> None:
    console.print(f"{title}:")
    for line in lines:
        console.print(f"  {escape(line)}", soft_wrap=True)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = formatting.table()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
