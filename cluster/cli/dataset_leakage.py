"""The verb that looks for leaks in a frozen dataset."""

from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli.options import AsJson, print_json

if TYPE_CHECKING:
    from assay.manifests.leakage import Leakage, Overlap

app = typer.Typer()

_NUM_SHOWN = 3
_KINDS = {
    "exact": "the same features",
    "normalised": "the same but for case and white space",
    "near": "near duplicates",
    "ids": "the same id",
    "time": "too old",
}


@app.command()
def leakage(
    dataset: Annotated[str, typer.Argument(metavar="STORE/NAME@VERSION", help="The frozen dataset.")],
    training: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|STORE/NAME@VERSION",
            help="What variants may have learned from: a file of rows in any format that can be frozen, or a frozen "
            "dataset; once for each.",
        ),
    ],
    cutoff: Annotated[
        str | None,
        typer.Option(help="The moment before which training rows are, and from which on the dataset's: ISO 8601."),
    ] = None,
    fail_on_leak: Annotated[
        bool, typer.Option("--fail-on-leak", help="Exit with 1 if a leak is found; else 0 whatever was found.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look for a dataset's rows in training sets, and for its label in its features. What is found is kept beside it."""
    from assay.evaluator.data.frozen import findings
    from assay.evaluator.data.frozen.shards import open_dataset
    from assay.evaluator.data.leakage import leakage_of, open_training
    from assay.evaluator.data.leakage.training_cutoff import instant

    frozen, store = open_dataset(dataset)
    found = leakage_of(
        frozen,
        store,
        training=[open_training(each, dataset=frozen) for each in training],
        cutoff=None if cutoff is None else instant(cutoff),
    )
    digest = findings.keep(store, found)
    if as_json:
        print_json({**found.model_dump(mode="json"), "leaks": list(found.leaks), "digest": digest})
    else:
        _show(found)
        typer.echo(found.words)
        typer.echo(f"kept beside {found.reference} as {digest}", err=True)
    raise typer.Exit(1 if fail_on_leak and not found.is_fine else 0)


def _show(found: "Leakage") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = sum(each.num_rows for each in found.training)
    title = f"{found.reference}: {found.num_rows:,} rows against {len(found.training)} training sets, {rows:,} rows"
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column("what")
    table.add_column("rows", justify="right")
    table.add_column("may be", justify="right")
    table.add_column("first of them", overflow="fold")
    for overlap in found.overlaps:
        style = "bold red" if found.is_over(overlap) else ""
        bound = "any" if overlap.bound is None else f"{overlap.bound:.4g} of rows"
        shown = "-" if overlap.num_rows is None else f"{overlap.num_rows:,}"
        table.add_row(_KINDS[overlap.kind], Text(shown, style=style), bound, "\n".join(_pairs(overlap)))
    for each in found.single_features:
        style = "bold red" if found.is_telling(each) else ""
        told = f"feature '{each.feature}' alone tells the label by {each.how}"
        shown = f"of {each.accuracy:.1%}"
        table.add_row(told, Text(shown, style=style), "", f"the commonest label: of {each.commonest:.1%}")
    Console().print(table)


def _pairs(overlap: "Overlap") -> list[str]:
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
