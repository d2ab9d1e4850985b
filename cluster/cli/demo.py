"""`assay demo`: five arms of a small model on handwritten digits."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.freeze import freeze
from assay.cluster.cli.options import AsJson, InProcess
from assay.cluster.cli.run import run

app = standard_output.Verbs()


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the demo's files, dataset and ledger.")] = Path("assay-demo"),
    in_process: InProcess = False,
    as_json: AsJson = False,
) -> None:
    """Compare small models on handwritten digits: a verdict in a minute.

    Writes manifests, weights and rows to a folder, freezes the rows, and runs the experiment.
    """
    from assay.cluster.demo.demo_folder import write_demo

    experiment = write_demo(folder)
    freeze(
        [folder / "digits.parquet"],
        contract=folder / "contract.yaml",
        name="digits@v1",
        to=str(folder / "datasets"),
        shard_rows=128,
        as_json=False,
    )
    run(experiment, ledger=None, in_process=in_process, as_json=as_json)
