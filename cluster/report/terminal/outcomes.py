"""Confusion matrices and score histograms in the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from assay.cluster.report.terminal import formatting
from assay.manifests.outcomes import HistogramBin, RunOutcomes

_MOST_CLASSES = 12
_MOST_MISTAKES = 20
_NO_ANSWER = "(no answer)"

Cells = Mapping[tuple[str | None, str | None], int]
"""Number of rows by label and prediction, the largest first."""


def show(outcomes: RunOutcomes, console: Console) -> None:
    """Prints each arm's confusion matrix, or with many classes its most frequent mistakes, and its histogram.

    Titles are printed separately, because a table wraps its title to the width of its columns.
    """
    for arm in outcomes.arms:
        cells = {(row.label, row.prediction): row.num_rows for row in arm.confusions}
        classes = sorted(
            {name for cell in cells for name in cell if name is not None}, key=lambda name: (len(name), name)
        )
        if cells and len(classes) <= _MOST_CLASSES:
            console.print(f"{arm.arm}: rows by label (down) and prediction (across)")
            console.print(_confusion_matrix(cells, classes))
        elif cells:
            console.print(f"{arm.arm}: most frequent mistakes of {len(classes)} classes")
            console.print(_mistakes(cells))
        bins = arm.histograms
        if bins:
            of = "probability of the predicted class" if bins[0].of == "probability" else "values"
            console.print(f"{arm.arm}: {of}")
            console.print(_histogram(bins))


def _confusion_matrix(cells: Cells, classes: list[str]) -> Table:
    table = formatting.table()
    table.add_column("")
    predictions: list[str | None] = [*classes]
    if any(cells.get((label, None)) for label in classes):
        predictions.append(None)
    for name in predictions:
        table.add_column(name or _NO_ANSWER, justify="right")
    for label in classes:
        table.add_row(label, *(f"{cells.get((label, prediction), 0):,}" for prediction in predictions))
    return table


def _mistakes(cells: Cells) -> Table:
    table = formatting.table()
    for title in ("label", "prediction", "rows"):
        table.add_column(title, justify="right" if title == "rows" else "left")
    mistakes = [(cell, count) for cell, count in cells.items() if cell[0] != cell[1]]
    for (label, prediction), count in mistakes[:_MOST_MISTAKES]:
        table.add_row(label, prediction or _NO_ANSWER, f"{count:,}")
    return table


def _histogram(bins: Sequence[HistogramBin]) -> Table:
    table = formatting.table()
    are_judged = any(row.num_correct is not None for row in bins)
    for title in ("from", "to", "rows", *(["of them right"] if are_judged else [])):
        table.add_column(title, justify="right")
    for row in bins:
        if row.num_rows:
            right = [] if row.num_correct is None else [f"{row.num_correct / row.num_rows:.1%}"]
            table.add_row(_bound(row.low), _bound(row.high), f"{row.num_rows:,}", *right)
    return table


def _bound(edge: float | None) -> str:
    return "" if edge is None else f"{edge:.4g}"
