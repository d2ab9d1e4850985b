"""`assay ledger`: list and trace runs, keep the log of decisions, and verify the ledger's integrity."""

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import (
    AsJson,
    LedgerAlone,
    LedgerAt,
    RunOrExperiment,
    checked_run_id,
    print_json,
    run_and_ledger,
)

if TYPE_CHECKING:
    from assay.manifests.log_entry import BaseLogEntry

_REMEDY = (
    "do not rely on the runs whose files are named here (if the log is named: on any run); restore the files from a copy "
    "of the ledger, or run the experiments again under other names"
)
app = standard_output.Verbs(help="Ledgers: list and trace runs, log decisions, verify integrity.", no_args_is_help=True)

_UNLOGGED = (
    "committed, not yet logged: its driver is about to log it, or died before it could; the next 'assay run' in this "
    "ledger does"
)


@app.command()
def ls(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """List the runs of a ledger."""
    from assay.evaluator.ledger import reader
    from assay.evaluator.ledger.opening import open_existing_ledger

    rows = [
        {"run_id": each.run_id, "committed": each.committed}
        for each in reader.runs(open_existing_ledger(ledger or "ledger"))
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        standard_output.say(f"no runs in the ledger {ledger or 'ledger'}")
    for row in [] if as_json else rows:
        standard_output.say(f"{row['run_id']}  {'committed' if row['committed'] else 'incomplete'}")


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
    from assay.evaluator.ledger.opening import open_existing_ledger
    from assay.evaluator.provenance.dotted import flat

    run_id, uri = run_and_ledger(run, ledger)
    store = open_existing_ledger(uri)
    if lineage:
        groups = trace.run_lineage(store, run_id)
        if as_json:
            print_json(groups)
            return
        standard_output.say(f"run {run_id}")
        for group in ("identity", "arms", "circumstance"):
            standard_output.say(f"{group}:")
            for name, value in flat(groups[group]).items():
                standard_output.say(f"  {name}: {_value_text(value)}")
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
    from assay.evaluator.ledger.opening import open_existing_ledger
    from assay.evaluator.provenance.dotted import flat

    run_id, uri = run_and_ledger(run, ledger)
    traced = tracing.number(open_existing_ledger(uri), run_id, arm, metric)
    if as_json:
        print_json(traced)
        return
    value = traced["not_testable"] if traced["value"] is None else repr(traced["value"])
    standard_output.say(
        f"{traced['metric']} of {traced['arm']} in run {run_id}: {value} (measure: {traced['measure']})"
    )
    for name, files in (("published in", traced["published_in"]), ("made from", traced["made_from"])):
        for file in files:
            standard_output.say(f"{name}: {file['key']}  {file['num_rows']:,} rows  {file['sha256']}")
    standard_output.say(f"dataset: {traced['dataset']['reference']}  {traced['dataset']['digest']}")
    shards = traced["dataset"]["shards"]
    for shard in [] if isinstance(shards, str) else shards:
        standard_output.say(f"shard: {shard['key']}  {shard['num_rows']} rows  {shard['sha256']}")
    if isinstance(shards, str):
        standard_output.say(f"shards: {shards}")
    for name, value in flat({key: traced[key] for key in ("variant", "source", "environment")}).items():
        standard_output.say(f"{name}: {_value_text(value)}")
    standard_output.say(f"suite: {traced['suite_digest']}\nplan: {traced['plan_digest']}")


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="ID of the first run.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="ID of the second run.")],
    ledger: LedgerAlone = None,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: lineage, metrics, and which changes could explain the numbers."""
    from assay.evaluator.ledger import trace as tracing
    from assay.evaluator.ledger.opening import open_existing_ledger

    for run in (first, second):
        checked_run_id(run)
    comparison = tracing.differences(open_existing_ledger(ledger or "ledger"), first, second)
    if as_json:
        changes = [change.model_dump(mode="json") for change in comparison.lineage]
        print_json({"first": first, "second": second, "lineage": changes, "numbers": [*map(vars, comparison.numbers)]})
        return
    standard_output.say("lineage:" if comparison.lineage else "lineage: the same")
    for change in comparison.lineage:
        standard_output.say(f"  {change.field}: {_value_text(change.recorded)} -> {_value_text(change.now)}")
    standard_output.say("numbers:" if comparison.numbers else "numbers: the same")
    for each in comparison.numbers:
        standard_output.say(f"  {each.arm} {each.metric}: {_value_text(each.first)} -> {_value_text(each.second)}")
        why = ", ".join(each.explained_by) or (
            "no change in the lineage that affects scores; 'assay verify RUN --same-rows-twice' looks for hidden state"
        )
        standard_output.say(f"    explained by: {why}" if not each.same_scores else "    from the same scores")


@app.command()
def log(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """List the log: commits, decisions of `assay gate --record`, overrides, and outcomes of `assay verify`."""
    from assay.evaluator.ledger import log_chain
    from assay.evaluator.ledger.opening import open_existing_ledger

    entries = log_chain.entries(open_existing_ledger(ledger or "ledger"))
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
    elif not entries:
        standard_output.say(f"no entries in the log of the ledger {ledger or 'ledger'}")
    for entry in () if as_json else entries:
        standard_output.say(_line(entry))


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
    from assay.evaluator.ledger.opening import open_existing_ledger

    run_id, uri = run_and_ledger(run, ledger)
    entry = ledger_log.override(open_existing_ledger(uri), run_id, arm, decision, reason=reason, by=by)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        standard_output.say(_line(entry))


@app.command()
def seal(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """Print the seal of the log: a digest to keep outside the ledger.

    It covers all entries of the log, and every file of the runs that they log. Nobody can change these without
    `assay ledger verify --seal SEAL` finding it.
    """
    from assay.evaluator.ledger import version_log as ledger_log
    from assay.evaluator.ledger.opening import open_existing_ledger

    sealed = ledger_log.seal(open_existing_ledger(ledger or "ledger"))
    if as_json:
        print_json(vars(sealed))
        return
    for name in ("ledger", "num_entries", "seal", "at"):
        standard_output.say(f"{name}: {_value_text(vars(sealed)[name])}")
    for run_id in sealed.unlogged:
        standard_output.say(f"not covered: {run_id}: {_UNLOGGED}")


@app.command()
def verify(
    ledger: LedgerAlone = None,
    seal: Annotated[
        str | None,
        typer.Option(help="A seal that `assay ledger seal` printed, kept elsewhere. The log must still have it."),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also read all rows of committed runs and compute their tables, analyses and decisions again.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every file of a ledger and list what was changed, is missing, unexpected or out of order."""
    from assay.cluster.report.terminal import formatting
    from assay.evaluator.ledger.ledger_verification import verify_ledger
    from assay.evaluator.ledger.opening import open_existing_ledger
    from assay.manifests.errors import InvalidInput

    if seal is not None and not re.fullmatch("sha256:[0-9a-f]{64}", seal):
        raise InvalidInput(
            "is not a seal", field="--seal", value=seal, remedy="'assay ledger seal' prints one: sha256:, 64 hex digits"
        )
    if deep:
        from assay.cluster.verify.contradictions import verify_deeply as verify_ledger
    report = verify_ledger(open_existing_ledger(ledger or "ledger"), seal=seal)
    if as_json:
        print_json({**vars(report), "problems": [vars(problem) for problem in report.problems]})
        raise typer.Exit(1 if report.problems else 0)
    for problem in report.problems:
        standard_output.say(f"{problem.key}: {problem.problem}")
    for run_id in report.unlogged:
        standard_output.say(f"{run_id}: {_UNLOGGED}")
    counts = (
        formatting.counted(report.num_runs, "run"),
        formatting.counted(report.num_files, "file"),
        formatting.counted(report.num_entries, "log entry", "log entries"),
    )
    found = formatting.counted(len(report.problems), "problem") if report.problems else "no problems found"
    standard_output.say(f"{', '.join(counts)}: {found}")
    if report.problems:
        standard_output.say(_REMEDY)
    raise typer.Exit(1 if report.problems else 0)


@app.command()
def tidy(ledger: LedgerAlone = None, as_json: AsJson = False) -> None:
    """Remove incomplete files of interrupted writers; list unfinished runs, which are kept.

    A file is removed when it is an hour old and no living process has locked it.

    In a bucket, uploads in parts that began more than a day ago are aborted.
    """
    from assay.cluster.report.terminal import formatting
    from assay.evaluator.ledger import leftovers
    from assay.evaluator.ledger.opening import open_existing_ledger

    store = open_existing_ledger(ledger or "ledger")
    left = leftovers.tidy(store)
    if as_json:
        print_json({"removed": [*map(vars, left.removed)], "unfinished": [*map(vars, left.unfinished)]})
        return
    for each in left.removed:
        standard_output.say(f"removed {each.key}  {each.size_bytes:,} bytes")
    for run in left.unfinished:
        units = formatting.counted(run.num_files, "unit")
        standard_output.say(
            f"{run.run_id}  unfinished, {units}, {run.size_bytes:,} bytes: kept, run its experiment to resume it"
        )
    standard_output.say(f"{store.uri}: {formatting.counted(len(left.removed), 'incomplete file')} removed")


def _line(entry: "BaseLogEntry") -> str:
    return f"{entry.number:06d}  {entry.at}  {entry.summary}"


def _value_text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
