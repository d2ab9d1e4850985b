"""The verb that shows a committed run, and how every verb shows one."""

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
    timing: Annotated[bool, typer.Option("--timing", help="Show where the time went, per arm and per slot.")] = False,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Show what was predicted of which label, and histograms, per arm.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a committed run says, or where its time went, or what its arms predicted."""
    if timing and confusion:
        raise typer.BadParameter("--timing and --confusion show different things: give one of them")
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    store = open_store(uri)
    if not timing and not confusion:
        print_run(store, run_id, as_json=as_json)
        return
    if timing:
        from assay.cluster.report import timing as gathered
        from assay.cluster.report.terminal import timing as terminal

        answer = gathered.timing(store, run_id)
    else:
        from assay.cluster.report import outcomes as gathered
        from assay.cluster.report.terminal import outcomes as terminal

        answer = gathered.outcomes(store, run_id)
    if as_json:
        print_json(answer)
        return
    from rich.console import Console

    terminal.show(answer, Console())


def print_run(store: "Store", run_id: str, *, as_json: bool) -> None:
    """Prints a committed run: the verdict as a table, or the whole record as JSON."""
    from assay.cluster.report.record import document

    record = document(store, run_id)
    if as_json:
        print_json(record)
        return
    from rich.console import Console

    from assay.cluster.report.terminal import verdict

    verdict.show(record, Console())
