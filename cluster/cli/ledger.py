"""The verbs about a ledger: what is in it, who decided what, and whether it is as it was recorded."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from assay.manifests.log_entry import LogEntry

app = typer.Typer(help="Look into a ledger, keep its log of decisions, and verify it.", no_args_is_help=True)


@app.command()
def ls(ledger: LedgerAt = None, as_json: AsJson = False) -> None:
    """List the runs of a ledger."""
    from assay.evaluator.ledger import reader
    from assay.evaluator.storage import open_store

    rows = [
        {"run_id": each.run_id, "committed": each.committed} for each in reader.runs(open_store(ledger or "ledger"))
    ]
    if as_json:
        print_json(rows)
    for row in [] if as_json else rows:
        typer.echo(f"{row['run_id']}  {'committed' if row['committed'] else 'incomplete'}")


@app.command()
def show(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    lineage: Annotated[
        bool, typer.Option("--lineage", help="Show where a committed run came from, in lines that people read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a run's record and its files, as JSON; or its lineage: identity, arms, circumstances."""
    from assay.evaluator.ledger import reader, trace
    from assay.evaluator.provenance.dotted import flat
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    store = open_store(uri)
    if lineage:
        found = trace.run_lineage(store, run_id)
        if as_json:
            print_json(found)
            return
        typer.echo(f"run {run_id}")
        for group in ("identity", "arms", "circumstance"):
            typer.echo(f"{group}:")
            for name, value in flat(found[group]).items():
                typer.echo(f"  {name}: {_value_text(value)}")
        return
    record = reader.read_run(store, run_id).model_dump(mode="json")
    committed = reader.is_committed(store, run_id)
    files = [vars(file) for file in reader.committed_files(store, run_id)] if committed else []
    print_json({**record, "committed": committed, "files": files})


@app.command()
def trace(
    run: RunOrExperiment,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm.")],
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="The metric.")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Go from a published number back to its rows, shards, weights and commit; every file is checked on the way."""
    from assay.evaluator.ledger import trace as tracing
    from assay.evaluator.provenance.dotted import flat
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    found = tracing.number(open_store(uri), run_id, arm, metric)
    if as_json:
        print_json(found)
        return
    value = found["not_testable"] if found["value"] is None else repr(found["value"])
    typer.echo(f"{found['metric']} of {found['arm']} in run {run_id}: {value} ({found['measure']})")
    for name, files in (("published in", found["published_in"]), ("made from", found["made_from"])):
        for file in files:
            typer.echo(f"{name}: {file['key']}  {file['num_rows']} rows  {file['sha256']}")
    typer.echo(f"dataset: {found['dataset']['reference']}  {found['dataset']['digest']}")
    shards = found["dataset"]["shards"]
    for shard in [] if isinstance(shards, str) else shards:
        typer.echo(f"shard: {shard['key']}  {shard['num_rows']} rows  {shard['sha256']}")
    if isinstance(shards, str):
        typer.echo(f"shards: {shards}")
    for name, value in flat({key: found[key] for key in ("variant", "source", "environment")}).items():
        typer.echo(f"{name}: {_value_text(value)}")
    typer.echo(f"suite: {found['suite_digest']}\nplan: {found['plan_digest']}")


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another run's id.")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Say what differs between two runs: lineage first, then numbers, and what of the one could explain the other."""
    from assay.evaluator.ledger import trace as tracing
    from assay.evaluator.storage import open_store

    found = tracing.differences(open_store(ledger or "ledger"), first, second)
    if as_json:
        changes = [change.model_dump(mode="json") for change in found.lineage]
        print_json({"first": first, "second": second, "lineage": changes, "numbers": [*map(vars, found.numbers)]})
        return
    typer.echo("lineage:" if found.lineage else "lineage: the same")
    for change in found.lineage:
        typer.echo(f"  {change.field}: {_value_text(change.recorded)} -> {_value_text(change.now)}")
    typer.echo("numbers:" if found.numbers else "numbers: the same")
    for each in found.numbers:
        typer.echo(f"  {each.arm} {each.metric}: {_value_text(each.first)} -> {_value_text(each.second)}")
        why = ", ".join(each.explained_by) or (
            "nothing in the lineage that numbers hang on; 'assay verify RUN --same-rows-twice' looks for hidden state"
        )
        typer.echo(f"    explained by: {why}" if not each.same_scores else "    from the same scores")


@app.command()
def log(ledger: LedgerAt = None, as_json: AsJson = False) -> None:
    """List what was recorded: decisions of `assay gate --record`, overrides, and what `assay verify` found."""
    from assay.evaluator.ledger import version_log as ledger_log
    from assay.evaluator.storage import open_store

    entries = ledger_log.entries(open_store(ledger or "ledger"))
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
    for entry in () if as_json else entries:
        typer.echo(_line(entry))


@app.command()
def override(
    run: RunOrExperiment,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm.")],
    decision: Annotated[Literal["promote", "hold", "reject"], typer.Argument(help="What is to be done with it.")],
    reason: Annotated[str, typer.Option(help="Why, for those who read the log later.")],
    by: Annotated[str, typer.Option(help="Who decides: a name that everyone may read.")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Record a decision of your own in place of the gate's. The gate's stays in the log and in the run."""
    from assay.evaluator.ledger import version_log as ledger_log
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    entry = ledger_log.override(open_store(uri), run_id, arm, decision, reason=reason, by=by)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        typer.echo(_line(entry))


@app.command()
def verify(
    ledger: LedgerAt = None,
    log_head: Annotated[
        str | None, typer.Option(help="A seal that an earlier verify printed: the log must still have it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read all of a ledger and name whatever is changed, missing, unexpected or out of order."""
    from assay.evaluator.ledger.ledger_verification import verify_ledger
    from assay.evaluator.storage import open_store

    found = verify_ledger(open_store(ledger or "ledger"), log_head=log_head)
    counts = f"{found.num_runs} runs, {found.num_files} files, {found.num_entries} log entries"
    if as_json:
        print_json({**vars(found), "problems": [vars(problem) for problem in found.problems]})
    elif found.problems:
        for problem in found.problems:
            typer.echo(f"{problem.key}: {problem.problem}")
        typer.echo(f"{counts}: {len(found.problems)} problems")
    else:
        typer.echo(f"{counts}: all as recorded")
        if found.log_head is not None:
            typer.echo(f"the log ends with {found.log_head}")
    raise typer.Exit(1 if found.problems else 0)


def _line(entry: "LogEntry") -> str:
    if entry.verification is not None:
        found = entry.verification
        arms = ", ".join(f"{arm.arm} {arm.num_rows_different} of {arm.num_rows} rows differ" for arm in found.arms)
        return f"{entry.number:06d}  {entry.at}  {entry.run_id}  {found.outcome} (against {found.against}): {arms}"
    why = entry.reason or "; ".join(entry.reasons)
    what = f"override: {entry.decision}" if entry.kind == "override" else entry.decision
    return f"{entry.number:06d}  {entry.at}  {entry.run_id}  {entry.arm}  {what}  by {entry.by}: {why}"


def _value_text(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
