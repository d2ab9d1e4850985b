"""The result of a search for leaks, as a table in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.manifests.leakage import Leakage, Overlap, SingleFeature

_NUM_SHOWN = 3
_KINDS = {
    "exact": "identical features",
    "normalised": "identical up to case and white space",
    "near": "near duplicates",
    "ids": "same id",
    "time": "too old",
}


def show(leakage: Leakage, console: Console) -> None:
    """Prints a table with a row for each kind of overlap with the training sets, and for each predictive feature."""
    rows = sum(each.num_rows for each in leakage.training)
    sets = "1 training set" if len(leakage.training) == 1 else f"{len(leakage.training)} training sets"
    title = f"{leakage.reference}: {leakage.num_rows:,} rows against {sets}, {rows:,} rows"
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column("check")
    table.add_column("rows", justify="right")
    table.add_column("allowed", justify="right")
    table.add_column("first matches", overflow="fold")
    for overlap in leakage.overlaps:
        style = "bold red" if leakage.is_over(overlap) else ""
        bound = "any" if overlap.bound is None else f"{100 * overlap.bound:.4g} % of rows" if overlap.bound else "none"
        shown = "-" if overlap.num_rows is None else f"{overlap.num_rows:,}"
        table.add_row(_KINDS[overlap.kind], Text(shown, style=style), bound, "\n".join(_pairs(overlap)))
    for each in leakage.single_features:
        style = "bold red" if leakage.is_telling(each) else ""
        name = f"{each.target_name} predicted from '{each.feature}' alone (by {each.how})"
        accuracy = f"right in {100 * each.accuracy:.1f} %"
        guessing = f"always the most frequent {each.target}: right in {100 * each.commonest:.1f} %"
        table.add_row(name, Text(accuracy, style=style), _allowed(each, leakage.check.single_feature), guessing)
    console.print(table)


def _allowed(each: SingleFeature, single_feature: float | None) -> str:
    """The accuracy from which the feature counts as a leak."""
    if single_feature is None or each.commonest == 1:
        return "any"
    return f"below {100 * (each.commonest + single_feature * (1 - each.commonest)):.1f} %"


def _pairs(overlap: Overlap) -> list[str]:
    if not overlap.pairs:
        return ["-" if overlap.num_rows == 0 else overlap.summary]
    lines = []
    for pair in overlap.pairs[:_NUM_SHOWN]:
        name = f"row {pair.row}" + (f" (id {pair.id})" if pair.id is not None else "")
        value = "" if pair.value is None else f", {overlap.measure} {pair.value:.3g}"
        lines.append(f"{name} -> {pair.place}{value}" if pair.place else name)
    if overlap.num_training_rows:
        lines.append(f"and {overlap.num_training_rows:,} training rows that are not older than the cut-off")
    return lines
