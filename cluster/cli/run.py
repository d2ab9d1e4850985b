"""`assay run`: run an experiment, or forecast its time and cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, InProcess, print_json
from assay.cluster.cli.report import print_run

if TYPE_CHECKING:
    from assay.cluster.pipeline import Prepared

app = standard_output.Verbs()

_NUM_CHANGES = 20
"""The most changes that are shown; a sweep can have thousands."""


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(help="Path of the experiment file.")],
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger", envvar="ASSAY_LEDGER", help="Folder or URI of the ledger. Default: the experiment's ledger."
        ),
    ] = None,
    in_process: InProcess = False,
    no_reuse: Annotated[
        bool,
        typer.Option(
            "--no-reuse", help="Score every unit again, even those that other runs in the ledger have scored."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the experiment and forecast its time and cost. Writes nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate every arm, analyse as planned, and decide.

    Run the same command again after an interruption: it resumes from the units in the ledger.
    """
    from assay.cluster import pipeline
    from assay.cluster.cli import progress_bars
    from assay.evaluator.process_state.watch import ProcessWatch

    prepared = pipeline.prepare(str(experiment), ledger=ledger, watch=ProcessWatch() if in_process else None)
    if prepared.named_by_digest:
        standard_output.remark(f"dataset: {prepared.dataset.reference}, {prepared.dataset.digest()}")
    for warning in prepared.findings.warnings:
        standard_output.remark(f"warning: {prepared.dataset.reference}: {warning}")
    if not prepared.committed:
        _show_changes(prepared)
    if dry_run:
        _forecast(prepared, in_process=in_process, reuses=not no_reuse, as_json=as_json)
        return
    run_id = prepared.run.run_id
    if prepared.committed:
        standard_output.remark(f"run {run_id} is already committed; nothing is evaluated again")
    arms = () if prepared.committed else prepared.run.experiment.arms
    with progress_bars.of_units({arm.name: prepared.num_units for arm in arms}) as advance:
        not_logged = pipeline.run(prepared, in_process=in_process, on_progress=advance, reuses=not no_reuse)
    for problem in not_logged:
        standard_output.remark(f"warning: the log does not have every run: {problem}")
    print_run(prepared.store, run_id, as_json=as_json)


def _show_changes(prepared: "Prepared") -> None:
    """Says on standard error what has changed since the experiment's latest other run."""
    from assay.cluster.prepare.run_changes import changes, previous_run

    previous = previous_run(prepared.run, prepared.past, prepared.store)
    if previous is not None:
        standard_output.remark(f"changed since run {previous.run_id}:")
        lines = changes(previous, prepared.run) or ("nothing that affects scores",)
        for line in lines[:_NUM_CHANGES]:
            standard_output.remark(f"  {line}")
        if len(lines) > _NUM_CHANGES:
            standard_output.remark(f"  and {len(lines) - _NUM_CHANGES} more changes")


def _forecast(prepared: "Prepared", *, in_process: bool, reuses: bool, as_json: bool) -> None:
    from assay.cluster.forecast import forecast

    estimate = forecast(prepared, in_process=in_process, reuses=reuses)
    if as_json:
        print_json(estimate.plain())
        return

    from assay.cluster.report.terminal import forecast as forecast_table

    forecast_table.show(estimate, standard_output.console())
