"""Datasets in the terminal: a store's, one a line, or one with all that is known of it."""

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHORT = len("sha256:") + 12
"""As much of a digest as a reference needs."""


def show_listed(rows: list[dict[str, Any]], console: Console) -> None:
    """Prints a line for each dataset."""
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


def show_described(found: dict[str, Any], console: Console) -> None:
    """Prints all that is known of one dataset."""
    console.print(f"[bold]{escape(found['reference'])}[/]  {found['digest']}", soft_wrap=True)
    if found["withdrawn"]:
        console.print(f"[red]{escape(withdrawn_in_words(found))}[/]", soft_wrap=True)
    size = f"{found['num_rows']:,} rows in {found['num_shards']:,} shards, {found['size_bytes']:,} bytes"
    console.print(f"{size}, frozen {found['frozen_at']}", soft_wrap=True)
    if found["description"]:
        console.print(escape(found["description"].strip()))
    if found["parent"]:
        console.print(_sampled(found["parent"]), soft_wrap=True)
    console.print(_columns(found))
    if found["profile"]:
        console.print(_profile(found["profile"]))
    _list(console, "rules of rows", found["rules"])
    broken = [rule for rule in found["check"]["rules"] if rule["is_broken"]]
    _list(console, "warnings of the check", [_warning(rule) for rule in broken] or ["none"])
    _list(console, "changed on the way in", found["check"]["changes"] or ["nothing"])
    sources = [f"{each['name']}  {each['num_rows']:,} rows  {each['sha256']}" for each in found["sources"]]
    _list(console, "sources", sources)
    told = [f"{each['found_at']}  {each['words']}" for each in found["findings"]]
    _list(console, "found out since", told or ["nothing"])


def withdrawn_in_words(found: dict[str, Any]) -> str:
    """That a dataset was withdrawn, by whom and why, as a sentence."""
    each = found["withdrawn"]
    by = f" by {each['found_by']}" if each["found_by"] else ""
    return f"{found['reference']} was withdrawn on {each['found_at']}{by}: {each['reason']}"


def _columns(found: dict[str, Any]) -> Table:
    table = _table("column", "role", "type", "unit", "must be", "meaning")
    for column in found["columns"]:
        shape = "x".join(map(str, column["shape"]))
        kind = f"{column['type']}[{shape}]" if shape else column["type"]
        cells = (column["name"], column["role"], kind, column["unit"])
        table.add_row(*map(escape, cells), escape("; ".join(column["rules"])), escape(column["description"]))
    return table


def _profile(profile: dict[str, Any]) -> Table:
    table = _table(
        "column", "nulls", "distinct", "least", "median", "greatest", "commonest", right=("nulls", "distinct")
    )
    for column in profile["columns"]:
        quantiles = column["quantiles"]
        spread = [f"{quantiles[at]:.6g}" for at in (0, len(quantiles) // 2, -1)] if quantiles else ["", "", ""]
        common = ", ".join(f"{top['value']} ({top['num_rows']:,})" for top in column["top"][:3])
        distinct = "" if column["num_distinct"] is None else f"{column['num_distinct']:,}"
        table.add_row(escape(column["name"]), f"{column['num_nulls']:,}", distinct, *spread, escape(common))
    return table


def _sampled(parent: dict[str, Any]) -> str:
    sample = parent["sample"]
    by = f" within {', '.join(sample['stratify'])}" if sample["stratify"] else ""
    return escape(
        f"a sample of {sample['rows']:,} of {parent['num_rows']:,} rows{by}, seed {sample['seed']}; "
        f"all rows: {parent['rows_digest']}"
    )


def _warning(rule: dict[str, Any]) -> str:
    where = f"{rule['column']}: " if rule["column"] else ""
    told = f", found {rule['found']}" if rule["found"] else ""
    rows = f"{rule['num_rows_broken']:,} of {rule['num_rows_checked']:,} rows"
    return f"{where}{rule['rule']}: {rows}{told}; allowed: {rule['bound']}"


def _list(console: Console, title: str, lines: list[str]) -> None:
    console.print(f"{title}:")
    for line in lines:
        console.print(f"  {escape(line)}", soft_wrap=True)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
