"""The verb that searches a frozen dataset for leaks."""

from typing import Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, print_json

app = standard_output.Verbs()


@app.command()
def leakage(
    dataset: Annotated[str, typer.Argument(metavar="STORE/NAME@VERSION", help="The frozen dataset.")],
    training: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|STORE/NAME@VERSION",
            help="Data that variants may have been trained on: a file in any format that can be frozen, or a frozen "
            "dataset. Repeat the option for several.",
        ),
    ],
    cutoff: Annotated[
        str | None,
        typer.Option(help="Training cut-off (ISO 8601): training rows must be older, dataset rows must not be."),
    ] = None,
    fail_on_leak: Annotated[bool, typer.Option("--fail-on-leak", help="Exit with code 1 if a leak is found.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search training data for rows of the dataset, and check whether a single feature gives away the label.

    The result is stored with the dataset.
    """
    from assay.evaluator.data.frozen import findings
    from assay.evaluator.data.frozen.shards import open_dataset
    from assay.evaluator.data.leakage import leakage_of, open_training
    from assay.evaluator.data.leakage.training_cutoff import instant

    frozen, store = open_dataset(dataset)
    result = leakage_of(
        frozen,
        store,
        training=[open_training(each, dataset=frozen) for each in training],
        cutoff=None if cutoff is None else instant(cutoff),
    )
    digest = findings.keep(store, result)
    if as_json:
        print_json({**result.model_dump(mode="json"), "leaks": list(result.leaks), "digest": digest})
    else:
        from assay.cluster.report.terminal import leakage as terminal

        terminal.show(result, standard_output.console())
        standard_output.say(result.summary)
        standard_output.remark(f"stored with {result.reference} as {digest}")
    raise typer.Exit(1 if fail_on_leak and not result.is_fine else 0)
