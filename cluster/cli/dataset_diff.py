"""The verb that says what changed between two versions of a dataset."""

from typing import Annotated

import typer

from assay.cluster.cli.options import AsJson, print_json

app = typer.Typer()


@app.command()
def diff(
    earlier: Annotated[str, typer.Argument(metavar="EARLIER", help="STORE/name@version; with --store name@version.")],
    later: Annotated[str, typer.Argument(metavar="LATER", help="STORE/name@version; with --store name@version.")],
    store: Annotated[str | None, typer.Option(help="The store of both: a folder or URI.")] = None,
    no_keep: Annotated[
        bool, typer.Option("--no-keep", help="Do not keep what was found of drift beside the later version.")
    ] = False,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with 1 where a column has drifted past its thresholds.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who asks, for what is kept: a name that everyone may read.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what changed from one version to another: columns and rules, rows, labels, and how values are spread."""
    from assay.evaluator.data.frozen import findings
    from assay.evaluator.data.frozen.shards import open_dataset
    from assay.evaluator.data.versions.dataset_diff import diff as diff_of

    prefix = "" if store is None else f"{store.rstrip('/')}/"
    before, after = open_dataset(f"{prefix}{earlier}"), open_dataset(f"{prefix}{later}")
    found = diff_of(before, after, found_by=by)
    is_itself = (before[0].reference, before[0].rows_digest) == (after[0].reference, after[0].rows_digest)
    if is_itself:
        typer.echo(f"{found.later} is compared with itself: that says nothing of drift, and is not kept", err=True)
    elif not no_keep:
        findings.keep(after[1], found.drift)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        from rich.console import Console

        from assay.cluster.report.terminal import dataset_diff as terminal

        terminal.show(found, Console())
    raise typer.Exit(1 if fail_on_drift and not found.drift.is_fine else 0)
