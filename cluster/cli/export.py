"""The verbs that hand a run to other tools."""

import typer

from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, run_and_ledger

app = typer.Typer(help="Hand a committed run to other tools.", no_args_is_help=True)


@app.callback()
def export() -> None:
    """Hand a committed run to other tools."""


@app.command()
def mlflow(run: RunOrExperiment, ledger: LedgerAt = None, as_json: AsJson = False) -> None:
    """Write a run's metrics, digests, comparisons and cost to where MLFLOW_TRACKING_URI says."""
    from assay.cluster.report.mlflow import to_mlflow
    from assay.cluster.report.record import document
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    found = to_mlflow(document(open_store(uri), run_id))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"exported {run_id} as MLflow run {found['']} and {len(found) - 1} runs of arms below it")
