"""The verb that freezes rows as a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, print_json, read_manifest

app = standard_output.Verbs()


@app.command()
def freeze(
    sources: Annotated[list[Path], typer.Argument(help="csv, tsv, jsonl, Parquet or Arrow files, in row order.")],
    contract: Annotated[Path, typer.Option(help="The contract: the columns, their roles, and rules for the rows.")],
    name: Annotated[
        str, typer.Option("--as", help="NAME@VERSION of the new dataset; a version cannot be overwritten.")
    ],
    to: Annotated[str, typer.Option(help="The dataset store: a folder or URI.")] = "datasets",
    shard_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows per shard. Default: as many as take about 64 MiB.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check rows against a contract, and freeze them as an immutable dataset."""
    from assay.cluster.report.terminal import check
    from assay.evaluator.data.frozen import findings, references
    from assay.evaluator.data.frozen.freeze import freeze as freeze_rows
    from assay.evaluator.storage import open_store
    from assay.manifests import Contract

    rules = read_manifest(contract, Contract)
    store = open_store(to)
    existed = name in references.references(store)
    dataset = freeze_rows(sources, contract=rules, reference=name, store=store, shard_rows=shard_rows)
    for warning in check.warning_lines(dataset.check):
        standard_output.remark(f"warning: {warning}")
    if dataset.contract != rules:
        message = f"{name} already exists and keeps the contract that it was frozen with; {contract} differs from it"
        standard_output.remark(f"warning: {message}")
    shards = "1 shard" if len(dataset.shards) == 1 else f"{len(dataset.shards):,} shards"
    if dataset.parent is not None:
        shards += f", a sample of {dataset.parent.num_rows:,}"
    done = f"{name} exists already with these rows; nothing was written" if existed else f"frozen {name}"
    standard_output.remark(f"{done}: {dataset.num_rows:,} rows in {shards}, {dataset.digest()}")
    withdrawal = findings.withdrawal_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    if withdrawal is not None:
        standard_output.remark(f"warning: {name} was withdrawn on {withdrawal.found_at}: {withdrawal.reason}")
    if as_json:
        print_json({**dataset.model_dump(mode="json"), "digest": dataset.digest()})
