"""The result of a leakage search, as a table in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.manifests.leakage import Leakage, Overlap

_NUM_SHOWN = 3
_KINDS = {
    "exact": "the same features",
    "normalised": "the same except case and white space",
    "near": "near duplicates",
    "ids": "the same id",
    "time": "too old",
}


def show(leakage: Leakage, console: Console) -> None:
    """Prints one row per search (how many rows leaked) and per feature that predicts the label on its own."""
    rows = sum(each.num_rows for each in leakage.training)
    title = (
        f"{leakage.reference}: {leakage.num_rows:,} rows against {len(leakage.training)} training sets, {rows:,} rows"
    )
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column("what")
    table.add_column("rows", justify="right")
    table.add_column("may be", justify="right")
    table.add_column("first of them", overflow="fold")
    for overlap in leakage.overlaps:
        style = "bold red" if leakage.is_over(overlap) else ""
        bound = "any" if overlap.bound is None else f"{overlap.bound:.4g} of rows"
        shown = "-" if overlap.num_rows is None else f"{overlap.num_rows:,}"
        table.add_row(_KINDS[overlap.kind], Text(shown, style=style), bound, "\n".join(_pairs(overlap)))
    for each in leakage.single_features:
        style = "bold red" if leakage.is_telling(each) else ""
        what = f"feature '{each.feature}' alone predicts the label by {each.how}"
        shown = f"{each.accuracy:.1%}"
        table.add_row(what, Text(shown, style=style), "", f"always the most frequent label: {each.commonest:.1%}")
    console.print(table)


def _pairs(overlap: Overlap) -> list[str]:
    if not overlap.pairs:
        return [overlap.words]
    lines = []
    for pair in overlap.pairs[:_NUM_SHOWN]:
        name = f"row {pair.row}" + (f" ({pair.id})" if pair.id is not None else "")
        value = "" if pair.value is None else f", {overlap.measure} {pair.value:.3g}"
        lines.append(f"{name} -> {pair.place}{value}" if pair.place else name)
    if overlap.num_training_rows:
        lines.append(f"and {overlap.num_training_rows:,} training rows are not older than the cut-off")
    return lines
