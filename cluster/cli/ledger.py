"""`assay ledger`: list and trace runs, keep the log of decisions, and verify the ledger's integrity."""

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from assay.cluster.cli.options import AsJson, LedgerAlone, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from assay.manifests.log_entry import BaseLogEntry

app = typer.Typer(help="Ledgers: list and trace runs, log decisions, verify integrity.", no_args_is_help=True)

_UNLOGGED = (
    "committed, not yet logged: its driver is about to log it, or died before it could; the next 'assay run' in this "
    "ledger does"
)


@app.command()
def ls(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """List the runs of a ledger."""
    from assay.evaluator.ledger import reader
    from assay.evaluator.ledger.opening import open_ledger

    rows = [
        {"run_id": each.run_id, "committed": each.committed} for each in reader.runs(open_ledger(ledger or "ledger"))
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo(f"no runs in the ledger {ledger or 'ledger'}")
    for row in [] if as_json else rows:
        typer.echo(f"{row['run_id']}  {'committed' if row['committed'] else 'incomplete'}")


@app.command()
def show(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    lineage: Annotated[
        bool, typer.Option("--lineage", help="Show the lineage of a committed run, one field per line.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a run's record and files as JSON, or its lineage."""
    from assay.evaluator.ledger import reader, trace
    from assay.evaluator.ledger.opening import open_ledger
    from assay.evaluator.provenance.dotted import flat

    run_id, uri = run_and_ledger(run, ledger)
    store = open_ledger(uri)
    if lineage:
        groups = trace.run_lineage(store, run_id)
        if as_json:
            print_json(groups)
            return
        typer.echo(f"run {run_id}")
        for group in ("identity", "arms", "circumstance"):
            typer.echo(f"{group}:")
            for name, value in flat(groups[group]).items():
                typer.echo(f"  {name}: {_value_text(value)}")
        return
    record = reader.read_run(store, run_id).model_dump(mode="json")
    committed = reader.is_committed(store, run_id)
    files = [vars(file) for file in reader.committed_files(store, run_id)] if committed else []
    print_json({**record, "committed": committed, "files": files})


@app.command()
def trace(
    run: RunOrExperiment,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="Name of the arm.")],
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="Name of the metric.")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Trace a published number back to its rows, shards, weights and commit.

    Every file of the ledger on the way is checked against its recorded digest.
    """
    from assay.evaluator.ledger import trace as tracing
    from assay.evaluator.ledger.opening import open_ledger
    from assay.evaluator.provenance.dotted import flat

    run_id, uri = run_and_ledger(run, ledger)
    traced = tracing.number(open_ledger(uri), run_id, arm, metric)
    if as_json:
        print_json(traced)
        return
    value = traced["not_testable"] if traced["value"] is None else repr(traced["value"])
    typer.echo(f"{traced['metric']} of {traced['arm']} in run {run_id}: {value} (measure: {traced['measure']})")
    for name, files in (("published in", traced["published_in"]), ("made from", traced["made_from"])):
        for file in files:
            typer.echo(f"{name}: {file['key']}  {file['num_rows']:,} rows  {file['sha256']}")
    typer.echo(f"dataset: {traced['dataset']['reference']}  {traced['dataset']['digest']}")
    shards = traced["dataset"]["shards"]
    for shard in [] if isinstance(shards, str) else shards:
        typer.echo(f"shard: {shard['key']}  {shard['num_rows']} rows  {shard['sha256']}")
    if isinstance(shards, str):
        typer.echo(f"shards: {shards}")
    for name, value in flat({key: traced[key] for key in ("variant", "source", "environment")}).items():
        typer.echo(f"{name}: {_value_text(value)}")
    typer.echo(f"suite: {traced['suite_digest']}\nplan: {traced['plan_digest']}")


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="ID of the first run.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="ID of the second run.")],
    ledger: LedgerAlone = None,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: lineage, metrics, and which changes could explain the numbers."""
    from assay.evaluator.ledger import trace as tracing
    from assay.evaluator.ledger.opening import open_ledger

    comparison = tracing.differences(open_ledger(ledger or "ledger"), first, second)
    if as_json:
        changes = [change.model_dump(mode="json") for change in comparison.lineage]
        print_json({"first": first, "second": second, "lineage": changes, "numbers": [*map(vars, comparison.numbers)]})
        return
    typer.echo("lineage:" if comparison.lineage else "lineage: the same")
    for change in comparison.lineage:
        typer.echo(f"  {change.field}: {_value_text(change.recorded)} -> {_value_text(change.now)}")
    typer.echo("numbers:" if comparison.numbers else "numbers: the same")
    for each in comparison.numbers:
        typer.echo(f"  {each.arm} {each.metric}: {_value_text(each.first)} -> {_value_text(each.second)}")
        why = ", ".join(each.explained_by) or (
            "no change in the lineage that affects scores; 'assay verify RUN --same-rows-twice' looks for hidden state"
        )
        typer.echo(f"    explained by: {why}" if not each.same_scores else "    from the same scores")


@app.command()
def log(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """List the log: commits, decisions of `assay gate --record`, overrides, and outcomes of `assay verify`."""
    from assay.evaluator.ledger import log_chain
    from assay.evaluator.ledger.opening import open_ledger

    entries = log_chain.entries(open_ledger(ledger or "ledger"))
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
    elif not entries:
        typer.echo(f"no entries in the log of the ledger {ledger or 'ledger'}")
    for entry in () if as_json else entries:
        typer.echo(_line(entry))


@app.command()
def override(
    run: RunOrExperiment,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="Name of the arm.")],
    decision: Annotated[Literal["promote", "hold", "reject"], typer.Argument(help="Your decision.")],
    reason: Annotated[str, typer.Option(help="Reason for the override, for later readers of the log.")],
    by: Annotated[
        str, typer.Option(help="Name of the person who decides. It is visible to everyone who can read the ledger.")
    ],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Record your own decision in place of the gate's.

    The gate's decision stays in the log and in the run.
    """
    from assay.evaluator.ledger import version_log as ledger_log
    from assay.evaluator.ledger.opening import open_ledger

    run_id, uri = run_and_ledger(run, ledger)
    entry = ledger_log.override(open_ledger(uri), run_id, arm, decision, reason=reason, by=by)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        typer.echo(_line(entry))


@app.command()
def seal(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """Print what to keep elsewhere, so that no one can rewrite the log unseen: `assay ledger verify --seal` compares.

    The seal of the newest entry covers all entries before it, and every file of the runs that they log.
    """
    from assay.evaluator.ledger import version_log as ledger_log
    from assay.evaluator.ledger.opening import open_ledger

    sealed = ledger_log.seal(open_ledger(ledger or "ledger"))
    if as_json:
        print_json(vars(sealed))
        return
    for name in ("ledger", "num_entries", "seal", "at"):
        typer.echo(f"{name}: {_value_text(vars(sealed)[name])}")
    for run_id in sealed.unlogged:
        typer.echo(f"not covered: {run_id}: {_UNLOGGED}")


@app.command()
def verify(
    ledger: LedgerAlone = None,
    seal: Annotated[
        str | None,
        typer.Option(help="A seal that `assay ledger seal` printed, kept elsewhere. The log must still have it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every file of a ledger and list what was changed, is missing, unexpected or out of order."""
    from assay.cluster.report.terminal import formatting
    from assay.evaluator.ledger.ledger_verification import verify_ledger
    from assay.evaluator.ledger.opening import open_ledger
    from assay.manifests.errors import InvalidInput

    if seal is not None and not re.fullmatch("sha256:[0-9a-f]{64}", seal):
        raise InvalidInput(
            "is not a seal", field="--seal", value=seal, remedy="'assay ledger seal' prints one: sha256:, 64 hex digits"
        )
    report = verify_ledger(open_ledger(ledger or "ledger"), seal=seal)
    if as_json:
        print_json({**vars(report), "problems": [vars(problem) for problem in report.problems]})
        raise typer.Exit(1 if report.problems else 0)
    for problem in report.problems:
        typer.echo(f"{problem.key}: {problem.problem}")
    for run_id in report.unlogged:
        typer.echo(f"{run_id}: {_UNLOGGED}")
    counts = (
        formatting.counted(report.num_runs, "run"),
        formatting.counted(report.num_files, "file"),
        formatting.counted(report.num_entries, "log entry", "log entries"),
    )
    found = formatting.counted(len(report.problems), "problem") if report.problems else "no problems found"
    typer.echo(f"{', '.join(counts)}: {found}")
    raise typer.Exit(1 if report.problems else 0)


def _line(entry: "BaseLogEntry") -> str:
    return f"{entry.number:06d}  {entry.at}  {entry.summary}"


def _value_text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
