"""The verbs about contracts."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Contracts: what rows must satisfy.", no_args_is_help=True)


@app.callback()
def contract() -> None:
    """Contracts: what rows must satisfy."""


@app.command()
def infer(
    sources: Annotated[list[Path], typer.Argument(help="csv, tsv, jsonl, parquet or Arrow files of the same columns.")],
    label: Annotated[str | None, typer.Option(help="The label's column; default: the one that is called so.")] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="The id's column; default: one without repeats.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of text files: utf-8, utf-16, latin-1 or cp1252.")] = "utf-8",
) -> None:
    """Write a first contract from data, with comments for a person to edit: assay contract infer DATA > contract.yaml."""
    from assay.evaluator.data.infer import infer as infer_from

    typer.echo(infer_from(sources, label=label, id_column=id_column, encoding=encoding), nl=False)
