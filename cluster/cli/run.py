"""The verb that runs an experiment, or forecasts what a run would take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli.options import AsJson, InProcess, print_json
from assay.cluster.cli.report import print_run

if TYPE_CHECKING:
    from assay.cluster.pipeline import Prepared

app = typer.Typer()


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(help="The experiment's file.")],
    ledger: Annotated[
        str | None, typer.Option("--ledger", envvar="ASSAY_LEDGER", help="The ledger; default: the experiment's.")
    ] = None,
    in_process: InProcess = False,
    no_reuse: Annotated[
        bool, typer.Option("--no-reuse", help="Evaluate also what other runs of the ledger have scored already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and estimate time and cost; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate every arm, analyse as planned, and decide. Goes on where an earlier run stopped."""
    from assay.cluster import pipeline
    from assay.cluster.cli import progress_bars

    prepared = pipeline.prepare(str(experiment), ledger=ledger)
    if prepared.named_by_digest:
        typer.echo(f"the dataset is {prepared.dataset.reference}, {prepared.dataset.digest()}", err=True)
    for warning in prepared.findings.warnings:
        typer.echo(f"warning: {prepared.dataset.reference}: {warning}", err=True)
    if dry_run:
        _forecast(prepared, in_process=in_process, reuses=not no_reuse, as_json=as_json)
        return
    run_id = prepared.run.run_id
    if prepared.committed:
        typer.echo(f"run {run_id} is complete in the ledger: nothing is evaluated again", err=True)
    else:
        arms = {arm.name: prepared.num_units for arm in prepared.run.experiment.arms}
        with progress_bars.of_units(arms) as advance:
            pipeline.run(prepared, in_process=in_process, on_progress=advance, reuses=not no_reuse)
    print_run(prepared.store, run_id, as_json=as_json)


def _forecast(prepared: "Prepared", *, in_process: bool, reuses: bool, as_json: bool) -> None:
    from assay.cluster.forecast import forecast

    found = forecast(prepared, in_process=in_process, reuses=reuses)
    if as_json:
        print_json(found.to_json())
        return
    from rich.console import Console

    from assay.cluster.report.terminal import forecast as forecast_table

    forecast_table.show(found.to_json(), Console())
