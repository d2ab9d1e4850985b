"""Options and arguments that several commands share, and the functions that interpret them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from assay.manifests.base import Manifest

Kind = TypeVar("Kind", bound="Manifest")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
RunOrExperiment = Annotated[str, typer.Argument(metavar="RUN", help="ID of a run, or path of its experiment file.")]
InProcess = Annotated[
    bool, typer.Option("--in-process", help="Run in this process without Ray, for example under a debugger.")
]
LedgerAt = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar="ASSAY_LEDGER",
        help="Folder or URI of the ledger. Default: the ledger that the experiment file names, or ./ledger if no experiment file is given.",
    ),
]


def run_and_ledger(run: str, ledger: str | None) -> tuple[str, str]:
    """The run ID and the ledger's location for a RUN argument, which is a run ID or the path of an experiment file."""
    if not run.endswith((".yaml", ".yml", ".json")):
        return run, ledger or "ledger"
    from assay.cluster import pipeline

    prepared = pipeline.prepare(run, ledger=ledger)
    # With unfinished arms, the prepared run is the next one; the user means the run that is already in the ledger.
    existing = prepared.run.run_id if prepared.committed else prepared.run.supersedes or prepared.run.run_id
    return existing, prepared.run.experiment.ledger


def read_manifest(path: Path, kind: type[Kind]) -> Kind:
    """Reads a manifest of the given kind from a file.

    Raises:
        InvalidInput: The file cannot be read.
        ManifestError: It holds a manifest of another kind, or one that violates its schema.
    """
    from assay.cluster.prepare.resolve import read_text
    from assay.manifests import parse

    manifest = parse(read_text(str(path)), file=str(path), kind=kind.__name__)
    assert isinstance(manifest, kind)
    return manifest


def print_json(result: Any) -> None:
    """Prints a result as JSON on standard output."""
    typer.echo(json.dumps(result, indent=2, allow_nan=False))
