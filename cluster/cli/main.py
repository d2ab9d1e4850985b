"""The command line as a whole: every verb in the order of `assay --help`, and what an error becomes."""

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
    help="Evaluate many model variants on one frozen dataset, and decide which one to ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 invalid input; gate answers 0 promote, 3 hold, 4 reject.",
)
# Without a name, the verbs of a file are verbs of `assay` itself.
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
"""Typer's exit code after ctrl-C, which it keeps quiet about."""


def main() -> None:
    """The console script: our errors become one message and an exit code, never a traceback."""
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("interrupted; what was published stays: run the same command to go on", err=True)
        raise
    except Exception as error:
        from assay.manifests.errors import AssayError

        if not isinstance(error, AssayError):
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
