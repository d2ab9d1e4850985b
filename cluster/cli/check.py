"""The verb that holds rows to a contract and freezes nothing."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cluster.cli.options import AsJson, print_json, read_manifest

app = typer.Typer()


@app.command()
def check(
    sources: Annotated[list[Path], typer.Argument(help="csv, tsv, jsonl, parquet or Arrow files, in row order.")],
    contract: Annotated[Path, typer.Option(help="The contract: which columns there are, and what must hold.")],
    as_json: AsJson = False,
) -> None:
    """Try every rule of a contract on rows, freeze nothing: 0 nothing refuses them, 2 something does."""
    from assay.cluster.cli import progress_bars
    from assay.evaluator.data.check import check_files
    from assay.manifests import Contract

    promised = read_manifest(contract, Contract)
    with progress_bars.of_bytes(sources) as on_bytes:
        report = check_files(sources, contract=promised, on_bytes=on_bytes)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        from rich.console import Console

        from assay.cluster.report.terminal import check as terminal

        terminal.show(report, Console())
    raise typer.Exit(2 if report.broken else 0)
