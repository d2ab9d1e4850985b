"""The verb that checks rows against a contract without freezing them."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, print_json, read_manifest

app = standard_output.Verbs()


@app.command()
def check(
    sources: Annotated[list[Path], typer.Argument(help="csv, tsv, jsonl, Parquet or Arrow files, in row order.")],
    contract: Annotated[Path, typer.Option(help="The contract: the columns, their roles, and rules for the rows.")],
    as_json: AsJson = False,
) -> None:
    """Check rows against a contract, and freeze nothing. Exit code 2 if a rule of severity error is violated, else 0."""
    from assay.cluster.cli import progress_bars
    from assay.evaluator.data.check import check_files
    from assay.manifests import Contract

    rules = read_manifest(contract, Contract)
    with progress_bars.of_bytes(sources) as on_bytes:
        report = check_files(sources, contract=rules, on_bytes=on_bytes)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        from assay.cluster.report.terminal import check as terminal

        terminal.show(report, standard_output.console())
    raise typer.Exit(2 if report.broken else 0)
