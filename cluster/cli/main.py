"""The command line as a whole: its commands in the order of `assay --help`, and how errors are printed."""

import sys
import tempfile

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
    standard_output,
    statistics,
    verify,
)

app = standard_output.Verbs(
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
    """The console script. Prints an error as one message without a traceback and exits with its code."""
    try:
        with standard_output.reserved():
            _check_arguments()
            app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("interrupted; published units are kept: run the same command again to resume", err=True)
        raise
    except BrokenPipeError:  # whoever read the answer has seen enough
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # the last resort: nobody is shown a traceback
        from assay.manifests.errors import AssayError

        typer.echo(f"error: {error if isinstance(error, AssayError) else _unexpected(error)}", err=True)
        sys.exit(error.exit_code if isinstance(error, AssayError) else AssayError.exit_code)


def _check_arguments() -> None:
    """Refuses arguments that are not UTF-8, which neither a manifest nor the ledger could hold."""
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            from assay.manifests.errors import InvalidInput

            raise InvalidInput("an argument is not UTF-8", value=argument, remedy="rename the file") from None


def _unexpected(error: Exception) -> str:
    """The message of an error that is not Assay's: what and where it is, and where its traceback is kept."""
    import traceback

    from assay.manifests.plain_text import error_text, trace_text

    if isinstance(error, OSError) and error.strerror:
        return error_text(error)
    at = traceback.extract_tb(error.__traceback__)[-1]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="assay-error-", suffix=".txt", delete=False) as kept:
            kept.write(trace_text(error))
        where = f"traceback, which is in {kept.name}"
    except OSError:
        where = f"traceback:\n{trace_text(error)}"
    return (
        f"{error_text(error)} [{at.filename}:{at.lineno}]; this is a defect of Assay: please report it with its {where}"
    )
