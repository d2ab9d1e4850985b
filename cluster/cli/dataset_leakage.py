"""The verb that looks for leaks in a frozen dataset."""

from typing import Annotated

import typer

from assay.cluster.cli.options import AsJson, print_json

app = typer.Typer()


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
        from rich.console import Console

        from assay.cluster.report.terminal import leakage as terminal

        terminal.show(found, Console())
        typer.echo(found.words)
        typer.echo(f"kept beside {found.reference} as {digest}", err=True)
    raise typer.Exit(1 if fail_on_leak and not found.is_fine else 0)
