"""`assay export`: copy a committed run to other tools."""

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, run_and_ledger

app = standard_output.Verbs(help="Export a committed run to MLflow.", no_args_is_help=True)


@app.callback()
def export() -> None:
    """Export a committed run to MLflow."""


@app.command()
def mlflow(run: RunOrExperiment, ledger: LedgerAt = None, as_json: AsJson = False) -> None:
    """Write a run's metrics, digests, comparisons and costs to MLflow, at MLFLOW_TRACKING_URI."""
    from assay.cluster.report.mlflow import to_mlflow
    from assay.cluster.report.record import document
    from assay.evaluator.ledger.opening import open_ledger

    run_id, uri = run_and_ledger(run, ledger)
    mlflow_runs = to_mlflow(document(open_ledger(uri), run_id))
    if as_json:
        print_json(mlflow_runs)
    else:
        standard_output.say(f"exported {run_id} as MLflow run {mlflow_runs['']} with one child run per arm")
