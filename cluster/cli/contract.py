"""The verbs for contracts."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cluster.cli import standard_output

app = standard_output.Verbs(help="Contracts: the columns of a dataset, and rules for its rows.", no_args_is_help=True)


@app.callback()
def contract() -> None:
    """Contracts: the columns of a dataset, and rules for its rows."""


@app.command()
def infer(
    sources: Annotated[
        list[Path], typer.Argument(help="csv, tsv, jsonl, Parquet or Arrow files with the same columns.")
    ],
    label: Annotated[
        str | None,
        typer.Option(help="The label column. Default: the column named `label`, `target`, `y`, `class` or `outcome`."),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="The id column. Default: the first text or integer column with distinct values that is named like an id (id, "
            "row_id, rowId, uuid, key). If there is none: the table's first column, if its values are distinct text or "
            "integers and other columns can be features. Otherwise no id.",
        ),
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="The encoding of text files: utf-8, utf-16, latin-1 or cp1252.")
    ] = "utf-8",
) -> None:
    """Draft a contract from data, for you to review and edit: assay contract infer DATA > contract.yaml."""
    from assay.evaluator.data.infer import infer as infer_from

    standard_output.say(infer_from(sources, label=label, id_column=id_column, encoding=encoding), ends_line=False)
