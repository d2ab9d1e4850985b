"""`assay verify`: score a committed run again and compare bit for bit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, InProcess, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from assay.manifests.verification import ArmVerified, Verification

app = standard_output.Verbs()


@app.command()
def verify(
    run: RunOrExperiment,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Minimum number of rows to score per arm, rounded up to whole units. Default: all."),
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Score only this arm. Default: all arms.")] = None,
    same_rows_twice: Annotated[
        bool,
        typer.Option(
            "--same-rows-twice",
            help="Compare each variant with itself instead of with the ledger: score the rows twice, reload the variant, and score "
            "them again. Finds caches and hidden state.",
        ),
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0,
            help='Differences up to this size are listed as "close"; the result is still "differs".',
        ),
    ] = 0.0,
    ledger: LedgerAt = None,
    in_process: InProcess = False,
    as_json: AsJson = False,
) -> None:
    """Score a run again, compare bit for bit, and log the outcome.

    Exits with 0 if every row matches and with 1 if any row differs or an arm could not be scored.
    """
    from assay.cluster.verify.verify import verify as verify_run
    from assay.evaluator.ledger.opening import open_ledger

    run_id, uri = run_and_ledger(run, ledger)
    verification = verify_run(
        open_ledger(uri),
        run_id,
        num_rows=rows,
        arm=arm,
        against="itself" if same_rows_twice else "ledger",
        tolerance=tolerance,
        in_process=in_process,
        import_paths=(str(Path.cwd()),),
    )
    comparison = verification.comparison
    if as_json:
        fields = {
            **comparison.model_dump(mode="json"),
            "outcome": comparison.outcome,
            "is_close": comparison.is_close,
        }
        entry = {"number": verification.entry.number, "seal": verification.entry.seal}
        outcome = {"failed": verification.failed, "hints": verification.hints, "entry": entry}
        print_json({"run_id": run_id, **fields, **outcome})
    else:
        for line in _lines(comparison):
            standard_output.say(line)
        for name, reason in verification.failed.items():
            standard_output.say(f"  {name}: not verified, could not be scored again: {reason}")
        for hint in verification.hints:
            standard_output.say(f"  hint: {hint}")
        itself = " compared with itself" if comparison.against == "itself" else ""
        standard_output.say(f"{comparison.outcome}: run {run_id}{itself}, log entry {verification.entry.number}")
    raise typer.Exit(1 if verification.failed or comparison.outcome == "differs" else 0)


def _lines(verification: "Verification") -> list[str]:
    lines = [f"  {each.arm}: {_arm(each, verification)}" for each in verification.arms]
    if verification.outcome == "differs":
        is_close = "yes" if verification.is_close else "no"
        lines.append(f"  within the tolerance of {verification.tolerance:g}: {is_close}")
    if verification.changed:
        lines.append("changed since the run was scored:")
        lines += [
            f"  {each.field}: {_value_text(each.recorded)} -> {_value_text(each.now)}" for each in verification.changed
        ]
    else:
        lines.append("the lineage has not changed since the run was scored")
    return lines


def _arm(arm: "ArmVerified", verification: "Verification") -> str:
    rows = f"{arm.num_rows:,} of {verification.num_rows_dataset:,} rows"
    if verification.against == "itself":
        rows += " scored twice, and again after reloading the variant"
    if not arm.num_rows_different:
        return f"{rows}, bit-identical"
    columns = [
        name if distance is None else f"{name} by up to {distance:.3g}" for name, distance in arm.columns.items()
    ]
    return f"{rows}, {arm.num_rows_different:,} differ: {', '.join(columns)}; rows {', '.join(arm.row_ids)}"


def _value_text(value: object) -> str:
    return "none" if value is None else str(value)
