"""The verb that compares two versions of a dataset."""

from typing import Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, print_json

app = standard_output.Verbs()


@app.command()
def diff(
    earlier: Annotated[
        str, typer.Argument(metavar="EARLIER", help="STORE/NAME@VERSION, or NAME@VERSION with --store.")
    ],
    later: Annotated[str, typer.Argument(metavar="LATER", help="STORE/NAME@VERSION, or NAME@VERSION with --store.")],
    store: Annotated[str | None, typer.Option(help="The store of both versions: a folder or URI.")] = None,
    no_keep: Annotated[
        bool, typer.Option("--no-keep", help="Do not store the drift report with the later version.")
    ] = False,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with code 1 if any column has drifted.")
    ] = False,
    by: Annotated[str, typer.Option(help="Your name, stored with the drift report.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare two versions of a dataset: columns, rules, rows, labels, and the distribution of each column."""
    from assay.evaluator.data.frozen import findings
    from assay.evaluator.data.frozen.shards import open_dataset
    from assay.evaluator.data.versions.dataset_diff import diff as diff_of

    prefix = "" if store is None else f"{store.rstrip('/')}/"
    before, after = open_dataset(f"{prefix}{earlier}"), open_dataset(f"{prefix}{later}")
    changes = diff_of(before, after, found_by=by)
    is_itself = (before[0].reference, before[0].rows_digest) == (after[0].reference, after[0].rows_digest)
    if is_itself:
        message = f"{changes.later} is compared with itself, which says nothing about drift; the report is not stored"
        standard_output.remark(message)
    elif not no_keep:
        findings.keep(after[1], changes.drift)
    if as_json:
        print_json(changes.model_dump(mode="json"))
    else:
        from assay.cluster.report.terminal import dataset_diff as terminal

        terminal.show(changes, standard_output.console())
    raise typer.Exit(1 if fail_on_drift and not changes.drift.is_fine else 0)
