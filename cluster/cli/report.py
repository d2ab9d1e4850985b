"""`assay report`: show a committed run. Other commands print runs through `print_run`."""

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from assay.evaluator.storage import Store
    from assay.manifests.base import Computed

_Report = TypeVar("_Report", bound="Computed")

app = standard_output.Verbs()


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
    from assay.cluster.report import outcomes as of_outcomes
    from assay.cluster.report import timing as of_timing
    from assay.cluster.report.terminal import outcomes as outcomes_tables
    from assay.cluster.report.terminal import timing as timing_tables

    if timing:
        _print(of_timing.timing(store, run_id), timing_tables.show, as_json=as_json)
    else:
        _print(of_outcomes.outcomes(store, run_id), outcomes_tables.show, as_json=as_json)


def print_run(store: "Store", run_id: str, *, as_json: bool) -> None:
    """Prints a committed run: the verdict as tables, or the whole report as JSON."""
    from assay.cluster.report.record import document
    from assay.cluster.report.terminal import verdict

    _print(document(store, run_id), verdict.show, as_json=as_json)


def _print(report: "_Report", show: "Callable[[_Report, Console], None]", *, as_json: bool) -> None:
    """Prints a report as JSON, or as tables."""
    if as_json:
        print_json(report.plain())
        return

    show(report, standard_output.console())
