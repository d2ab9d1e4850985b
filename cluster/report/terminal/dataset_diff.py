"""What changed between two versions of a dataset, in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.dataset_diff import DatasetDiff, RowsDiff
from assay.manifests.drift_report import ColumnDrift, DriftReport

_SHORT = {
    "psi": "PSI",
    "jensen_shannon": "JS",
    "kolmogorov_smirnov": "KS",
    "l_infinity": "L-inf",
    "null_fraction": "nulls",
}


def show(diff: DatasetDiff, console: Console) -> None:
    """Prints the diff."""
    console.print(f"[bold]{diff.earlier} -> {diff.later}[/bold]")
    for line in _contract_lines(diff):
        console.print(escape(line), soft_wrap=True)
    for line in _row_lines(diff.rows):
        console.print(escape(line), soft_wrap=True)
    if diff.drift.columns:
        console.print(_drift_table(diff.drift.columns))
        console.print("nulls: the change of the fraction of rows that are null", style="dim")
        for column in diff.drift.columns:
            if column.has_drifted:
                chance = ", ".join(f"{_SHORT[each.name]} {each.chance:.2g}" for each in column.statistics)
                line = f"{column.column}: {column.summary}; by chance alone at most {chance}"
                console.print(Text(line, style="red"), soft_wrap=True)
    console.print(Text(summary(diff.drift), style="green" if diff.drift.is_fine else "red"), soft_wrap=True)


def summary(drift: DriftReport) -> str:
    """One line: how many columns drifted, of how many."""
    drifted = sum(column.has_drifted for column in drift.columns)
    if drifted:
        return f"{drifted} of {len(drift.columns)} columns drifted"
    return drift.summary


def _contract_lines(diff: DatasetDiff) -> list[str]:
    if not diff.contract:
        return ["contract: unchanged"]
    return [
        f"contract: {f'{each.column}: ' * bool(each.column)}{each.field}: {each.earlier or '-'} -> {each.later or '-'}"
        for each in diff.contract
    ]


def _row_lines(rows: RowsDiff) -> list[str]:
    key = "by id" if rows.matched_by == "id" else "by content, because they have no ids"
    lines = [f"rows: {rows.num_earlier:,} -> {rows.num_later:,}, matched {key}"]
    for kind, number, names in (
        ("added", rows.num_added, rows.added),
        ("removed", rows.num_removed, rows.removed),
        ("changed", rows.num_changed, rows.changed),
    ):
        lines.append(f"  {number:,} {kind}{_named(names, number)}")
    columns = [f"{each.column} in {each.num_rows:,}" for each in rows.changed_columns]
    if columns:
        lines.append(f"    {', '.join(columns)}")
    if rows.num_relabelled is None:
        lines.append("  labels have different types and are not compared")
    else:
        names = tuple(f"{each.row}: {each.earlier} -> {each.later}" for each in rows.relabelled)
        lines.append(f"  {rows.num_relabelled:,} relabelled{_named(names, rows.num_relabelled)}")
    return lines


def _named(names: tuple[str, ...], number: int) -> str:
    return f": {', '.join(names)}{', …' * (number > len(names))}" if names else ""


def _drift_table(columns: tuple[ColumnDrift, ...]) -> Table:
    table = formatting.table()
    table.add_column("column")
    table.add_column("compared as")
    for name in _SHORT.values():
        table.add_column(name, justify="right")
    for column in columns:
        by_name = {each.name: each for each in column.statistics}
        cells = [f"{by_name[name].value:.3f}" if name in by_name else "" for name in _SHORT]
        table.add_row(escape(column.column), column.compared, *cells, style="red" if column.has_drifted else None)
    return table
