"""`assay report`: show a committed run. Other commands print runs through `print_run`."""

from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from assay.evaluator.storage import Store

app = typer.Typer()


@app.command()
def report(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    timing: Annotated[
        bool, typer.Option("--timing", help="Show where the time went, per arm and per slot, instead of the verdict.")
    ] = False,
    confusion: Annotated[
        bool,
        typer.Option(
            "--confusion", help="Show confusion matrices and score histograms per arm, instead of the verdict."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the verdict of a run, its timing, or its confusion matrices."""
    if timing and confusion:
        raise typer.BadParameter("--timing and --confusion cannot be combined; choose one")
    from assay.evaluator.ledger.opening import open_ledger

    run_id, uri = run_and_ledger(run, ledger)
    store = open_ledger(uri)
    if not timing and not confusion:
        print_run(store, run_id, as_json=as_json)
        return
    if timing:
        from assay.cluster.report import timing as source
        from assay.cluster.report.terminal import timing as terminal

        gathered = source.timing(store, run_id)
    else:
        from assay.cluster.report import outcomes as source
        from assay.cluster.report.terminal import outcomes as terminal

        gathered = source.outcomes(store, run_id)
    if as_json:
        print_json(gathered)
        return
    from rich.console import Console

    terminal.show(gathered, Console())


def print_run(store: "Store", run_id: str, *, as_json: bool) -> None:
    """Prints a committed run: the verdict as tables, or the whole report as JSON."""
    from assay.cluster.report.record import document

    record = document(store, run_id)
    if as_json:
        print_json(record)
        return
    from rich.console import Console

    from assay.cluster.report.terminal import verdict

    verdict.show(record, Console())
