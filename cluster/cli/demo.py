"""The verb that runs the demo: five variants of one small model on handwritten digits."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cluster.cli.freeze import freeze
from assay.cluster.cli.options import AsJson, InProcess
from assay.cluster.cli.run import run

app = typer.Typer()


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's files, dataset and ledger go.")] = Path("assay-demo"),
    in_process: InProcess = False,
    as_json: AsJson = False,
) -> None:
    """Compare five variants on scikit-learn's handwritten digits: a real verdict in a minute."""
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
