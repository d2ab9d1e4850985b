"""The verb that asks whether a run can be repeated."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli.options import AsJson, InProcess, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from assay.manifests.verification import ArmVerified, Verification

app = typer.Typer()


@app.command()
def verify(
    run: RunOrExperiment,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Score at least so many rows of each arm, in whole units; default: all.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Score one arm; default: all.")] = None,
    same_rows_twice: Annotated[
        bool,
        typer.Option(
            "--same-rows-twice",
            help="Score the same rows twice in one loaded variant and once in one loaded anew, and compare those.",
        ),
    ] = False,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far numbers may lie apart to be called close; close is no match.")
    ] = 0.0,
    ledger: LedgerAt = None,
    in_process: InProcess = False,
    as_json: AsJson = False,
) -> None:
    """Score a run's rows again, compare bit for bit, and log what came of it: 0 matched, 1 differs."""
    from assay.cluster.verify.verify import verify as verify_run
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    verified = verify_run(
        open_store(uri),
        run_id,
        num_rows=rows,
        arm=arm,
        against="itself" if same_rows_twice else "ledger",
        tolerance=tolerance,
        in_process=in_process,
        import_paths=(str(Path.cwd()),),
    )
    if as_json:
        comparison = {
            **verified.comparison.model_dump(mode="json"),
            "outcome": verified.comparison.outcome,
            "is_close": verified.comparison.is_close,
        }
        entry = {"number": verified.entry.number, "seal": verified.entry.seal}
        answer = {"run_id": run_id, **comparison, "failed": verified.failed, "hints": verified.hints, "entry": entry}
        print_json(answer)
    else:
        for line in _lines(verified.comparison):
            typer.echo(line)
        for name, reason in verified.failed.items():
            typer.echo(f"  {name}: could not be scored again, so nothing is known: {reason}")
        for hint in verified.hints:
            typer.echo(f"  hint: {hint}")
        typer.echo(f"{verified.comparison.outcome}: run {run_id}, entry {verified.entry.number} of the log")
    raise typer.Exit(1 if verified.failed or verified.comparison.outcome == "differs" else 0)


def _lines(found: "Verification") -> list[str]:
    lines = [f"  {each.arm}: {_arm(each, found)}" for each in found.arms]
    if found.outcome == "differs":
        lines.append(f"  within the tolerance of {found.tolerance:g}: {'yes' if found.is_close else 'no'}")
    if found.changed:
        lines.append("changed since the run was scored:")
        lines += [f"  {each.field}: {_value_text(each.recorded)} -> {_value_text(each.now)}" for each in found.changed]
    else:
        lines.append("nothing in the lineage has changed since the run was scored")
    return lines


def _arm(each: "ArmVerified", found: "Verification") -> str:
    compared = f"{each.num_rows:,} of {found.num_rows_dataset:,} rows"
    if not each.num_rows_different:
        return f"{compared}, the same to the last bit"
    columns = [
        name if distance is None else f"{name} by up to {distance:.3g}" for name, distance in each.columns.items()
    ]
    return f"{compared}, {each.num_rows_different:,} differ: {', '.join(columns)}; rows {', '.join(each.row_ids)}"


def _value_text(value: object) -> str:
    return "nothing" if value is None else str(value)
