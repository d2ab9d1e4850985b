"""The command line as a whole: its commands in the order of `assay --help`, and how errors are printed."""

import sys

import typer

from assay.cluster.cli import (
    check,
    contract,
    dataset,
    demo,
    export,
    freeze,
    gate,
    jobs,
    ledger,
    report,
    run,
    schema,
    statistics,
    verify,
)

app = typer.Typer(
    help="Evaluate model variants on one frozen dataset and decide with statistics which one to ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success, 1 failure, 2 invalid input; 'assay gate' exits with 0 promote, 3 hold, 4 reject.",
)
# Commands of an app that is added without a name become commands of `assay` itself.
app.add_typer(demo.app)
app.add_typer(run.app)
app.add_typer(report.app)
app.add_typer(gate.app, name="gate")
app.add_typer(verify.app)
app.add_typer(jobs.app)
app.add_typer(freeze.app)
app.add_typer(check.app)
app.add_typer(contract.app, name="contract")
app.add_typer(dataset.app, name="dataset")
app.add_typer(statistics.app)
app.add_typer(ledger.app, name="ledger")
app.add_typer(export.app, name="export")
app.add_typer(schema.app)

_INTERRUPTED = 130
"""Typer's exit code after Ctrl-C, for which it prints no message."""


def main() -> None:
    """The console script. Prints an `AssayError` as one message without a traceback and exits with its code."""
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("interrupted; published units are kept: run the same command again to resume", err=True)
        raise
    except Exception as error:
        from assay.manifests.errors import AssayError

        if not isinstance(error, AssayError):
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
